"""The networks that `network_speed` and `arm_network` compare, as `.tflite` files.

Our own have parameters as training leaves them: no shift, slope or scale that folds away. The
others are what a user would take instead, with random weights: from keras.applications, and a
ResNet-18. Accuracy is what was published, for weights that somebody trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Sources of published accuracy.
_SNN = "SNN, arXiv:2110.09195, 0.56 bit"
_LCE = "larq-zoo, arXiv:2011.09398, 1 bit"
_IRNET = "IR-Net, arXiv:1909.10788, 1 bit"
_SLIM = "tensorflow/models, slim, float"
_TORCHVISION = "torchvision"


@dataclass(frozen=True)
class Network:
    """One network, in the files that are compared.

    Args:
        name: in tables.
        side: of the images, in pixels.
        classes: how many.
        top1: published top-1 accuracy in per cent, on ImageNet or, of 10 classes, CIFAR-10.
        source: who published it, and of which weights.
        make: `(side, classes) -> Keras model`.
        forms: files to make: "lce", "subbit", "subbit_int8" (other weights in 8 bits), "stem"
            (an LCE file with an int8 stem), "layers" (with all of `int8_layers`), "float",
            "int8".
        int8_layers: of the form "layers": the float layers that take less time in int8.
    """

    name: str
    side: int
    classes: int
    top1: float
    source: str
    make: Callable[[int, int], Any]
    forms: tuple[str, ...]
    int8_layers: tuple[str, ...] = ()

    def file(self, form: str) -> str:
        """The name of a file."""
        return f"{self.name} {self.side} {form}.tflite"


def _ours(builder: str) -> Callable[[int, int], Any]:
    def make(side: int, classes: int) -> Any:
        from keras_sparsebnn import models
        from keras_sparsebnn.quantizers import FixedSubset

        return as_if_trained(
            models.MODELS[builder](
                (side, side, 3),
                classes,
                codewords=32,
                kernel_quantizer=lambda n: FixedSubset(n, seed=n),
            )
        )

    return make


def as_if_trained(model: Any) -> Any:
    """The model, with random batch norm, shifts and slopes instead of zeros and ones."""
    import numpy as np

    from keras_sparsebnn._keras import keras, lq

    rng = np.random.default_rng(0)
    kernels = (lq.layers.QuantConv2D, keras.layers.Conv2D, keras.layers.Dense)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in weights])
        elif weights and not isinstance(layer, (*kernels, keras.layers.DepthwiseConv2D)):
            layer.set_weights([rng.normal(0, 0.3, w.shape) for w in weights])
    return model


def _mobilenet(builder: str, alpha: float) -> Callable[[int, int], Any]:
    def make(side: int, classes: int) -> Any:
        from keras_sparsebnn._keras import keras

        return getattr(keras.applications, builder)(
            (side, side, 3), alpha=alpha, weights=None, classes=classes
        )

    return make


def _plain_resnet18(side: int, classes: int) -> Any:
    """He et al., arXiv:1512.03385, table 1, with projections where the width grows."""
    from keras_sparsebnn._keras import keras

    layers = keras.layers

    def convolution(x: Any, width: int, size: int, stride: int) -> Any:
        x = layers.Conv2D(width, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    images = layers.Input((side, side, 3))
    x = layers.ReLU()(convolution(images, 64, 7, 2))
    x = layers.MaxPool2D(3, 2, padding="same")(x)
    for width in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if width > 64 and block == 0 else 1
            shortcut = convolution(x, width, 1, stride) if stride == 2 else x
            x = layers.ReLU()(convolution(x, width, 3, stride))
            x = layers.ReLU()(layers.add([convolution(x, width, 3, 1), shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(classes)(x))


VARIANTS = ("subbit", "subbit_int8", "stem", "layers")
"""What else an LCE file's network comes in; in figures they would lie on one another."""
BINARY = ("lce", *VARIANTS)
_RESIDUAL = ("stem", "shortcuts", "classifier")
_QUICKNET = ("shortcuts", "classifier")  # the stem has a depthwise convolution: slower in int8
_PLAIN = ("stem", "classifier")
NETWORKS = (
    Network("ResNet-18, binary", 224, 1000, 62.1, _SNN, _ours("resnet18"), BINARY, _RESIDUAL),
    Network("QuickNet, binary", 224, 1000, 63.3, _LCE, _ours("quicknet"), BINARY, _QUICKNET),
    Network("ResNet-20, binary", 32, 10, 86.5, _IRNET, _ours("resnet20"), BINARY, _RESIDUAL),
    Network("VGG-small, binary", 32, 10, 90.4, _IRNET, _ours("vgg_small"), BINARY, _PLAIN),
    Network(
        "MobileNet v1 0.5", 224, 1000, 63.3, _SLIM, _mobilenet("MobileNet", 0.5), ("int8",)
    ),
    Network(
        "MobileNetV2 0.5", 224, 1000, 65.4, _SLIM, _mobilenet("MobileNetV2", 0.5), ("int8",)
    ),
    Network(
        "MobileNetV2 1.0", 224, 1000, 71.8, _SLIM, _mobilenet("MobileNetV2", 1.0), ("int8",)
    ),
    Network("ResNet-18", 224, 1000, 69.8, _TORCHVISION, _plain_resnet18, ("float", "int8")),
)


def _binary_file(network: Network, model: Any, form: str) -> bytes:
    from keras_sparsebnn.converters import convert_keras_model

    if form in ("stem", "layers"):
        layers = ("stem",) if form == "stem" else network.int8_layers
        return convert_keras_model(model, int8_layers=layers, calibration_images=_images(model))
    if form == "subbit_int8":
        return convert_keras_model(model, "subbit", weights="int8")
    return convert_keras_model(model, form)


def _images(model: Any) -> Any:
    """Random ones, to calibrate with: speed does not depend on ranges."""
    import numpy as np

    return np.random.default_rng(0).uniform(-1, 1, (4, *model.input_shape[1:])).astype("f4")


def _stock_file(model: Any, form: str) -> bytes:
    """A file of stock ops; int8 from the first layer's input to the last one's output."""
    from keras_sparsebnn._keras import tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if form == "int8":
        images = _images(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    converted: bytes = converter.convert()
    return converted


def write_files(folder: Path) -> dict[str, tuple[Network, str]]:
    """Makes the files that are not there yet.

    Returns:
        For each path the network and the form.
    """
    made = {}
    for network in NETWORKS:
        paths = {form: folder / network.file(form) for form in network.forms}
        made.update({str(path): (network, form) for form, path in paths.items()})
        if all(path.exists() for path in paths.values()):
            continue
        from keras_sparsebnn._keras import keras

        print(f"Making {network.name}", flush=True)
        keras.utils.set_random_seed(0)
        model = network.make(network.side, network.classes)
        for form, path in paths.items():
            if form in BINARY:
                path.write_bytes(_binary_file(network, model, form))
            else:
                path.write_bytes(_stock_file(model, form))
    return made
