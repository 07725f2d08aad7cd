"""What `make board-...` collects is what a board is brought."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from delegate.arm.architecture import ARCHITECTURES
from keras_sparsebnn.devices import board

MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_there_is_a_target_for_each_machine(name):
    (recipe,) = re.findall(rf"^board-{name}: wheel-{name}\n((?:\t.*\n)+)", MAKEFILE, re.M)
    assert ARCHITECTURES[name].machine in board.MACHINES
    assert f"_{ARCHITECTURES[name].machine}" in recipe
    assert "--dest dist/$@" in recipe


def test_armv7_gets_the_runtime_that_is_tested():
    (runtime,) = ARCHITECTURES["armv7"].wheels
    assert runtime in MAKEFILE
