"""The most memory that this process has had."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak_bytes"]


def peak_bytes() -> int | None:
    """Peak resident memory of this process so far; None where the system does not say.

    Linux's VmHWM. Not getrusage's `ru_maxrss`: that maximum survives exec, so that the child
    of a large process starts with the peak of its parent.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None  # not Linux
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return None
