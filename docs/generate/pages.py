"""Pages and the tables in them.

A generated table stands between `<!-- table NAME -->` and `<!-- end -->`, each on a line of its
own. Everything else on a page is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Tables = Mapping[str, Callable[[], str]]

_TABLE = re.compile(
    r"(?<=^<!-- table )(\w+)( -->\n).*?(^<!-- end -->$)", re.DOTALL | re.MULTILINE
)


def pages() -> list[Path]:
    """README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names(text: str) -> list[str]:
    """The tables on a page, in order."""
    return [match[1] for match in _TABLE.finditer(text)]


def rewritten(text: str, tables: Tables) -> str:
    """A page with those of its tables that are in `tables` made anew."""

    def table(match: re.Match[str]) -> str:
        if match[1] not in tables:
            return match[0]
        return f"{match[1]}{match[2]}{tables[match[1]]()}\n{match[3]}"

    return _TABLE.sub(table, text)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table: text on the left, numbers on the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def commit(name: str) -> str:
    """`8e41dfbbc940`, and whether the files differed from it."""
    clean = name.removesuffix("-dirty")
    return f"commit {clean}" + (" with uncommitted changes" if clean != name else "")
