"""ResNet-18 in Bi-Real form."""

from __future__ import annotations

import pytest

from keras_sparsebnn import models
from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.quantizers import FixedSubset


@pytest.mark.parametrize(
    ("size", "stem_kernel", "first_stage"), [(32, 3, 32), (64, 7, 16), (96, 7, 24)]
)
def test_stem_and_stages(size, stem_kernel, first_stage):
    model = models.resnet18((size, size, 3), 7, codewords=16, kernel_quantizer=FixedSubset)
    assert model.output_shape == (None, 7)
    assert model.get_layer("stem").kernel_size == (stem_kernel, stem_kernel)
    binary = [x for x in model.layers if isinstance(x, lq.layers.QuantConv2D)]
    assert len(binary) == 16
    # Published 1-bit size of the binary 3x3 layers.
    assert sum(x.kernel.shape.num_elements() for x in binary) == 10_985_472
    sizes = [x.output_shape[1] for x in binary]
    assert sizes == [first_stage // 2**stage for stage in range(4) for _ in range(4)]
    assert all(x.pad_values == 1.0 and not x.use_bias for x in binary)


def test_every_binary_layer_has_a_shortcut():
    model = models.resnet18((32, 32, 3), 10, kernel_quantizer=lambda n: "ste_sign")
    adds = [x for x in model.layers if isinstance(x, keras.layers.Add)]
    assert len(adds) == 16
    floats = [x.name for x in model.layers if type(x) is keras.layers.Conv2D]
    assert floats == ["stem", *(f"stage{stage}_0_shortcut_conv" for stage in (1, 2, 3))]
    assert models.MODELS["resnet18"] is models.resnet18
