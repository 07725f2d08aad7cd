"""The loop: epochs and steps, from wherever a run stands, until the end or a signal."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_sparsebnn._keras import keras
from keras_sparsebnn._signals import collected_signals
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.keras.codeword_usage import CodewordUsage, selections
from keras_sparsebnn.training.keras.event_log import write_epoch
from keras_sparsebnn.training.keras.random_groups import RandomGroups, searchable_layers
from keras_sparsebnn.training.keras.stages import has_stages
from keras_sparsebnn.training.run.interruption import TrainingInterruptedError
from keras_sparsebnn.training.run.job import Job
from keras_sparsebnn.training.run.progress import RunCheckpoints
from keras_sparsebnn.training.run.schedules import part_starts, selection_schedules

__all__ = ["Loop"]


class Loop:
    """Trains a model from wherever its run stands.

    Args:
        job: the run.
        model: compiled, all its variables made; they become those of the newest checkpoint.
        dataset: what it learns.

    Attributes:
        progress: where training stands.

    Raises:
        SparseBNNError: the checkpoints are damaged or another run's.
    """

    def __init__(self, job: Job, model: keras.Model, dataset: Dataset) -> None:
        self.job = job
        self.model = model
        self.dataset = dataset
        self.steps = dataset.steps(job.config.batch_size)
        self.schedules = selection_schedules(
            job.config, job.config.epochs * self.steps, staged=has_stages(model)
        )
        self.first_selection = selections(model)
        self.checkpoints = RunCheckpoints(job, model, self.steps)
        self.progress = self.checkpoints.restore()
        epoch, step = self.progress.epoch, self.progress.step
        if (epoch or step) and not self.is_done:
            job.console.report(
                f"Resuming at epoch {epoch + 1}, step {step + 1} of {self.steps}."
            )

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained."""
        return self.progress.epoch == self.job.config.epochs

    def run(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Trains all epochs that are left.

        Saves a checkpoint after each epoch, every `checkpoint_every` steps, and before a
        signal ends the loop.

        Raises:
            SparseBNNError: the loss is no longer finite, or a checkpoint cannot be saved.
            TrainingInterruptedError: SIGINT or SIGTERM came; a checkpoint was saved.
        """
        progress = self.progress
        later_parts = part_starts(self.job.config, self.steps)[1:]
        callback_list = self._callback_list(callbacks)
        with collected_signals() as received:
            callback_list.on_train_begin()
            while not self.is_done:
                if progress.step == 0 and progress.epoch * self.steps in later_parts:
                    self.model.optimizer.restart()
                callback_list.on_epoch_begin(progress.epoch)
                self._train_epoch(callback_list, received)
                self._end_epoch(callback_list)
                self._stop_if(received)
            self._finish_optimizer()
            callback_list.on_train_end()

    def _finish_optimizer(self) -> None:
        """As `model.fit` does at its end: an optimizer with `use_ema` sets its averages."""
        finalize = getattr(self.model.optimizer, "finalize_variable_values", None)
        if finalize is not None:  # legacy optimizers have none
            with self.job.cluster.strategy.scope():
                finalize(self.model.trainable_variables)

    def _callback_list(
        self, callbacks: Sequence[keras.callbacks.Callback]
    ) -> keras.callbacks.CallbackList:
        own = [*self.schedules]
        if searchable_layers(self.model):
            own.append(RandomGroups(self.job.config.seed))
        if self.job.cluster.is_chief:
            history = self.progress.history
            previous = history[-1]["selection"] if history else self.first_selection
            own.append(CodewordUsage(self.job.folder.logs, previous=previous))
        return keras.callbacks.CallbackList(
            [*own, *callbacks],
            model=self.model,
            epochs=self.job.config.epochs,
            steps=self.steps,
        )

    def _batches(self) -> Iterator[Any]:
        """The rest of this epoch, shared among the replicas."""
        config, progress = self.job.config, self.progress
        order = (progress.epoch, config.seed, config.batch_size, progress.step)
        return self.job.cluster.batches(lambda **share: self.dataset.train(*order, **share))

    def _train_epoch(
        self, callbacks: keras.callbacks.CallbackList, received: list[int]
    ) -> None:
        config, progress = self.job.config, self.progress
        train_step = self.model.make_train_function()
        if progress.step == 0:
            self.model.reset_metrics()
        batches = self._batches()
        started = time.perf_counter() - progress.seconds
        label = f"epoch {progress.epoch + 1}/{config.epochs}"
        with self.job.console.steps(label, progress.step, self.steps) as bar:
            while progress.step < self.steps:
                callbacks.on_train_batch_begin(progress.step)
                logs = train_step(batches)
                callbacks.on_train_batch_end(progress.step, logs)
                progress.step += 1
                progress.seconds = time.perf_counter() - started
                bar.update(logs)
                if progress.step == self.steps:
                    return  # the checkpoint comes with the epoch's evaluation
                due = config.checkpoint_every and progress.step % config.checkpoint_every == 0
                if due:
                    self.checkpoints.save(progress)
                if due or self.job.cluster.workers == 1:
                    self._stop_if(received)

    def _stop_if(self, received: list[int]) -> None:
        # Workers agree on where to stop when they have saved; alone, it can be at any step.
        progress = self.progress
        stop = self.job.cluster.any(bool(received))
        if not stop or self.is_done:
            return
        if progress.step:  # otherwise the epoch has just been saved
            self.checkpoints.save(progress)
        number = received[0] if received else signal.SIGTERM  # another worker's
        raise TrainingInterruptedError(
            f"Stopped by {signal.Signals(number).name} in epoch {progress.epoch + 1}, step "
            f"{progress.step} of {self.steps}; a checkpoint is in "
            f"{self.checkpoints.store.folder}. Run the same command to go on.",
            number,
        )

    def _end_epoch(self, callbacks: keras.callbacks.CallbackList) -> None:
        progress = self.progress
        scalars = self._scalars()
        record = {"epoch": progress.epoch, **scalars, "selection": selections(self.model)}
        # The logs come first: should the checkpoint fail, the epoch is trained and logged anew.
        callbacks.on_epoch_end(progress.epoch, record)
        if self.job.cluster.is_chief:
            write_epoch(
                self.job.folder.logs,
                progress.epoch,
                name="metrics",
                scalars=scalars,
                counts={},
                wall_time=time.time(),
            )
        progress.finish_epoch(record)
        self.checkpoints.save(progress)
        self.job.write_metrics(progress.history)
        self.job.console.report(
            f"epoch {progress.epoch}/{self.job.config.epochs}: loss {scalars['loss']:.4f}, "
            f"accuracy {scalars['accuracy']:.4f}, test accuracy "
            f"{scalars['val_accuracy']:.4f}, {scalars['seconds']:.1f} s"
        )

    def _scalars(self) -> Mapping[str, float]:
        """The epoch's metrics in training and, as `val_*`, on the test split."""
        started = time.perf_counter() - self.progress.seconds
        metrics = {metric.name: float(metric.result()) for metric in self.model.metrics}
        self._check_finite(metrics)
        tested = self.model.evaluate(
            self.dataset.test(self.job.config.batch_size), verbose=0, return_dict=True
        )
        on_test = {f"val_{name}": float(value) for name, value in tested.items()}
        self._check_finite(on_test)  # it may be the epoch's last update that diverged
        return {
            **metrics,
            **on_test,
            "learning_rate": float(keras.backend.get_value(self.model.optimizer.learning_rate)),
            "seconds": time.perf_counter() - started,
        }

    def _check_finite(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise SparseBNNError(
                    f"Expected a finite {name}, got {value} (epoch {self.progress.epoch + 1}). "
                    "Use another folder and a smaller --learning-rate."
                )
