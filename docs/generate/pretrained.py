"""The table of docs/pretrained.md, from the cards of the models."""

from __future__ import annotations

from docs.generate.pages import Tables, markdown
from keras_sparsebnn.pretrained import load, names

__all__ = ["TABLES"]


def table() -> str:
    """A row a file."""
    rows = []
    for card in (load(name).card for name in names()):
        for file, facts in card["files"].items():
            rows.append(
                [
                    f"`{card['name']}`",
                    f"`{file}`",
                    str(card["codewords"]),
                    f"{facts['bytes']:,}",
                    f"{facts['accuracy']:.2%}",
                    f"{card['data']['test_images']:,}",
                ]
            )
    header = ["model", "file", "n", "bytes", "test accuracy", "test images"]
    return (
        f"{markdown(header, rows)}\n\nMeasured from the files, through the delegate, by "
        "`python -m benchmarks.pretrained NAME`; tests hold it to the cards."
    )


TABLES: Tables = {"pretrained": table}
