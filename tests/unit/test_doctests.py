"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import keras_sparsebnn

# Run as scripts, these end the process.
SCRIPTS = {"keras_sparsebnn.__main__", "keras_sparsebnn.runtime.worker"}
# A shared library, but none of Python's: pkgutil goes by the name's end.
NATIVE = {"keras_sparsebnn.runtime.libsparsebnn_delegate"}
PACKAGES = keras_sparsebnn.__path__
FOUND = {module.name for module in pkgutil.walk_packages(PACKAGES, "keras_sparsebnn.")}
MODULES = sorted(FOUND - SCRIPTS - NATIVE)


def test_every_package_is_walked():
    assert {"keras_sparsebnn.codebook", "keras_sparsebnn.converters.inspect"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    with np.printoptions(legacy=False):
        failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
