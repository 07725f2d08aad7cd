"""All generated tables by name, and the pages that have them."""

from __future__ import annotations

from docs.generate import (
    arm_networks,
    compression,
    few_codewords,
    int8_layers,
    networks,
    oblivious,
    pretrained,
    regimes,
    replica,
    search,
    speed,
    systems,
    thread_gain,
    two_epochs,
    whole_networks,
)
from docs.generate.pages import ROOT, Tables, names, pages, rewritten

TABLES: Tables = {
    **regimes.TABLES,
    **replica.TABLES,
    **two_epochs.TABLES,
    **speed.TABLES,
    **networks.TABLES,
    **oblivious.TABLES,
    **thread_gain.TABLES,
    **whole_networks.TABLES,
    **arm_networks.TABLES,
    **few_codewords.TABLES,
    **compression.TABLES,
    **int8_layers.TABLES,
    **pretrained.TABLES,
    **search.TABLES,
    **systems.TABLES,
}


def stale(tables: Tables) -> list[str]:
    """What is wrong, a line each: tables that are out of date, unknown, or on no page."""
    found, placed = [], set()
    for page in pages():
        text, where = page.read_text("utf-8"), page.relative_to(ROOT)
        for name in names(text):
            placed.add(name)
            if name not in TABLES:
                found.append(f"{where}: there is no table {name}")
            elif name in tables and rewritten(text, {name: tables[name]}) != text:
                found.append(f"{where}: the table {name} is out of date")
    return found + [f"the table {name} is on no page" for name in tables if name not in placed]


def write(tables: Tables) -> None:
    """Writes the pages whose tables changed."""
    for page in pages():
        text = page.read_text("utf-8")
        new = rewritten(text, tables)
        if new != text:
            page.write_text(new, "utf-8")
            print(f"Wrote {page.relative_to(ROOT)}")
