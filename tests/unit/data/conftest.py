"""Data sets that several modules look at."""

from __future__ import annotations

import pytest

from keras_sparsebnn import data


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")
