"""The tables of TFLite's `schema.fbs` version 3, as far as they are needed to copy any file.

A field is written `name type`, with the types

    1 2 4 8          a scalar of that many bytes
    [1] [2] [4] [8]  a vector of them; [1:16] is aligned to 16 bytes
    str              text
    X  [X]           a table, a vector of tables
    (U)              a table whose kind the field before it, `NAME_type`, tells

Deprecated fields keep their place. Scalars have no defaults here: what a file leaves out stays
left out.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "SHORTHAND", "UNIONS", "Field"]

Field = tuple[str, str]

_TABLES = """
Model: version 4, operator_codes [OperatorCode], subgraphs [SubGraph], description str,
  buffers [Buffer], metadata_buffer [4], metadata [Metadata], signature_defs [SignatureDef],
  external_buffer_groups [ExternalBufferGroup], external_buffers [ExternalBuffer]
OperatorCode: deprecated_builtin_code 1, custom_code str, version 4, builtin_code 4
SubGraph: tensors [Tensor], inputs [4], outputs [4], operators [Operator], name str,
  debug_metadata_index 4
Tensor: shape [4], type 1, buffer 4, name str, quantization QuantizationParameters,
  is_variable 1, sparsity SparsityParameters, shape_signature [4], has_rank 1,
  variant_tensors [VariantSubType], external_buffer 4
VariantSubType: shape [4], type 1, has_rank 1
QuantizationParameters: min [4], max [4], scale [4], zero_point [8], details_type 1,
  details (QuantizationDetails), quantized_dimension 4
SparsityParameters: traversal_order [4], block_map [4], dim_metadata [DimensionMetadata]
DimensionMetadata: format 1, dense_size 4, array_segments_type 1,
  array_segments (SparseIndexVector), array_indices_type 1, array_indices (SparseIndexVector)
Operator: opcode_index 4, inputs [4], outputs [4], builtin_options_type 1,
  builtin_options (BuiltinOptions), custom_options [1], custom_options_format 1,
  mutating_variable_inputs [1], intermediates [4], large_custom_options_offset 8,
  large_custom_options_size 8, builtin_options_2_type 1, builtin_options_2 (BuiltinOptions2),
  debug_metadata_index 4
Buffer: data [1:16], offset 8, size 8
Metadata: name str, buffer 4
SignatureDef: inputs [TensorMap], outputs [TensorMap], signature_key str, deprecated_tag str,
  subgraph_index 4
TensorMap: name str, tensor_index 4
ExternalBufferGroup: name str
ExternalBuffer: id 4, group 4, offset 8, length 8, packing str
"""

SHORTHAND = {
    **{size: size for size in "1248"},
    **{"B": "[1]", "H": "[2]", "I": "[4]", "Q": "[8]", "s": "str"},
}
"""How the fields of a union's members are abbreviated below; - is a member without any."""

# Members in the order of their numbers, NONE left out. The fields' names do not matter.
_MEMBERS = {
    "QuantizationDetails": "B 444I 444I",
    "SparseIndexVector": "I H B",
    "BuiltinOptions": """
        1441441 1444144 4II 1 144441 411 11 11111B 4 41 11 1 4444 14411 4411 4 I 441 4 1 1 - 44
        - - - 1 11 1 I 111 444441 - - 4 - 11 - - 1 - - - - - - - - 14411 1 - - - - 1 - 1 4441 44
        - 4 - - 44 - - - - 144111 1111 144111 - - 11 4 - 1 - 4 1 - - - - - - 44 - - - - 44 44 4
        - - - - - - 111 11 4 - - 14441444 411 - - - ss - - 88 I 1 - - - - - - - - - -
    """,
    "BuiltinOptions2": """
        8 Q QQQ QQQQB88Q88Q88Q88I s1s4IB Q4 1QQQ814 44 Q QQQ 8 QQQQI QQQQQ4 814 44 QQQ8Q1 Q - 1
        4 s4B14 - I
    """,
}


def _parse_tables() -> dict[str, tuple[Field, ...]]:
    tables = {}
    for entry in _TABLES.replace("\n  ", " ").strip().splitlines():
        kind, _, fields = entry.partition(": ")
        pairs = (field.split() for field in fields.split(", "))
        tables[kind] = tuple((name, form) for name, form in pairs)
    return tables


def _parse_members() -> dict[str, tuple[Field, ...]]:
    return {
        f"{union}/{number}": tuple(
            (f"field{place}", SHORTHAND[letter])
            for place, letter in enumerate(member.replace("-", ""))
        )
        for union, members in _MEMBERS.items()
        for number, member in enumerate(members.split(), 1)
    }


UNIONS = tuple(_MEMBERS)
"""Kinds of a union's members are called `UNION/NUMBER`."""

SCHEMA: dict[str, tuple[Field, ...]] = {**_parse_tables(), **_parse_members()}
"""Kind of table -> its fields, by number."""
