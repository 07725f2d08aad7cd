"""What a source of a model may be, and what is said about everything else."""

from __future__ import annotations

import pytest

from keras_sparsebnn import saved_models
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError


@pytest.fixture
def model():
    return keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])


def test_a_saved_model_folder(model, tmp_path):
    tf.saved_model.save(model, str(tmp_path / "model"))
    with pytest.raises(
        SparseBNNError,
        match=r"got a SavedModel folder .*load_model .*model\.save\('model\.keras",
    ):
        saved_models.model_file(str(tmp_path / "model"))


def test_weights_only(model, tmp_path):
    for name in ("plain.h5", "new.weights.h5"):
        model.save_weights(tmp_path / name)
        with pytest.raises(
            SparseBNNError, match=r"got a file with weights only .*load_weights"
        ):
            saved_models.load_model(tmp_path / name)


def test_an_unfinished_run(tmp_path):
    with pytest.raises(SparseBNNError, match="sparsebnn train --out"):
        saved_models.model_file(str(tmp_path))


def test_an_empty_file_is_damaged(tmp_path):
    import h5py

    h5py.File(tmp_path / "empty.h5", "w").close()
    with pytest.raises(SparseBNNError, match="it cannot be loaded"):
        saved_models.load_model(tmp_path / "empty.h5")
