"""Models survive saving, loading, cloning, and mixed precision."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel

QUANTIZERS = {
    "sparse_kernel": lambda n: SparseKernel(
        16, noise_scale=0.5, logit_scale=0.1, logits="free"
    ),
    "sparse_kernel_full": lambda n: SparseKernel(16, formulation="full", logits="free"),
    "fixed_subset": lambda n: FixedSubset(16),
    "all_codewords": lambda n: SparseKernel(512),
    "string": lambda n: "sparse_kernel",
}


def trained(kernel_quantizer, rng):
    model = small((8, 8, 1), 4, widths=(8, 16), kernel_quantizer=kernel_quantizer)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = rng.normal(size=(32, 8, 8, 1)).astype(np.float32)
    model.fit(x, rng.integers(0, 4, 32), batch_size=8, verbose=0)
    return model, x


@pytest.fixture(scope="module")
def ready():
    """`ready(name)`: a model trained with one of QUANTIZERS, and its inputs."""

    @functools.cache
    def make(name):
        keras.utils.set_random_seed(0)
        return trained(QUANTIZERS[name], np.random.default_rng(0))

    return make


def assert_same(model, loaded, x):
    assert np.array_equal(model(x, training=False), loaded(x, training=False))
    # By position: a .keras file builds layers outside their name scopes.
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy()), ours.name


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        pytest.param("sparse_kernel", ".keras", marks=pytest.mark.smoke),
        *((name, ".keras") for name in QUANTIZERS if name != "sparse_kernel"),
        # How a method's state is saved does not depend on the method.
        ("sparse_kernel", ".h5"),
        ("sparse_kernel", ""),
        ("fixed_subset", ""),
    ],
)
def test_save_and_load_without_custom_objects(ready, tmp_path, name, suffix):
    model, x = ready(name)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert_same(model, loaded, x)
    # Training goes on: the optimizer's state is there too.
    loaded.fit(x, np.zeros(len(x)), batch_size=8, verbose=0)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_clone(ready, name):
    model, x = ready(name)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert np.array_equal(model(x, training=False), clone(x, training=False))


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ""])
def test_weights_alone(ready, tmp_path, suffix):
    model, x = ready("sparse_kernel")
    path = str(tmp_path / f"weights{suffix}")
    if suffix == ".keras":
        path = str(tmp_path / "weights")  # TensorFlow's checkpoint format
    model.save_weights(path)
    other = small((8, 8, 1), 4, widths=(8, 16), kernel_quantizer=QUANTIZERS["sparse_kernel"])
    status = other.load_weights(path)
    if status is not None:
        status.expect_partial()
    assert np.array_equal(model(x, training=False), other(x, training=False))


@pytest.mark.parametrize(
    "imports",
    [
        "import tensorflow as tf; import keras_sparsebnn",
        pytest.param(
            "import keras_sparsebnn; import tensorflow as tf", marks=pytest.mark.smoke
        ),
        # Looking whether TensorFlow is there is not importing it.
        "import keras_sparsebnn, importlib.util as u; u.find_spec('larq');"
        "import tensorflow as tf",
        # larq imports Keras in its middle.
        "import keras_sparsebnn, larq; import tensorflow as tf",
    ],
)
def test_fresh_process_needs_no_custom_objects(ready, tmp_path, imports):
    model, x = ready("sparse_kernel")
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="HDF5"):
        model.save(tmp_path / "model.h5")
    np.save(tmp_path / "x.npy", x)
    code = (
        f"{imports}; import numpy as np\n"
        "for suffix in ('keras', 'h5'):\n"
        "    model = tf.keras.models.load_model(f'model.{suffix}')\n"
        "    np.save(f'{suffix}.npy', model(np.load('x.npy'), training=False).numpy())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, cwd=tmp_path)
    for suffix in ("keras", "h5"):
        found = np.load(tmp_path / f"{suffix}.npy")
        assert np.array_equal(found, model(x, training=False)), suffix


class TestMixedPrecision:
    @pytest.fixture
    def mixed(self):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        yield
        keras.mixed_precision.set_global_policy("float32")

    def test_trains_and_saves(self, rng, seeded, mixed, tmp_path):
        model, x = trained(QUANTIZERS["sparse_kernel"], rng)
        conv = model.get_layer("binary0")
        assert conv.compute_dtype == "bfloat16"
        # The state of the selection is float32, whatever the policy.
        assert conv.kernel_quantizer.logits.dtype == tf.float32
        assert conv.kernel_quantizer.step.numpy() == 4
        model.save(tmp_path / "model.keras")
        assert_same(model, keras.models.load_model(tmp_path / "model.keras"), x)

    def test_kernels_stay_binary(self, rng, seeded, mixed):
        model, _ = trained(QUANTIZERS["sparse_kernel"], rng)
        conv = model.get_layer("binary0")
        with lq.context.quantized_scope(True):
            kernel = tf.convert_to_tensor(conv.kernel).numpy()
        assert set(np.unique(kernel.astype(np.float32))) == {-1.0, 1.0}
