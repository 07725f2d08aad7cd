"""The data set that runs of all rooms are tried on."""

from __future__ import annotations

import pytest

from keras_sparsebnn import data


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")
