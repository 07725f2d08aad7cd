"""All figures of the documentation, drawn into docs/images/."""

from __future__ import annotations

from docs.generate import (
    architecture_figure,
    arm_networks,
    bit_sliced_figure,
    evidence_figure,
    few_codewords,
    kernel_cost_figure,
    search,
    selection_figure,
    two_epochs,
    whole_networks,
)
from docs.generate.pages import ROOT

IMAGES = ROOT / "docs" / "images"


def draw() -> None:
    """Draws every figure again."""
    architecture_figure.draw(IMAGES)
    bit_sliced_figure.draw(IMAGES / "bit_sliced.png")
    kernel_cost_figure.draw(IMAGES / "kernel_cost.png")
    selection_figure.draw(IMAGES / "selection.png")
    evidence_figure.draw(IMAGES / "evidence.png")
    two_epochs.draw(IMAGES)
    whole_networks.draw(IMAGES / "whole_networks.png")
    arm_networks.draw(IMAGES / "arm_networks.png")
    search.draw(IMAGES / "search.png")
    few_codewords.draw(IMAGES / "few_codewords.png")


def stale() -> list[str]:
    """What is wrong, a line each, where that can be seen without drawing."""
    return architecture_figure.stale(IMAGES)
