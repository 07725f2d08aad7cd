"""Loads trained models from files that need not be trusted.

A Keras file can name any Python code to run: `.h5` files carry the byte code of `Lambda`
layers, and Keras 2 executes it even with `safe_mode=True`. So the configuration is read as
plain JSON first, and a model that names anything but what `trusted_names` lists is refused.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    from keras_sparsebnn._keras import keras

__all__ = ["load_model", "model_file"]

MAX_JSON_BYTES = 64 * 2**20
"""Far above any real configuration; bounds what a crafted file can make us read."""

MAX_ARCHIVE_BYTES = 4 * 2**30
"""The same for a `.keras` file, unpacked."""

# What Keras raises for damaged files, depending on where the damage is.
_DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def model_file(source: str) -> Path:
    """The model of a run folder, or the file itself.

    Raises:
        SparseBNNError: nothing is there, or it is not a `.keras` or `.h5` file.
    """
    path = Path(source)
    if (path / "saved_model.pb").exists():
        raise SparseBNNError(
            f"Expected a run folder, a .keras or an .h5 file, got a SavedModel folder "
            f"({source}). Load it with tf.keras.models.load_model and save it again with "
            "model.save('model.keras')."
        )
    if path.is_dir():
        path = path / "model.keras"
        if not path.exists():
            raise SparseBNNError(
                f"Expected a finished run with a model.keras, found none in {source}. Train "
                f"first, or go on with: sparsebnn train --out {source}"
            )
    elif not path.exists():
        raise SparseBNNError(
            f"Expected a run folder or a model file, found nothing at {source}."
        )
    if path.suffix not in (".keras", ".h5"):
        raise SparseBNNError(
            f"Expected a run folder, a .keras or an .h5 file, got {source}. "
            "Save with model.save('model.keras')."
        )
    return path


def _damaged(path: Path, reason: object) -> SparseBNNError:
    text = " ".join(str(reason).split())[:200]
    return SparseBNNError(
        f"Expected a Keras model, but it cannot be loaded: {text} ({path}). The file is "
        "damaged or of another Keras version: save it again."
    )


def _configuration(path: Path) -> object:
    """The model's configuration, parsed and not executed."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_ARCHIVE_BYTES:
                raise ValueError(f"unpacked it has over {MAX_ARCHIVE_BYTES} bytes")
            if archive.getinfo("config.json").file_size > MAX_JSON_BYTES:
                raise ValueError(f"config.json is over {MAX_JSON_BYTES} bytes")
            with archive.open("config.json") as file:
                return json.loads(file.read(MAX_JSON_BYTES))
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs and len(file):
            raise SparseBNNError(
                f"Expected a whole model, got a file with weights only ({path}). Build the "
                "model, call model.load_weights, and save it with model.save('model.keras')."
            )
        return json.loads(file.attrs["model_config"])


def _read_part(configuration: object) -> object:
    """Without how the model was compiled, which `compile=False` leaves alone."""
    if not isinstance(configuration, dict):
        return configuration
    return {key: value for key, value in configuration.items() if key != "compile_config"}


def load_model(path: Path) -> keras.Model:
    """The Keras model in a `.keras` or `.h5` file, without its optimizer.

    Raises:
        SparseBNNError: the file is damaged, or would run code that is not from Keras, larq or
            this package.
    """
    from keras_sparsebnn import layers, quantizers  # noqa: F401  an .h5 needs them registered
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.saved_models.trusted_names import untrusted

    try:
        foreign = sorted(set(untrusted(_read_part(_configuration(path)))))
        if not foreign:
            return keras.models.load_model(path, safe_mode=True, compile=False)
    except SparseBNNError:
        raise
    except (*_DAMAGE, RecursionError) as error:
        raise _damaged(path, error) from error
    raise SparseBNNError(
        f"Expected layers of Keras, larq and keras_sparsebnn only, got {', '.join(foreign)} "
        f"({path}): loading would run code from elsewhere. If you trust it, load it in Python "
        "and call keras_sparsebnn.converters.convert_keras_model."
    )
