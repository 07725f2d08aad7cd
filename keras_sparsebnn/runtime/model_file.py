"""Reads and checks a `.tflite` before an interpreter sees it.

Interpreters trust their input: a truncated file crashes the process. FlexBuffer options and the
values in tensors are not checked here.
"""

from __future__ import annotations

import os

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime.load_checks import check_loadable
from keras_sparsebnn.tflite_file import Model, operator_name, read
from keras_sparsebnn.tflite_file.model import read_bytes

__all__ = ["custom_ops", "load", "read_model", "tensor_names"]


def load(model: str | os.PathLike[str] | bytes) -> tuple[Model, str]:
    """A `.tflite`, checked, and what to call it in messages.

    Args:
        model: the path of a file, or its content.

    Raises:
        SparseBNNError: it is too long, truncated or not a `.tflite`.
        OSError: it cannot be read.
    """
    if isinstance(model, (bytes, bytearray, memoryview)):
        name, flat = "bytes", bytes(model)
    else:
        name, flat = os.fspath(model), None
    try:
        file = read(read_bytes(name) if flat is None else flat)
        check_loadable(file)
    except SparseBNNError as error:
        raise SparseBNNError(f"{str(error).removesuffix('.')} ({name}).") from None
    except MemoryError as error:
        raise SparseBNNError(
            f"Expected enough memory to read a .tflite, got too little ({name})."
        ) from error
    return file, name


def read_model(model: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    """A `.tflite`'s bytes, structure checked, and what to call it in messages.

    Args:
        model: the path of a file, or its content.

    Raises:
        SparseBNNError: it is too long, truncated or not a `.tflite`.
        OSError: it cannot be read.
    """
    file, name = load(model)
    return file.flat, name


def custom_ops(data: bytes | Model) -> list[str]:
    """Names of the custom ops a model uses, sorted; `data` as `read_model` returns it."""
    model = read(data) if isinstance(data, bytes) else data
    codes = model.root.tables("operator_codes")
    custom = {code.text("custom_code") for code in codes} - {""}
    return sorted(custom & {operator_name(code) for code in codes})


def tensor_names(model: Model) -> tuple[list[str], list[str]]:
    """Names of a model's inputs and outputs, in its order.

    The signature's names where the model has one signature, else the tensors' names, which
    converters invent.
    """
    graph = model.subgraphs[0]
    signed = len(model.root.tables("signature_defs")) == 1
    sides = []
    for tensors, names in (
        (graph.inputs, model.input_names),
        (graph.outputs, model.output_names),
    ):
        named = {index: name for name, index in names.items()} if signed else {}
        sides.append([named.get(index) or graph.tensors[index].name for index in tensors])
    return sides[0], sides[1]
