"""Where a benchmark ran: machine, versions, date, commit.

Importing this, before TensorFlow, sets what TensorFlow reads from its environment.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    metadata.version("tf-keras")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
except metadata.PackageNotFoundError:
    pass

DISTRIBUTIONS = (
    "tensorflow",
    "tf-keras",
    "larq",
    "larq-compute-engine",
    "ai-edge-litert",
    "numpy",
    "scipy",
)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return round(pages * size / 2**30, 1)


def _commit() -> str | None:
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return shown.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def own_peak_bytes() -> int:
    """Peak resident memory of this process; a measurement without it makes no sense."""
    # Here, not above: environment() serves benchmarks of starting up as well.
    from keras_sparsebnn.runtime.memory import peak_bytes

    peak = peak_bytes()
    if peak is None:
        raise SystemExit("Expected a Linux whose /proc tells the peak memory. Measure there.")
    return peak


def environment() -> dict[str, Any]:
    """The header of every result file."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "python": platform.python_version(),
        "versions": _versions(),
    }
