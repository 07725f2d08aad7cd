"""Where a benchmark ran: machine, versions, date, commit.

Importing this, before TensorFlow, sets what TensorFlow reads from its environment.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from keras_sparsebnn.experiments.provenance import provenance

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


def _memory_gib() -> float | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return round(pages * size / 2**30, 1)


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
    made = provenance()
    return {
        "date": made["date"],
        "commit": made["commit"],
        "machine": {
            "cpu": made["processor"],
            "cores": os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "python": platform.python_version(),
        "versions": _versions(),
    }
