"""Registers a quantizer with Keras and larq."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

from keras_sparsebnn._keras import keras, lq
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.methods import METHODS

__all__ = ["register_quantizer"]

Class = TypeVar("Class", bound=type)

# Arguments that a run sets by itself, so that they are no options of a method.
_SET_BY_A_RUN = {"codewords", "freeze_step", "seed", "starts_as"}


def register_quantizer(
    alias: str, *, package: str = "keras_sparsebnn"
) -> Callable[[Class], Class]:
    """Class decorator: saved models and `kernel_quantizer="alias"` find the class.

    Args:
        alias: the name to use in place of an object, as larq's "ste_sign".
        package: prefix of the class's registered name; your own for your own quantizers.

    Raises:
        SparseBNNError: another class has the alias or the class's name; or the class is one
            of this package's and differs from its line in `quantizers.methods`.

    Example:
        >>> from keras_sparsebnn.quantizers import FixedSubset
        >>> @register_quantizer("my_subset", package="mine")
        ... class MySubset(FixedSubset):
        ...     pass
        >>> lq.quantizers.get_kernel_quantizer("my_subset").codewords
        32
    """

    def register(cls: Class) -> Class:
        known = keras.utils.get_custom_objects()
        for name in (alias, cls.__name__):
            other = known.get(name, cls)
            # A cell of a notebook that runs again defines the same class again.
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise SparseBNNError(
                    f"Expected a new name, got {name!r}, which {other.__module__}."
                    f"{other.__qualname__} has already. Choose another."
                )
        if package == "keras_sparsebnn":
            _check_table(cls, alias)
        keras.utils.register_keras_serializable(package=package)(cls)
        lq.utils.register_keras_custom_object(cls)
        lq.utils.register_alias(alias)(cls)
        return cls

    return register


def _check_table(cls: type, alias: str) -> None:
    """Raises if the class's arguments and defaults are not those of the table."""
    (method,) = (m for m in METHODS.values() if m.quantizer == cls.__name__)
    arguments: dict[str, object] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("keras_sparsebnn.") and "__init__" in vars(base):
            for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
                if parameter.kind is parameter.KEYWORD_ONLY:
                    arguments.setdefault(name, parameter.default)
    stated = {k: v for k, v in arguments.items() if k not in _SET_BY_A_RUN}
    table = {k: v.default for k, v in method.options.items() if not v.scheduled}
    if stated != table or alias != method.alias:
        raise SparseBNNError(
            f"Expected {cls.__name__} to be {method.alias!r} with the options {table}, as in "
            f"quantizers.methods, got {alias!r} with {stated}."
        )
