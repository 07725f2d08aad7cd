"""Bytes of activations that the ops of a `.tflite` read and write.

Every op reads each of its maps once and writes each once; ops that run in one pass are one op,
and a map that only they use is never in memory. How often a kernel reads its input again, and
what it keeps beside it, is not counted, nor are constants. RESHAPE moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from keras_sparsebnn.tflite_file import Model, read

BYTES = {"FLOAT32": 4, "INT32": 4, "INT8": 1, "UINT8": 1, "BOOL": 1, "INT64": 8, "FLOAT16": 2}
_MOVE_NOTHING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def map_bytes(
    model: Model | Path, passes: Iterable[Sequence[int]] = ()
) -> dict[str, dict[str, int]]:
    """What is read and written, by type of map.

    Args:
        model: a file. Its first graph is looked at.
        passes: numbers of nodes that run in one pass; all others run one by one.

    Returns:
        For "float" (FLOAT32) and "other" (bits, int8) the bytes `read` and `written`.

    Raises:
        ValueError: a node is in two passes, or a shape is not known.
    """
    if isinstance(model, Path):
        model = read(model)
    graph = model.subgraphs[0]
    group_of = {node: node for node in range(len(graph.operators))}
    seen: set[int] = set()
    for nodes in passes:
        if seen.intersection(nodes) or not set(nodes) <= set(group_of):
            raise ValueError(f"Expected nodes of the file, each in one pass; got {nodes}.")
        seen.update(nodes)
        group_of.update(dict.fromkeys(nodes, nodes[0]))
    alias = _aliases(model)
    writer = {
        alias.get(tensor, tensor): group_of[node]
        for node, op in enumerate(graph.operators)
        if op.name not in _MOVE_NOTHING
        for tensor in op.outputs
    }
    read_by: dict[int, set[int]] = {}
    for node, op in enumerate(graph.operators):
        if op.name not in _MOVE_NOTHING:
            for tensor in op.inputs:
                read_by.setdefault(alias.get(tensor, tensor), set()).add(group_of[node])
    outputs = {alias.get(tensor, tensor) for tensor in graph.outputs}
    total = {kind: {"read": 0, "written": 0} for kind in ("float", "other")}
    for number, each in enumerate(graph.tensors):
        if len(model.data(each)):
            continue
        kind = "float" if each.dtype == "FLOAT32" else "other"
        size = BYTES[each.dtype]
        for extent in each.shape:
            if extent < 1:
                raise ValueError(f"Expected the shape of {each.name!r}, got {each.shape}.")
            size *= extent
        others = read_by.get(number, set()) - {writer.get(number)}
        total[kind]["read"] += size * len(others)
        if number in writer and (others or number in outputs):
            total[kind]["written"] += size
    return total


def _aliases(model: Model) -> dict[int, int]:
    """Outputs of ops that move nothing, and whose bytes they are."""
    found: dict[int, int] = {}
    for op in model.subgraphs[0].operators:
        if op.name in _MOVE_NOTHING:
            source = found.get(op.inputs[0], op.inputs[0])
            found.update(dict.fromkeys(op.outputs, source))
    return found
