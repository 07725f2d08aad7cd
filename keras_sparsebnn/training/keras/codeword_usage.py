"""Which codewords layers use, for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from keras_sparsebnn._keras import keras
from keras_sparsebnn.analysis.usage import binary_layers, codeword_counts, usage_entropy
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.training.keras.event_log import write_epoch
from keras_sparsebnn.training.keras.fit_progress import Logs, check_built

__all__ = ["CodewordUsage", "selections"]


def selections(model: keras.Model) -> dict[str, list[int]]:
    """The codeword ids that evaluation uses, sorted, for each layer with a subset.

    Layers in an earlier stage are not listed.

    Example:
        >>> selections(keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]))
        {}
    """
    found = {}
    for layer in binary_layers(model):
        quantizer = sparse_quantizer(layer)
        if quantizer is None or quantizer.covers_codebook:
            continue
        if quantizer.is_restricted:
            found[layer.name] = sorted(int(i) for i in quantizer.selection.numpy())
    return found


class CodewordUsage(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Shows in TensorBoard which codewords each binary layer uses, after every epoch.

    Per layer: `codewords/<layer>`, the histogram over codeword ids of the kernels;
    `usage_entropy/<layer>` in bits per kernel; and, where a subset is selected,
    `changed_slots/<layer>`, the codewords that were not selected an epoch earlier.

    Args:
        log_dir: where event files go; one file an epoch, replaced if it is trained again.
        previous: the selections before the first epoch, to go on after an interruption; those
            at the start of training if None.

    Raises:
        SparseBNNError: when training starts, a model that is not built.

    Example:
        >>> callback = CodewordUsage("logs")
    """

    def __init__(
        self, log_dir: str | Path, *, previous: dict[str, list[int]] | None = None
    ) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.previous = previous

    def on_train_begin(self, logs: Logs = None) -> None:
        check_built(self.model, self)
        if self.previous is None:
            self.previous = selections(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        counts = {layer.name: codeword_counts(layer) for layer in binary_layers(self.model)}
        scalars = {f"usage_entropy/{k}": usage_entropy(v) for k, v in counts.items()}
        now = selections(self.model)
        for layer, ids in now.items():
            before = (self.previous or {}).get(layer, ids)
            scalars[f"changed_slots/{layer}"] = float(len(np.setdiff1d(ids, before)))
        self.previous = now
        write_epoch(
            self.log_dir,
            epoch,
            name="codewords",
            scalars=scalars,
            counts={f"codewords/{k}": v for k, v in counts.items()},
            wall_time=time.time(),
        )
