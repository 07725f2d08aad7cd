"""Which wheels fit a board."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_sparsebnn.devices.wheels import Target, fitting

PI = Target("aarch64", (3, 11), (2, 36))
PI32 = Target("armv7l", (3, 11), (2, 36))


@pytest.mark.parametrize(
    ("name", "target", "fits"),
    [
        ("keras_sparsebnn-0.1.0-py3-none-manylinux2014_aarch64.whl", PI, True),
        ("keras_sparsebnn-0.1.0-py3-none-manylinux2014_armv7l.whl", PI, False),
        ("keras_sparsebnn-0.1.0-py3-none-manylinux2014_armv7l.whl", PI32, True),
        ("numpy-2.2.6-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", PI, True),
        ("numpy-2.2.6-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", PI, False),
        ("a-1-cp311-cp311-manylinux_2_39_aarch64.whl", PI, False),
        ("a-1-cp311-cp311-musllinux_1_2_aarch64.whl", PI, False),
        ("a-1-cp311-cp311-linux_aarch64.whl", PI, True),
        ("a-1-cp38-abi3-manylinux2014_aarch64.whl", PI, True),
        ("a-1-cp312-abi3-manylinux2014_aarch64.whl", PI, False),
        ("a-1-cp38-cp38-manylinux2014_aarch64.whl", PI, False),
        ("a-1-py2-none-any.whl", PI, False),
        ("a-1-py2.py3-none-any.whl", PI, True),
        ("a-1-2-py3-none-any.whl", PI, True),
        ("a-1-py3-none-any.tar.gz", PI, False),
        ("a-1.whl", PI, False),
        ("a-1-py3-none-any.whl", Target("aarch64", (3, 11), (0, 0)), True),
    ],
)
def test_fits(name, target, fits):
    assert list(fitting([Path(name)], target).values()) == ([Path(name)] if fits else [])


def test_the_newest_of_each_project():
    names = ["b-1.10-py3-none-any.whl", "b-1.9-py3-none-any.whl", "A.c-2-py3-none-any.whl"]
    found = fitting(map(Path, names), PI)
    assert {key: path.name for key, path in found.items()} == {"a_c": names[2], "b": names[0]}
