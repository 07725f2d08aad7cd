"""Cycles of AArch64 instruction sequences on modelled cores, by llvm-mca.

llvm-mca schedules instructions on LLVM's model of a core: issue width, units, latencies. It
knows no caches (every load hits), no branch prediction (every branch is predicted) and, as
asked here, no aliasing between loads and stores. Its numbers say what a core could do at best.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

CORES = (
    "cortex-a53",
    "cortex-a55",
    "cortex-a72",
    "neoverse-n1",
    "neoverse-v1",
    "neoverse-n2",
)
# The same core under the name of a board or a phone.
ALSO = {
    "cortex-a53": "Raspberry Pi 3",
    "cortex-a55": "little cores of phones since 2018",
    "cortex-a72": "Raspberry Pi 4",
    "neoverse-n1": "Cortex-A76, Raspberry Pi 5",
    "neoverse-v1": "Cortex-X1",
    "neoverse-n2": "Cortex-A710",
}
# From 19 on every core above has its own scheduling model.
OLDEST = 19

_WARM_UP, _STEADY = 50, 100


class McaError(RuntimeError):
    """llvm-mca is missing, or does not take the instructions."""


def tool(name: str) -> str:
    """Path of an LLVM tool, the newest version that is installed.

    Raises:
        McaError: no version from 19 on is installed.
    """
    for version in range(OLDEST + 6, OLDEST - 1, -1):
        if found := shutil.which(f"{name}-{version}"):
            return found
    if (found := shutil.which(name)) and _version(found) >= OLDEST:
        return found
    raise McaError(
        f"Expected {name} of LLVM {OLDEST} or newer, got none. "
        f"Run: apt-get install llvm-{OLDEST}"
    )


def _version(path: str) -> int:
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version (\d+)", shown.stdout)
    return int(match.group(1)) if match else 0


def _run(source: str, core: str, iterations: int, options: Sequence[str] = ()) -> str:
    command = [tool("llvm-mca"), "-mtriple=aarch64", f"-mcpu={core}", "-mattr=+sha3"]
    done = subprocess.run(
        [*command, f"-iterations={iterations}", *options, "-"],
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or "error:" in done.stderr:
        match = re.search(r"^<stdin>:(\d+):\d+: error: (.*)", done.stderr, re.MULTILINE)
        if match:
            line = source.splitlines()[int(match.group(1)) - 1].strip()
            raise McaError(f"llvm-mca for {core} refuses `{line}`: {match.group(2)}")
        raise McaError(f"llvm-mca for {core}: {done.stderr.strip()}")
    return done.stdout


def _total_cycles(sources: Mapping[str, str], core: str, iterations: int) -> dict[str, int]:
    # A comment in the very first line is taken for a preprocessor directive.
    regions = "\n" + "\n".join(
        f"# LLVM-MCA-BEGIN {name}\n{text}\n# LLVM-MCA-END" for name, text in sources.items()
    )
    options = ["-json", "-instruction-info=false", "-resource-pressure=false"]
    shown = json.loads(_run(regions, core, iterations, options))
    return {r["Name"]: int(r["SummaryView"]["TotalCycles"]) for r in shown["CodeRegions"]}


def steady_cycles(sources: Mapping[str, str], core: str) -> dict[str, float]:
    """Cycles per repetition of each sequence when it is repeated for ever.

    The difference between 150 and 50 repetitions, so filling and draining the pipeline does
    not count.

    Args:
        sources: assembly per name; names without blanks.
        core: one of `CORES`, or anything that `llvm-mca -mcpu` takes.

    Raises:
        McaError: if llvm-mca is missing or refuses an instruction.
    """
    if not sources:
        return {}
    first = _total_cycles(sources, core, _WARM_UP)
    both = _total_cycles(sources, core, _WARM_UP + _STEADY)
    return {name: (both[name] - first[name]) / _STEADY for name in sources}


def single_cycles(sources: Mapping[str, str], core: str) -> dict[str, int]:
    """Cycles of each sequence run once, from an empty pipeline to an empty pipeline."""
    return _total_cycles(sources, core, 1) if sources else {}


def report(source: str, core: str) -> str:
    """llvm-mca's own report with bottlenecks and a timeline, for whoever tunes a loop."""
    out_of_order = core not in ("cortex-a53", "cortex-a55")
    options = ["-timeline", "-timeline-max-iterations=2", "-timeline-max-cycles=160"]
    return _run(source, core, _STEADY, options + ["-bottleneck-analysis"] * out_of_order)


def instruction_costs(instructions: Sequence[str], core: str) -> list[dict[str, Any]]:
    """Latency, micro-operations and reciprocal throughput of single instructions."""
    shown = json.loads(_run("\n".join(instructions), core, 1, ["-json"]))
    listed: list[dict[str, Any]] = shown["CodeRegions"][0]["InstructionInfoView"][
        "InstructionList"
    ]
    return listed
