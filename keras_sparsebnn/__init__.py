"""Sub-bit binary neural networks for Keras, by learned kernel selection.

Importing this package imports no TensorFlow: the submodules load when they are first used, so
`keras_sparsebnn.runtime` starts fast and runs on boards that have only LiteRT. The Keras
classes register when Keras is loaded, be it before or after, so that `load_model` needs
no `custom_objects`.
"""

from __future__ import annotations

import importlib

from keras_sparsebnn._registration import register_with_keras

TYPE_CHECKING = False  # `typing` takes longer to import than all the rest of this
if TYPE_CHECKING:
    from typing import Any

    from keras_sparsebnn import (
        codebook,
        converters,
        data,
        estimators,
        layers,
        models,
        pretrained,
        quantizers,
        runtime,
        search,
        training,
    )
    from keras_sparsebnn.analysis import accounting, plots
    from keras_sparsebnn.analysis.summaries import summary
    from keras_sparsebnn.selection import matching
    from keras_sparsebnn.transforms.allocation import allocate
    from keras_sparsebnn.transforms.batch_norm import reestimate_batch_norm
    from keras_sparsebnn.transforms.freezing import freeze
    from keras_sparsebnn.transforms.restriction import restrict

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "accounting",
    "allocate",
    "codebook",
    "converters",
    "data",
    "estimators",
    "freeze",
    "layers",
    "matching",
    "models",
    "plots",
    "pretrained",
    "quantizers",
    "reestimate_batch_norm",
    "restrict",
    "runtime",
    "search",
    "summary",
    "training",
]

_HOME = {
    "allocate": "keras_sparsebnn.transforms.allocation",
    "freeze": "keras_sparsebnn.transforms.freezing",
    "reestimate_batch_norm": "keras_sparsebnn.transforms.batch_norm",
    "restrict": "keras_sparsebnn.transforms.restriction",
    "summary": "keras_sparsebnn.analysis.summaries",
}
_MODULES = {
    "accounting": "keras_sparsebnn.analysis.accounting",
    "matching": "keras_sparsebnn.selection.matching",
    "plots": "keras_sparsebnn.analysis.plots",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in __all__:
        return importlib.import_module(_MODULES.get(name, f"{__name__}.{name}"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_keras()
