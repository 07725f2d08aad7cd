"""The bytes of a .tflite: one schema, one reader, one writer, and a typed view.

`read` gives a `Model`; its tables can be changed, and `Model.to_bytes` writes them. NumPy only.
"""

from keras_sparsebnn.tflite_file.builder import ModelBuilder, operator_code
from keras_sparsebnn.tflite_file.model import (
    Model,
    Operator,
    Subgraph,
    Tensor,
    operator_name,
    read,
    read_bytes,
)
from keras_sparsebnn.tflite_file.reader import ModelFileError
from keras_sparsebnn.tflite_file.table import Table
from keras_sparsebnn.tflite_file.writer import write_tables

__all__ = [
    "Model",
    "ModelBuilder",
    "ModelFileError",
    "Operator",
    "Subgraph",
    "Table",
    "Tensor",
    "operator_code",
    "operator_name",
    "read",
    "read_bytes",
    "write_tables",
]
