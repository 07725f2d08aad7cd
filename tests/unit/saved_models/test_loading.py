"""What a source of a model may be, and what is said about everything else."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.saved_models import loading


@pytest.fixture
def model():
    return keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])


def test_a_saved_model_folder(model, tmp_path):
    tf.saved_model.save(model, str(tmp_path / "model"))
    with pytest.raises(
        SparseBNNError,
        match=r"got a SavedModel folder .*load_model .*model\.save\('model\.keras",
    ):
        loading.model_file(str(tmp_path / "model"))


def test_weights_only(model, tmp_path):
    for name in ("plain.h5", "new.weights.h5"):
        model.save_weights(tmp_path / name)
        with pytest.raises(
            SparseBNNError, match=r"got a file with weights only .*load_weights"
        ):
            loading.load_model(tmp_path / name)


def test_an_unfinished_run(tmp_path):
    with pytest.raises(SparseBNNError, match="sparsebnn train --out"):
        loading.model_file(str(tmp_path))


def test_an_empty_file_is_damaged(tmp_path):
    import h5py

    h5py.File(tmp_path / "empty.h5", "w").close()
    with pytest.raises(SparseBNNError, match="it cannot be loaded"):
        loading.load_model(tmp_path / "empty.h5")


def refused(path: Path) -> str:
    """The one line that says why."""
    with pytest.raises(SparseBNNError) as caught:
        loading.load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(path: Path, config: dict) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")


def layer(kind: str, name: str, nodes: list, **config: object) -> dict:
    return {
        **{"class_name": kind, "module": "keras.layers", "name": name},
        **{"config": {"name": name, **config}, "inbound_nodes": nodes},
    }


class TestUntrustedModels:
    @pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_other_files(self, tmp_path, suffix, content):
        path = tmp_path / f"model.{suffix}"
        path.write_bytes(content)
        line = refused(path)
        assert "Expected a Keras model, but it cannot be loaded" in line
        assert str(path) in line

    def test_cut_and_changed_files(self, tmp_path):
        path = tmp_path / "model.keras"
        x = keras.layers.Input((4,))
        keras.Model(x, keras.layers.Dense(2)(keras.layers.Dense(3)(x))).save(path)
        data = path.read_bytes()
        for length in (100, len(data) // 2, len(data) - 10):
            path.write_bytes(data[:length])
            assert "cannot be loaded" in refused(path)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        for damage in (
            "{",
            "[]",
            "3",
            '{"class_name": "Functional", "config": {}}',
            "[" * 99999,
        ):
            with zipfile.ZipFile(path, "w") as archive:
                for name, part in {**parts, "config.json": damage}.items():
                    archive.writestr(name, part)
            assert "cannot be loaded" in refused(path)
        del config["config"]["layers"][-1]
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in {**parts, "config.json": json.dumps(config)}.items():
                archive.writestr(name, part)
        assert "cannot be loaded" in refused(path)

    def test_a_huge_configuration_is_not_read(self, tmp_path):
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", b" " * (loading.MAX_JSON_BYTES + 1))
        assert "config.json is over" in refused(path)

    def test_an_archive_that_unpacks_to_too_much_is_not_read(self, tmp_path, monkeypatch):
        path = tmp_path / "model.keras"
        keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]).save(path)
        monkeypatch.setattr(loading, "MAX_ARCHIVE_BYTES", 1000)
        assert "unpacked it has over 1000 bytes" in refused(path)

    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_code_in_the_file_does_not_run(self, tmp_path, suffix):
        proof, path = tmp_path / "it ran", tmp_path / f"model.{suffix}"
        code = f"lambda x: (__import__('pathlib').Path({str(proof)!r}).touch(), x)[1]"
        x = keras.layers.Input((4,))
        model = keras.Model(x, keras.layers.Lambda(eval(code))(x))
        proof.unlink()
        with (
            pytest.warns(UserWarning, match="HDF5")
            if suffix == "h5"
            else contextlib.nullcontext()
        ):
            model.save(path)
        line = refused(path)
        assert "got Lambda (" in line
        assert not proof.exists()

    @pytest.mark.parametrize(
        ("entry", "name"),
        [
            ({"module": "os", "class_name": "function", "config": "system"}, "os.system"),
            (
                {"module": "keras.utils", "class_name": "function", "config": "get_file"},
                "keras.utils.get_file",
            ),
            ({"module": "subprocess", "class_name": "Popen", "config": {}}, "subprocess.Popen"),
            (
                {
                    "module": None,
                    "class_name": "TFOpLambda",
                    "config": {"function": "io.gfile"},
                },
                "io.gfile",
            ),
            ({"class_name": "__lambda__", "config": {"value": "x"}}, "Lambda"),
        ],
    )
    def test_foreign_names_are_refused(self, tmp_path, entry, name):
        path = tmp_path / "model.keras"
        config = {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "s", "layers": [entry]},
        }
        write(path, config)
        line = refused(path)
        assert f"keras_sparsebnn only, got {name} (" in line

    @pytest.mark.parametrize("config", ["ste_sign", {}])
    @pytest.mark.parametrize(
        ("name", "module"),
        [
            ("os.popen", "tf_keras.src.utils.data_utils"),
            ("os.popen", "keras.src.utils.data_utils"),
            ("subprocess.getoutput", "keras_sparsebnn.experiments.provenance"),
            ("get_file", "keras.utils"),
        ],
    )
    def test_what_a_module_imports_is_no_activation(self, tmp_path, name, module, config):
        """Keras would call it on the constant that is the layer's input."""
        proof, path = tmp_path / "it ran", tmp_path / "model.keras"
        activation = {"class_name": name, "module": module, "config": config}
        for key in ({}, {"registered_name": "SteSign"}, {"registered_name": None}):
            nodes = [[["_CONSTANT_VALUE", -1, f"touch '{proof}'", {}]]]
            layers = [
                layer("InputLayer", "i", [], batch_input_shape=[None, 3]),
                layer("Activation", "a", nodes, activation={**activation, **key}),
            ]
            ends = {"input_layers": [["i", 0, 0]], "output_layers": [["a", 0, 0]]}
            write(
                path,
                {
                    "module": "keras.src.engine.functional",
                    "class_name": "Functional",
                    "config": {"name": "m", "layers": layers, **ends},
                },
            )
            line = refused(path)
            assert "a constant that is not a number" in line
            assert f"{module}.{name}" in line
        assert not proof.exists()

    def test_a_compiled_model_within_a_model_is_fine(self, tmp_path):
        inner = keras.Sequential([keras.layers.Dense(3, input_shape=(4,))])
        inner.compile(keras.optimizers.Adam(), keras.losses.Huber(), ["accuracy"])
        model = keras.Sequential([inner, keras.layers.Softmax()])
        rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
        model.compile(keras.optimizers.SGD(rate), "mse")
        model.save(tmp_path / "model.keras")
        loading.load_model(tmp_path / "model.keras")

    def test_operators_and_activations_are_fine(self, tmp_path):
        x = keras.layers.Input((4,))
        y = keras.layers.Dense(3, activation="relu")(tf.nn.relu(x) * 2.0 + 1.0)
        model = keras.Model(x, y)
        path = tmp_path / "model.keras"
        model.save(path)
        loaded = loading.load_model(path)
        inputs = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
        np.testing.assert_array_equal(
            loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
        )
