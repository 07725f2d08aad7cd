"""Stages of training: float kernels, then their signs, then codewords."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keras_sparsebnn._keras import keras
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import sparse_quantizer
from keras_sparsebnn.quantizers import STAGES, SubsetKernel
from keras_sparsebnn.training.keras.fit_progress import (
    Logs,
    check_built,
    check_total_steps,
    steps_done,
    total_steps_of,
)
from keras_sparsebnn.transforms.kernels import latent_kernel
from keras_sparsebnn.transforms.walk import all_layers

__all__ = ["StageSchedule", "has_stages"]


def _staged(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, SubsetKernel]]:
    """Layers whose quantizer has stages, wherever they are in the model."""
    for _, layer in all_layers(model):
        quantizer = sparse_quantizer(layer)
        if quantizer is not None and quantizer.built and quantizer.has_stages:
            yield layer, quantizer


def has_stages(model: keras.Model) -> bool:
    """Whether a layer's kernel quantizer was made with `starts_as`."""
    return any(True for _ in _staged(model))


class StageSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Takes every quantizer made with `starts_as` through its stages.

    The stage before step `t` depends on `t`, the optimizer's counter, alone, and lies in the
    quantizers' variables: a resumed training neither repeats a choice of codewords nor misses
    it.

    Args:
        stages: from the fraction of training, in [0, 1), to the stage entered there: "float",
            "sign" or "codewords". Before the first, the stage stays as it is.
        total_steps: where the fraction is 1; epochs x steps of the running `fit` if None.

    Raises:
        SparseBNNError: an invalid fraction or stage, unknown `total_steps`, or, when
            training starts, a model that is not built, or no layer that has stages.

    Example:
        >>> two_step = StageSchedule({0.5: "sign", 0.7: "codewords"}, total_steps=100)
        >>> [two_step.stage_at(step) for step in (0, 49, 50, 99)]
        [None, None, 'sign', 'codewords']
    """

    def __init__(self, stages: Mapping[float, str], *, total_steps: int | None = None) -> None:
        super().__init__()
        for fraction, stage in stages.items():
            if not 0 <= fraction < 1:
                raise SparseBNNError(
                    f"Expected fractions of training in [0, 1), got {fraction} ({stage})."
                )
            if stage not in STAGES:
                raise SparseBNNError(
                    f"Expected a stage out of {', '.join(STAGES)}, got {stage!r:.60}."
                )
        if not stages:
            raise SparseBNNError("Expected at least one stage, got none.")
        check_total_steps(total_steps)
        self.stages = dict(sorted(stages.items()))
        self.total_steps = total_steps
        self._entered: str | None = None

    def stage_at(self, step: int) -> str | None:
        """The stage that optimizer step `step` is trained in; None before the first."""
        total = total_steps_of(self)
        due = [stage for start, stage in self.stages.items() if step >= round(start * total)]
        return due[-1] if due else None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._entered = None
        check_built(self.model, self)
        if not has_stages(self.model):
            raise SparseBNNError(
                "Expected a layer whose kernel quantizer has stages, got none. "
                'Make the quantizers with starts_as="sign" or "float".'
            )

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        stage = self.stage_at(steps_done(self.model))
        if stage is None or stage == self._entered:
            return
        for layer, quantizer in _staged(self.model):
            if quantizer.stage != stage:
                quantizer.enter(stage, latent_kernel(layer))
        self._entered = stage
