"""Which wheels of a folder fit a board: file names by PEP 427, tags by PEP 425 and 600."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Target", "fitting"]

_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


@dataclass(frozen=True)
class Target:
    """A Python on a board.

    Attributes:
        machine: `platform.machine()`, as armv7l.
        python: its version, as (3, 11).
        glibc: its C library's, as (2, 36); (0, 0) if that is another.
    """

    machine: str
    python: tuple[int, int]
    glibc: tuple[int, int]


def _runs_python(tag: str, abi: str, python: tuple[int, int]) -> bool:
    found = re.fullmatch(r"(py|cp)(\d)(\d{0,3})", tag)
    if found is None or int(found[2]) != python[0]:
        return False
    minor = int(found[3]) if found[3] else None
    if found[1] == "py":
        return abi == "none" and (minor is None or minor <= python[1])
    if abi == "abi3":
        return minor is not None and minor <= python[1]
    return minor == python[1] and abi in ("none", f"cp{python[0]}{python[1]}")


def _runs_here(tag: str, target: Target) -> bool:
    if tag in ("any", f"linux_{target.machine}"):
        return True
    if not tag.endswith(f"_{target.machine}"):
        return False
    name = tag.removesuffix(f"_{target.machine}")
    if found := re.fullmatch(r"manylinux_(\d{1,3})_(\d{1,3})", name):
        return (int(found[1]), int(found[2])) <= target.glibc
    return name in _OLD_NAMES and _OLD_NAMES[name] <= target.glibc


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text))


def fitting(paths: Iterable[Path], target: Target) -> dict[str, Path]:
    """For each project (`ai_edge_litert`), the newest wheel that runs on the target.

    Example:
        >>> board = Target("aarch64", (3, 11), (2, 36))
        >>> names = ["six-1.17.0-py2.py3-none-any.whl", "numpy-2.2.6-cp312-cp312-any.whl"]
        >>> list(fitting(map(Path, names), board))
        ['six']
    """
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    for path in paths:
        parts = path.name.removesuffix(".whl").split("-")
        if path.suffix != ".whl" or len(parts) not in (5, 6):
            continue
        project, version = parts[0].lower().replace(".", "_"), _version(parts[1])
        pythons, abis, platforms = (part.split(".") for part in parts[-3:])
        fits = any(_runs_python(p, a, target.python) for p in pythons for a in abis)
        if fits and any(_runs_here(tag, target) for tag in platforms):
            found[project] = max(found.get(project, ((), path)), (version, path))
    return {project: path for project, (_, path) in sorted(found.items())}
