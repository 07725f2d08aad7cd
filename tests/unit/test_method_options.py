"""The methods' names and options, as data and as classes."""

import inspect
from pathlib import Path

import pytest

from keras_sparsebnn.quantizers import METHODS, SubsetKernel
from keras_sparsebnn.training.settings import method_options


def arguments(cls):
    """The names of all constructor arguments, inherited ones included."""
    found = set()
    for base in cls.__mro__:
        if issubclass(base, SubsetKernel) and "__init__" in vars(base):
            found |= set(inspect.signature(vars(base)["__init__"]).parameters)
    return found - {"self", "kwargs"}


def test_same_names():
    assert set(method_options.METHODS) == set(METHODS) == set(method_options.OPTIONS)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_option_is_an_argument_or_scheduled(method):
    options = set(method_options.OPTIONS[method])
    assert options - method_options.SCHEDULED <= arguments(METHODS[method])
    # What a run sets itself; everything else can be reached with --set.
    assert arguments(METHODS[method]) - options <= {"codewords", "seed", "starts_as"}


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_class_is_registered_under_its_name(method):
    from keras_sparsebnn._keras import keras

    cls = METHODS[method]
    assert keras.utils.get_registered_object(f"keras_sparsebnn>{cls.__name__}") is cls


def test_the_page_explains_all_methods_and_options():
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text("utf-8")
    for method, options in method_options.OPTIONS.items():
        assert f"| `{method}` | `{METHODS[method].__name__}` |" in page
        assert [name for name in options if f"`{name}`" not in page] == []
