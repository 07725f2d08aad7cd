"""The native delegate: where its library is, its options, and the timings of its nodes."""

from __future__ import annotations

import ctypes
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from keras_sparsebnn.errors import SparseBNNError

__all__ = [
    "ISAS",
    "KERNELS",
    "DelegateOptions",
    "delegate_library",
    "has_delegate",
    "load_library",
    "profile_json",
]

KERNELS = ("auto", "xnor", "codebook", "reference")
"""Kernels a binary convolution can be pinned to; "auto" chooses per layer."""

ISAS = ("auto", "scalar", "avx2", "avx512", "neon")
"""Instruction sets; "auto" takes the best the processor has."""

_LIBRARY = Path(__file__).with_name("libsparsebnn_delegate.so")


def delegate_library() -> Path:
    """The external delegate's file, for any TFLite that loads delegates.

    Python's `load_delegate(path)`, `benchmark_model --external_delegate_path=path`, C and C++.

    Raises:
        SparseBNNError: this installation has no native library.
    """
    if not has_delegate():
        raise SparseBNNError(
            f"Expected the native library at {_LIBRARY}, found none. In a checkout run: make "
            "delegate; elsewhere install a wheel made for this machine."
        )
    return _LIBRARY


def has_delegate() -> bool:
    """Whether `delegate_library` will find something."""
    return _LIBRARY.is_file()


def load_library() -> ctypes.CDLL:
    """The library, loaded into this process, once however often this is called.

    Raises:
        SparseBNNError: the library is missing, or was built for another machine.
    """
    path = delegate_library()
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise SparseBNNError(
            f"Expected to load the delegate, got: {error}. In a checkout run: make delegate; "
            "elsewhere install a wheel made for this machine."
        ) from error


@dataclass(frozen=True)
class DelegateOptions:
    """What the delegate is created with.

    Args:
        num_threads: threads of one inference.
        kernel: one of `KERNELS`.
        isa: one of `ISAS`.
        profile: whether it measures the time of every node.
        glue: whether it also runs float elementwise ops and max pools beside binary ones.
        stem: whether it also runs convolutions of few channels, as networks begin with, in
            float or int8.

    Raises:
        SparseBNNError: `kernel` or `isa` is not in its list, or another one is no boolean.
    """

    num_threads: int = 1
    kernel: str = "auto"
    isa: str = "auto"
    profile: bool = False
    glue: bool = True
    stem: bool = True

    def __post_init__(self) -> None:
        for name, choices in (("kernel", KERNELS), ("isa", ISAS)):
            value = getattr(self, name)
            if value not in choices:
                raise SparseBNNError(
                    f"Expected `{name}` to be one of {choices}, got {value!r}."
                )

        for name in ("profile", "glue", "stem"):
            value = getattr(self, name)
            if value not in (0, 1):
                raise SparseBNNError(f"Expected `{name}` to be True or False, got {value!r}.")

    def strings(self) -> dict[str, str]:
        """The options as `load_delegate` takes them."""
        return {
            name: v if isinstance(v, str) else str(int(v)) for name, v in asdict(self).items()
        }


class LoadedDelegate(Protocol):
    """What `load_delegate` returns, in each of the interpreter's packages."""

    def _get_native_delegate_pointer(self) -> ctypes.c_void_p: ...


def profile_json(delegate: LoadedDelegate) -> str:
    """What a delegate that was loaded with `profile=True` has measured."""
    function = load_library().sparsebnn_delegate_profile_json
    function.argtypes = [ctypes.c_void_p]
    function.restype = ctypes.c_char_p
    text: bytes = function(delegate._get_native_delegate_pointer())
    return text.decode()
