"""To which part of a network every executed instruction belongs.

The delegate asks for the time before each group of nodes that it runs in one pass, so the
record of a run has a segment for each group. The delegate's own code in it is the group's. So
is other code, if the partition goes on; after the last group of a partition, other code is
what the runtime does until the next one: nodes that are not the delegate's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.arm.emulated_network import Run
from benchmarks.arm.executed import RecordError, assembly
from benchmarks.arm.op_cost import WARM_UP, Window

DELEGATE, LITERT, REST = "delegate", "litert", "rest"
LIBRARIES = (DELEGATE, LITERT, REST)
STOCK, BEFORE, BETWEEN, AFTER = "stock", "stock, before", "stock, between", "stock, after"


@dataclass(frozen=True)
class Pass:
    """Nodes that the delegate runs in one pass.

    Attributes:
        nodes: their numbers in the file; the first gives the pass its kernel.
        op: of the first.
        kernel: in the delegate's words.
        output: shape that the first one writes.
        last: whether the partition ends here.
    """

    nodes: tuple[int, ...]
    op: str
    kernel: str
    output: tuple[int, ...]
    last: bool

    @property
    def kind(self) -> str:
        """What is counted together in tables."""
        if self.is_binary:
            *_, height, width, _ = self.output
            return f"binary {height}x{width}"
        if self.op == "AVERAGE_POOL_2D" or self.kernel.startswith("1x1 "):
            return "shortcut"
        names = {"LceQuantize": "quantize", "LceBMaxPool2d": "max pool"}
        names |= {"CONV_2D": "stem", "DEPTHWISE_CONV_2D": "stem"}
        return names.get(self.op, "glue")

    @property
    def is_binary(self) -> bool:
        """Whether it begins with a binary convolution."""
        return self.op in ("LceBconv2d", "SparsebnnBconv2d")


def passes(partitions: Sequence[Mapping[str, Any]]) -> list[Pass]:
    """The delegate's passes in the order in which they run, from its profile."""
    found = []
    for partition in partitions:
        heads: dict[int, dict[str, Any]] = {}
        nodes: dict[int, list[int]] = {}
        for node in partition["nodes"]:
            head = node["node"]
            if node["kernel"].startswith("in node "):
                head = int(node["kernel"].removeprefix("in node "))
            else:
                heads[head] = node
            nodes.setdefault(head, []).append(node["node"])
        for place, (number, head) in enumerate(heads.items()):
            own = (number, *(n for n in nodes[number] if n != number))
            output, last = tuple(head["output"]), place == len(heads) - 1
            found.append(Pass(own, head["op"], head["kernel"], output, last))
    return found


def library_kind(name: str) -> str:
    """One of `LIBRARIES`, of a shared library's file name."""
    if "sparsebnn" in name:
        return DELEGATE
    return LITERT if "tflite" in name.lower() or "litert" in name.lower() else REST


class Parts:
    """The parts of one run.

    Args:
        run: see `emulated_network.run`.

    Raises:
        RecordError: the delegate's groups are not those that ran.
    """

    def __init__(self, run: Run) -> None:
        self.record, self.passes = run.record, passes(run.partitions)
        if len(self.record.counts) != len(self.passes) + 1:
            raise RecordError(
                f"Expected {len(self.passes)} groups of nodes as the delegate says, got "
                f"{len(self.record.counts) - 1} in the record."
            )
        binary = (n for n, each in enumerate(self.passes) if each.is_binary)
        self._first_binary = next(binary, len(self.passes))
        self._library = {
            number: library_kind(run.maps.library(block.address))
            for number, block in self.record.blocks.items()
        }

    def kind(self, segment: int, block: int) -> str:
        """Of an execution of a block."""
        if not self.passes:
            return STOCK
        if segment == 0:
            return BEFORE
        own = self.passes[segment - 1]
        if not own.last or self._library[block] == DELEGATE:
            return own.kind
        if segment == len(self.passes):
            return AFTER
        return BETWEEN if segment > self._first_binary else BEFORE

    def _size(self, block: int) -> int:
        return len(self.record.blocks[block].words)

    def by_library(self) -> dict[str, int]:
        """Instructions of each of `LIBRARIES`."""
        total: Counter[str] = Counter(dict.fromkeys(LIBRARIES, 0))
        for counts in self.record.counts:
            for block, n in counts.items():
                total[self._library[block]] += n * self._size(block)
        return dict(total)

    def by_kind(self) -> dict[str, int]:
        """Instructions of each kind of part, the largest first."""
        total: Counter[str] = Counter()
        for segment, counts in enumerate(self.record.counts):
            for block, n in counts.items():
                total[self.kind(segment, block)] += n * self._size(block)
        return dict(total.most_common())

    def by_pass(self) -> list[dict[str, Any]]:
        """A row for every pass of the delegate, with its instructions."""
        rows = []
        for segment, own in enumerate(self.passes, 1):
            mine = sum(
                n * self._size(block)
                for block, n in self.record.counts[segment].items()
                if self.kind(segment, block) == own.kind
            )
            rows.append(
                {
                    **{"nodes": list(own.nodes), "op": own.op, "kernel": own.kernel},
                    **{"output": list(own.output), "instructions": mine},
                }
            )
        return rows

    def windows(self) -> list[Window]:
        """The sampled windows, as `op_cost.estimate` takes them."""
        blocks = self.record.blocks
        used = {block for window in self.record.windows for _, block in window}
        text = assembly(word for block in used for word in blocks[block].words)
        found = []
        for window in self.record.windows:
            lines: tuple[list[str], list[str]] = ([], [])
            kinds: Counter[str] = Counter()
            for segment, block in window:
                warm = len(lines[0]) >= WARM_UP
                lines[warm].extend(text[word] for word in blocks[block].words)
                if warm:
                    kinds[self.kind(segment, block)] += self._size(block)
            if lines[1]:
                found.append(Window("\n".join(lines[0]), "\n".join(lines[1]), kinds))
        return found
