"""TFLite's `schema.fbs`, version 3, as of LiteRT 2.3.0: its tables, unions and enums.

An entry is `Table: field type, ...;`, the fields in the order of their numbers, with the types

    i1 u4 f4    a scalar, as NumPy calls it, b1 a Boolean byte; `=1` is its default, if not 0
    [i4]        a vector of scalars
    text        a string
    X  [X]      a table, a vector of tables
    U           of a union: a table, whose number in U is in the field before, `NAME_type`

Deprecated fields keep their place. Tests compare all of it with the code that flatbuffers
generated for LiteRT and for TensorFlow.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BUILTIN_OPERATORS", "FAR", "SCHEMA", "TENSOR_TYPES", "UNIONS", "Field"]

_TABLES = """
Model: version u4, operator_codes [OperatorCode], subgraphs [SubGraph], description text,
  buffers [Buffer], metadata_buffer [i4], metadata [Metadata], signature_defs
  [SignatureDef], external_buffer_groups [ExternalBufferGroup], external_buffers
  [ExternalBuffer];
OperatorCode: deprecated_builtin_code i1, custom_code text, version i4=1, builtin_code i4;
SubGraph: tensors [Tensor], inputs [i4], outputs [i4], operators [Operator], name text,
  debug_metadata_index i4=-1;
Tensor: shape [i4], type i1, buffer u4, name text, quantization QuantizationParameters,
  is_variable b1, sparsity SparsityParameters, shape_signature [i4], has_rank b1,
  variant_tensors [VariantSubType], external_buffer u4;
VariantSubType: shape [i4], type i1, has_rank b1;
QuantizationParameters: min [f4], max [f4], scale [f4], zero_point [i8], details_type u1,
  details QuantizationDetails, quantized_dimension i4;
SparsityParameters: traversal_order [i4], block_map [i4], dim_metadata [DimensionMetadata];
DimensionMetadata: format i1, dense_size i4, array_segments_type u1, array_segments
  SparseIndexVector, array_indices_type u1, array_indices SparseIndexVector;
Operator: opcode_index u4, inputs [i4], outputs [i4], builtin_options_type u1,
  builtin_options BuiltinOptions, custom_options [u1], custom_options_format i1,
  mutating_variable_inputs [b1], intermediates [i4], large_custom_options_offset u8,
  large_custom_options_size u8, builtin_options_2_type u1, builtin_options_2
  BuiltinOptions2, debug_metadata_index i4=-1;
Buffer: data [u1], offset u8, size u8;
Metadata: name text, buffer u4;
SignatureDef: inputs [TensorMap], outputs [TensorMap], signature_key text, deprecated_tag
  text, subgraph_index u4;
TensorMap: name text, tensor_index u4;
ExternalBufferGroup: name text;
ExternalBuffer: id u4, group u4, offset u8, length u8, packing text
"""

# The members of each union, in the order of their numbers, which begin at 1. `Conv2D` of
# BuiltinOptions is the table Conv2DOptions, and so on.
_UNIONS = {
    "QuantizationDetails": """
CustomQuantization: custom [u1];
BlockwiseQuantization: scales i4, zero_points i4, block_size i4, block_shape [i4];
MultiAxisQuantization: scales i4, zero_points i4, block_size i4, quantized_dimensions [i4]
""",
    "SparseIndexVector": """
Int32Vector: values [i4]; Uint16Vector: values [u2]; Uint8Vector: values [u1]
""",
    "BuiltinOptions": """
Conv2D: padding i1, stride_w i4, stride_h i4, fused_activation_function i1, dilation_w_factor
  i4=1, dilation_h_factor i4=1, quantized_bias_type i1;
DepthwiseConv2D: padding i1, stride_w i4, stride_h i4, depth_multiplier i4,
  fused_activation_function i1, dilation_w_factor i4=1, dilation_h_factor i4=1;
ConcatEmbeddings: num_channels i4, num_columns_per_channel [i4], embedding_dim_per_channel [i4];
LSHProjection: type i1;
Pool2D: padding i1, stride_w i4, stride_h i4, filter_width i4, filter_height i4,
  fused_activation_function i1;
SVDF: rank i4, fused_activation_function i1, asymmetric_quantize_inputs b1;
RNN: fused_activation_function i1, asymmetric_quantize_inputs b1;
FullyConnected: fused_activation_function i1, weights_format i1, keep_num_dims b1,
  asymmetric_quantize_inputs b1, quantized_bias_type i1, quant_spec [u1];
Softmax: beta f4; Concatenation: axis i4, fused_activation_function i1;
Add: fused_activation_function i1, pot_scale_int16 b1=1; L2Norm: fused_activation_function i1;
LocalResponseNormalization: radius i4, bias f4, alpha f4, beta f4;
LSTM: fused_activation_function i1, cell_clip f4, proj_clip f4, kernel_type i1,
  asymmetric_quantize_inputs b1;
ResizeBilinear: new_height i4, new_width i4, align_corners b1, half_pixel_centers b1;
Call: subgraph u4; Reshape: new_shape [i4];
SkipGram: ngram_size i4, max_skip_size i4, include_all_ngrams b1; SpaceToDepth: block_size i4;
EmbeddingLookupSparse: combiner i1; Mul: fused_activation_function i1; Pad;
Gather: axis i4, batch_dims i4; BatchToSpaceND; SpaceToBatchND; Transpose;
Reducer: keep_dims b1; Sub: fused_activation_function i1, pot_scale_int16 b1=1;
Div: fused_activation_function i1; Squeeze: squeeze_dims [i4];
SequenceRNN: time_major b1, fused_activation_function i1, asymmetric_quantize_inputs b1;
StridedSlice: begin_mask i4, end_mask i4, ellipsis_mask i4, new_axis_mask i4, shrink_axis_mask
  i4, offset b1;
Exp; TopKV2; Split: num_splits i4; LogSoftmax; Cast: in_data_type i1, out_data_type i1;
Dequantize; MaximumMinimum; ArgMax: output_type i1; Less; Neg; PadV2; Greater; GreaterEqual;
LessEqual; Select; Slice;
TransposeConv: padding i1, stride_w i4, stride_h i4, fused_activation_function i1,
  quantized_bias_type i1;
SparseToDense: validate_indices b1; Tile; ExpandDims; Equal; NotEqual; Shape: out_type i1; Pow;
ArgMin: output_type i1; FakeQuant: min f4, max f4, num_bits i4, narrow_range b1;
Pack: values_count i4, axis i4; LogicalOr; OneHot: axis i4; LogicalAnd; LogicalNot;
Unpack: num i4, axis i4; FloorDiv; Square; ZerosLike; Fill;
BidirectionalSequenceLSTM: fused_activation_function i1, cell_clip f4, proj_clip f4,
  merge_outputs b1, time_major b1=1, asymmetric_quantize_inputs b1;
BidirectionalSequenceRNN: time_major b1, fused_activation_function i1, merge_outputs b1,
  asymmetric_quantize_inputs b1;
UnidirectionalSequenceLSTM: fused_activation_function i1, cell_clip f4, proj_clip f4, time_major
  b1, asymmetric_quantize_inputs b1, diagonal_recurrent_tensors b1;
FloorMod; Range; ResizeNearestNeighbor: align_corners b1, half_pixel_centers b1;
LeakyRelu: alpha f4; SquaredDifference; MirrorPad: mode i1; Abs; SplitV: num_splits i4;
Unique: idx_out_type i1=2; ReverseV2; AddN; GatherNd; Cos; Where; Rank;
ReverseSequence: seq_dim i4, batch_dim i4; MatrixDiag; Quantize; MatrixSetDiag; HardSwish;
If: then_subgraph_index i4, else_subgraph_index i4;
While: cond_subgraph_index i4, body_subgraph_index i4; DepthToSpace: block_size i4;
NonMaxSuppressionV4; NonMaxSuppressionV5; ScatterNd; SelectV2; Densify; SegmentSum;
BatchMatMul: adj_x b1, adj_y b1, asymmetric_quantize_inputs b1;
Cumsum: exclusive b1, reverse b1; CallOnce: init_subgraph_index i4; BroadcastTo; Rfft2d;
Conv3D: padding i1, stride_d i4, stride_w i4, stride_h i4, fused_activation_function i1,
  dilation_d_factor i4=1, dilation_w_factor i4=1, dilation_h_factor i4=1;
Hashtable: table_id i4, key_dtype i1, value_dtype i1; HashtableFind; HashtableImport;
HashtableSize; VarHandle: container text, shared_name text; ReadVariable; AssignVariable;
Random: seed i8, seed2 i8; Bucketize: boundaries [f4]; Gelu: approximate b1; DynamicUpdateSlice;
UnsortedSegmentProd; UnsortedSegmentMax; UnsortedSegmentMin; UnsortedSegmentSum; ATan2; Sign;
Bitcast; BitwiseXor; RightShift
""",
    "BuiltinOptions2": """
StablehloConcatenate: dimension i8; StablehloBroadcastInDim: broadcast_dimensions [i8];
StablehloSlice: start_indices [i8], limit_indices [i8], strides [i8];
StablehloConvolution: window_strides [i8], padding [i8], lhs_dilation [i8], rhs_dilation [i8],
  window_reversal [b1], input_batch_dimension i8, input_feature_dimension i8,
  input_spatial_dimensions [i8], kernel_input_feature_dimension i8,
  kernel_output_feature_dimension i8, kernel_spatial_dimensions [i8], output_batch_dimension i8,
  output_feature_dimension i8, output_spatial_dimensions [i8], feature_group_count i8,
  batch_group_count i8, precision_config [u4];
StablehloCustomCall: call_target_name text, has_side_effect b1, backend_config text, api_version
  i4, called_computations [i4], custom_attributes [u1];
StablehloReduce: dimensions [i8], body_subgraph_index i4;
StablehloScatter: indices_are_sorted b1, update_window_dims [i8], inserted_window_dims [i8],
  scatter_dims_to_operand_dims [i8], index_vector_dim i8, unique_indices b1,
  update_computation_subgraph_index i4;
StablehloCompare: comparison_direction u4, compare_type u4;
StablehloDynamicSlice: slice_sizes [i8];
StablehloPad: edge_padding_low [i8], edge_padding_high [i8], interior_padding [i8];
StablehloIota: iota_dimension i8;
StablehloDotGeneral: lhs_batching_dimensions [i8], rhs_batching_dimensions [i8],
  lhs_contracting_dimensions [i8], rhs_contracting_dimensions [i8], precision_config [u4];
StablehloReduceWindow: window_dimensions [i8], window_strides [i8], base_dilations [i8],
  window_dilations [i8], padding [i8], body_subgraph_index i4;
StablehloSort: dimension i8, is_stable b1, comparator_subgraph_index i4;
StablehloWhile: cond_subgraph_index i4, body_subgraph_index i4;
StablehloGather: offset_dims [i8], collapsed_slice_dims [i8], start_index_map [i8],
  index_vector_dim i8, slice_sizes [i8], indices_are_sorted b1;
StablehloTranspose: permutation [i8]; Dilate; StablehloRngBitGenerator: algorithm i1;
ReduceWindow: reduce_function i4;
StableHLOComposite: name text, decomposition_subgraph_index i4, composite_attributes [u1],
  composite_attributes_format i1, version i4;
StablehloShiftLeft; StablehloCase: branch_subgraph_indices [i4]
""",
}

_TENSOR_TYPES = """
FLOAT32 FLOAT16 INT32 UINT8 INT64 STRING BOOL INT16 COMPLEX64 INT8 FLOAT64 COMPLEX128 UINT64
RESOURCE VARIANT UINT32 UINT16 INT4 BFLOAT16 INT2 UINT4 FLOAT8_E4M3FN FLOAT8_E5M2
"""

_BUILTIN_OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1
RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT
LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG
PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE
EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD
REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE
RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D
IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS
RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE
RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE
STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT
STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW
STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""

TENSOR_TYPES = tuple(_TENSOR_TYPES.split())
"""`TensorType`: names by number."""

BUILTIN_OPERATORS = tuple(_BUILTIN_OPERATORS.split())
"""`BuiltinOperator`: names by number."""


class Field(NamedTuple):
    """One field of a table.

    Attributes:
        name: as in the schema.
        type: NumPy's name of a scalar's type, "text", or the name of a table or of a union.
        vector: whether it is a vector of these.
        scalar: whether `type` is the name of a NumPy type.
        default: value of a scalar that is not in the file.
        bytes: size in the table: a scalar's own, or 4 for an offset.
    """

    name: str
    type: str
    vector: bool
    scalar: bool
    default: int
    bytes: int


def _field(text: str) -> Field:
    name, form = text.split(" ")
    form, _, default = form.partition("=")
    type = form.strip("[]")
    vector, scalar = type != form, len(type) == 2
    size = int(type[1]) if scalar and not vector else 4
    numpy = f"<{type}".replace("b", "u")
    return Field(name, numpy if scalar else type, vector, scalar, int(default or 0), size)


def _parse(entries: str, suffix: str = "") -> dict[str, tuple[Field, ...]]:
    pairs = (entry.partition(": ") for entry in " ".join(entries.split()).split("; "))
    return {
        kind + suffix: tuple(map(_field, fields.split(", "))) if fields else ()
        for kind, _, fields in pairs
    }


_MEMBERS = {
    union: _parse(entries, "Options" if union.startswith("BuiltinOptions") else "")
    for union, entries in _UNIONS.items()
}

UNIONS = {union: ("NONE", *members) for union, members in _MEMBERS.items()}
"""The tables of each union, by number."""

SCHEMA = {
    **_parse(_TABLES),
    **{kind: fields for members in _MEMBERS.values() for kind, fields in members.items()},
}
"""The fields of each table, by number."""

FAR = {
    "Buffer": ("data", "offset", "size"),
    "Operator": (
        "custom_options",
        "large_custom_options_offset",
        "large_custom_options_size",
    ),
}
"""Vectors that may be behind the flatbuffer instead, and the fields with their offset in the
file and their size. Files of more than 2 GiB need that."""
