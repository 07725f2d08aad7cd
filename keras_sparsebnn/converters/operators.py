"""Which operators of a .tflite compute what the model does, and the layers that bring others.

LCE's converter writes what it cannot translate as a custom operator of TensorFlow's name, in
silence. No interpreter has a kernel for it, and none says so before the file is loaded.

An LSTM of fixed batch size becomes one operator, whose two states LCE's converter (0.16) merges
into one tensor. And it keeps them: each inference goes on from the one before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from keras_sparsebnn.converters.errors import ConversionError
from keras_sparsebnn.tflite_file import Operator, Subgraph, read

__all__ = ["BUILTIN_VERSIONS", "CUSTOM", "check_operators"]

_OF_VERSION_1 = """
    ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE CEIL
    COMPLEX_ABS CONV_3D CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DILATE DYNAMIC_UPDATE_SLICE ELU
    EMBEDDING_LOOKUP_SPARSE EXPAND_DIMS FLOOR HARD_SWISH HASHTABLE HASHTABLE_FIND
    HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG L2_POOL_2D
    LOCAL_RESPONSE_NORMALIZATION LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION MATRIX_DIAG
    MATRIX_SET_DIAG MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 ONE_HOT POW
    PRELU RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK READ_VARIABLE REAL REDUCE_ALL REDUCE_ANY
    REDUCE_WINDOW RELU_0_TO_1 RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE RFFT2D RIGHT_SHIFT ROUND
    SCATTER_ND SEGMENT_SUM SHAPE SIN SKIP_GRAM SQRT SQUARE STABLEHLO_ADD STABLEHLO_GATHER
    STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_MULTIPLY STABLEHLO_PAD
    STABLEHLO_REDUCE_WINDOW STABLEHLO_RNG_BIT_GENERATOR STABLEHLO_SCATTER UNIQUE
    UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM
    VAR_HANDLE WHILE ZEROS_LIKE
"""

_OF_LATER_VERSIONS = """
    ABS:5 ADD:5 ARG_MAX:3 ARG_MIN:3 AVERAGE_POOL_2D:3 BATCH_MATMUL:4
    BATCH_TO_SPACE_ND:4 BIDIRECTIONAL_SEQUENCE_LSTM:3 BIDIRECTIONAL_SEQUENCE_RNN:3
    BROADCAST_TO:3 CAST:6 CONCATENATION:4 CONV_2D:8 DEPTHWISE_CONV_2D:7 DEPTH_TO_SPACE:2
    DEQUANTIZE:5 DIV:2 EMBEDDING_LOOKUP:3 EQUAL:4 EXP:2 FAKE_QUANT:2 FILL:4 FLOOR_DIV:3
    FLOOR_MOD:2 FULLY_CONNECTED:11 GATHER:7 GATHER_ND:5 GELU:2 GREATER:2 GREATER_EQUAL:3
    L2_NORMALIZATION:2 LEAKY_RELU:2 LESS:3 LESS_EQUAL:2 LOG:2 LOGISTIC:3 LOG_SOFTMAX:2
    LSTM:4 MAXIMUM:4 MAX_POOL_2D:3 MEAN:3 MINIMUM:4 MIRROR_PAD:3 MUL:7 NOT_EQUAL:3 PACK:4
    PAD:4 PADV2:4 QUANTIZE:3 RANGE:2 REDUCE_MAX:3 REDUCE_MIN:3 REDUCE_PROD:2 RELU:3 RELU6:3
    RESIZE_BILINEAR:4 RESIZE_NEAREST_NEIGHBOR:4 REVERSE_V2:3 RNN:3 RSQRT:3 SELECT:4
    SELECT_V2:2 SIGN:2 SLICE:6 SOFTMAX:3 SPACE_TO_BATCH_ND:4 SPACE_TO_DEPTH:2
    SPARSE_TO_DENSE:3 SPLIT:4 SPLIT_V:2 SQUARED_DIFFERENCE:2 SQUEEZE:2 STRIDED_SLICE:8 SUB:5
    SUM:2 SVDF:4 TANH:3 TILE:3 TOPK_V2:3 TRANSPOSE:6 TRANSPOSE_CONV:5
    UNIDIRECTIONAL_SEQUENCE_LSTM:4 UNIDIRECTIONAL_SEQUENCE_RNN:3 UNPACK:4 WHERE:2
"""

BUILTIN_VERSIONS = dict.fromkeys(_OF_VERSION_1.split(), 1) | {
    name: int(version)
    for name, version in (entry.split(":") for entry in _OF_LATER_VERSIONS.split())
}
"""Name -> newest version that LCE's interpreter has a kernel for. Stock LiteRT has all of them.
Asked of larq-compute-engine 0.16 and ai-edge-litert 2.3 by loading a file with each."""

CUSTOM = (
    *("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d"),
    *("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"),
)
"""Custom operators: LCE's, which the delegate brings to a stock TFLite, and TFLite's own."""

_ADVICE = {
    r"Erfc?": "Use another activation: TFLite has swish, which is close to gelu.",
    r"Softsign": "Use another activation: TFLite has tanh, which is close to softsign.",
    r"Resize(Bicubic|Area)|ScaleAndTranslate": 'Use interpolation="bilinear" or "nearest".',
    r"MaxPoolWithArgmax": "Use a MaxPooling2D layer.",
    r"MaxPool3D|AvgPool3D": "Reshape the map and use a 2D pooling.",
}
_GENERAL_ADVICE = "Use an activation or a layer that consists of TFLite's operators."


def check_operators(flat: bytes, layers: Sequence[str] = ()) -> None:
    """Asserts that LCE's interpreter, and stock TFLite with the delegate, run every operator.

    Args:
        flat: an LCE file's bytes.
        layers: paths of the model's layers, to name the one that brings an operator.

    Raises:
        ConversionError: there is an operator that neither has a kernel for, or one that keeps
            a state between inferences.
    """
    model = read(flat)
    codes = model.root.tables("operator_codes")
    outputs = {tensor: name for name, tensor in model.output_names.items()}
    for graph in model.subgraphs:
        for operator in graph.operators:
            version = codes[operator.table.integer("opcode_index")].integer("version")
            newest = BUILTIN_VERSIONS.get(operator.name, 0)
            known = operator.name in CUSTOM or 1 <= version <= newest
            if known and not _keeps_state(graph, operator):
                continue
            names = [graph.tensors[i].name for i in operator.outputs if i >= 0]
            # Instead of its name, an output of the model has the signature's: its layer's.
            if graph is model.subgraphs[0]:
                names += [outputs[i] for i in operator.outputs if i in outputs]
            layer = _layer(names, layers)
            if known:
                raise ConversionError(
                    "Expected operators that keep nothing from one inference to the next, got "
                    f"{operator.name} ({_where(layer)}). Build the layer with unroll=True; the "
                    "weights fit."
                )
            raise _no_kernel(operator, version if newest else None, layer)


def _keeps_state(graph: Subgraph, operator: Operator) -> bool:
    return any(
        graph.tensors[index].table.integer("is_variable")
        for index in operator.inputs
        if index >= 0
    )


def _layer(tensors: Sequence[str], layers: Sequence[str]) -> str | None:
    """The layer that a tensor is named after: `model/outer/layer/Erf` by `outer/layer`."""
    found = [
        path for path in layers for name in tensors if f"/{path}/" in f"/{name.split(';')[0]}/"
    ]
    return max(found, key=len, default=None)


def _where(layer: str | None) -> str:
    return "a layer without a name in the file" if layer is None else f"layer {layer}"


def _no_kernel(operator: Operator, version: int | None, layer: str | None) -> ConversionError:
    name = operator.name.removeprefix("Flex")
    advice = next((text for key, text in _ADVICE.items() if re.fullmatch(key, name)), None)
    which = operator.name if version is None else f"{operator.name} version {version}"
    return ConversionError(
        f"Expected operators that LCE and TFLite can run, got {which} ({_where(layer)}). "
        f"{advice or _GENERAL_ADVICE}"
    )
