"""One inference of a `.tflite` in LiteRT on an emulated AArch64, its instructions recorded.

qemu-user executes it with count_plugin.c (Debian's package qemu-user; the static one has no
plugins). What a library asks about its core is answered as the core would: the features come
from qemu, the core's number from a /proc/cpuinfo that is laid over the sysroot (XNNPACK reads
that), and `SPARSEBNN_CORE` for the delegate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arm.build import FOLDER, ROOT, host_library
from benchmarks.arm.executed import Maps, Record, RecordError, parse
from benchmarks.arm.op_cost import WARM_UP
from delegate.arm import emulate

QEMU = "qemu-aarch64"
WINDOW = 2500
"""Instructions of a window, beside those that warm up."""
PLUGIN = ROOT / "benchmarks" / "arm" / "count_plugin.c"
GUEST = ROOT / "benchmarks" / "arm" / "marked_invoke.py"


@dataclass(frozen=True)
class Stream:
    """A processor as the libraries see it, and the cores whose models schedule what ran.

    Args:
        name: of the core.
        qemu: its name in qemu 7.2, or that of one with the same instructions.
        part: the number in /proc/cpuinfo.
        delegate: the core's kind, `SPARSEBNN_CORE`.
        models: names that llvm-mca knows.
    """

    name: str
    qemu: str
    part: int
    delegate: str
    models: tuple[str, ...]


STREAMS = (
    Stream("cortex-a72", "cortex-a72", 0xD08, "cortex-a72", ("cortex-a72",)),
    # V1 and N2 have SVE and int8 matrices besides, which this stream does not use.
    Stream(
        *("neoverse-n1", "neoverse-n1", 0xD0C, "out-of-order"),
        ("neoverse-n1", "neoverse-v1", "neoverse-n2"),
    ),
    Stream("cortex-a53", "cortex-a53", 0xD03, "in-order", ("cortex-a53",)),
    # qemu 7.2 has no A55. Variant 0 in /proc/cpuinfo is revision r0, for which XNNPACK takes no
    # dot products; later revisions have them.
    Stream("cortex-a55", "cortex-a76", 0xD05, "in-order", ("cortex-a55",)),
)


@dataclass(frozen=True)
class Run:
    """A recorded inference.

    Attributes:
        record: what was executed.
        maps: where libraries lie.
        partitions: the delegate's, with nodes and kernels; empty without it.
    """

    record: Record
    maps: Maps
    partitions: Sequence[dict[str, Any]]


def missing(sysroot: Path) -> str | None:
    """Why nothing can be counted here; None if it can."""
    if shutil.which(QEMU) is None:
        return f"expected {QEMU}, got none; run: apt-get install qemu-user"
    return emulate.missing(sysroot)


def plugin(folder: Path = FOLDER) -> Path:
    """Compiles count_plugin.c for this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    return host_library(PLUGIN, folder)


def cpu_info(stream: Stream) -> str:
    """What Linux tells about the processor; as many as this machine has."""
    lines = {
        **{"BogoMIPS": "100.00", "Features": "fp asimd", "CPU implementer": "0x41"},
        **{"CPU architecture": "8", "CPU variant": "0x0", "CPU part": f"{stream.part:#x}"},
        "CPU revision": "4",
    }
    text = "".join(f"{name}\t: {value}\n" for name, value in lines.items())
    return "".join(f"processor\t: {i}\n{text}\n" for i in range(os.cpu_count() or 1))


def _overlay(sysroot: Path, stream: Stream, folder: Path) -> Path:
    """A sysroot that is another one, by links, and has a /proc/cpuinfo."""
    for path in (sysroot / "root").iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text(cpu_info(stream), encoding="utf-8")
    return folder


def run(
    model: Path,
    stream: Stream,
    *,
    sysroot: Path,
    counter: Path,
    library: Path | None = None,
    glue: bool = True,
    windows: int = 60,
) -> Run:
    """Runs a model twice after warming up: counted, then sampled.

    Args:
        model: a `.tflite`.
        stream: the processor.
        sysroot: see `delegate.arm.sysroot`.
        counter: see `plugin`.
        library: the delegate, for AArch64; none: stock LiteRT alone.
        glue: the delegate's option.
        windows: pieces of the stream to sample.

    Raises:
        RecordError: the program failed, or its record is not whole.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        overlay = folder / "root"
        overlay.mkdir()
        root = _overlay(sysroot, stream, overlay)
        record, told = folder / "record.txt", folder / "told.json"
        variables = {"OPENBLAS_NUM_THREADS": "1", "SPARSEBNN_CORE": stream.delegate}
        _, *command = emulate.python_command(sysroot, environment=variables)
        command[command.index("-cpu") + 1] = stream.qemu
        command[command.index("-L") + 1] = str(root)
        options = f"{counter},out={record},windows={windows},size={WARM_UP + WINDOW}"
        command = [str(shutil.which(QEMU)), "-plugin", options, *command, str(GUEST)]
        command += [str(model), str(library or "none"), str(told), str(int(glue))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not told.is_file():
            raise RecordError(f"{model.name} failed: {done.stderr.strip()[-500:]}")
        with record.open(encoding="utf-8") as lines:
            recorded = parse(lines)
        answer = json.loads(told.read_text("utf-8"))
    profile = answer["profile"] or {"partitions": []}
    return Run(recorded, Maps(answer["maps"]), profile["partitions"])
