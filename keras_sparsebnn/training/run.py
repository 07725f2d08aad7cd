"""`train`: one run in one folder, which resumes exactly where it was cut off."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from keras_sparsebnn import data
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.batch_norm import reestimate_batch_norm
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.freezing import freeze
from keras_sparsebnn.training.atomic import replaced, write_json
from keras_sparsebnn.training.callbacks import CodewordUsage, selections
from keras_sparsebnn.training.checkpoint import CheckpointStore
from keras_sparsebnn.training.config import RunConfig
from keras_sparsebnn.training.event_log import write_epoch
from keras_sparsebnn.training.folder import check, locked, one_line_os_errors
from keras_sparsebnn.training.recipe import compiled_model, selection_schedules

__all__ = ["TrainingInterruptedError", "train"]


class TrainingInterruptedError(SparseBNNError):
    """SIGINT or SIGTERM stopped a run, after a checkpoint.

    Attributes:
        signal: which.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


def train(
    config: RunConfig,
    out: str | Path,
    *,
    download: bool = False,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Trains in the folder `out`, or goes on there if it holds an unfinished run of `config`.

    A run that is killed at any moment and started again ends with the same weights and the
    same history, bit for bit, as one that is not (on one machine, with one TensorFlow), as long
    as the model's only randomness is its selection. With several replicas, `val_*` may differ
    after resuming: a checkpoint keeps the mean of their batch-norm statistics. Sets
    TensorFlow's seeds and, if `config.deterministic`, its op determinism, for the whole
    process.

    Args:
        config: what to train.
        out: gets `run.json`, `metrics.json`, `model.keras`, `checkpoints/` and `logs/`.
        download: let TFDS fetch a dataset that is not there.
        progress: show progress bars, if this is a terminal.
        report: gets a line about each epoch and whatever else is worth saying.
        callbacks: Keras callbacks; they see `on_train_*`, `on_epoch_*`, `on_train_batch_*`.

    Returns:
        What `metrics.json` holds.

    Raises:
        SparseBNNError: no such dataset, another run in `out`, no room for a checkpoint, loss
            no longer finite, ...: one line.
        TrainingInterruptedError: SIGINT or SIGTERM came; a checkpoint was saved.
    """
    out = Path(out)
    with one_line_os_errors(out), locked(out):
        finished = check(out, config)
        if finished is not None:
            report(f"Already finished: {out}. Nothing to train.")
            return finished
        dataset = data.load(
            config.dataset,
            data_dir=config.data_dir,
            image_size=config.image_size,
            augmentation=config.augmentation,
            download=download,
        )
        with _mixed_precision(config.mixed_precision):
            run = _Run(config, out, dataset, report, progress=progress)
            if not (out / "run.json").exists():
                # Only now: settings that do not work must not claim the folder.
                config.save(out / "run.json")
            run.fit(callbacks)
            return run.finish()


class _Run:
    """A model, its data and how far it has come."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        dataset: data.Dataset,
        report: Callable[[str], None],
        *,
        progress: bool,
    ) -> None:
        self.config = config
        self.out = out
        self.dataset = dataset
        self.report = report
        self.progress = progress
        self.steps = dataset.steps(config.batch_size)
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.strategy = (
            tf.distribute.MirroredStrategy()
            if config.strategy == "mirrored"
            else tf.distribute.get_strategy()
        )
        with self.strategy.scope():
            self.model = compiled_model(config, dataset, self.steps)
            self._create_state()
        # Where training stands: what a checkpoint keeps besides variables.
        self.epoch = 0
        self.step = 0  # within the epoch
        self.seconds = 0.0  # of the epoch so far
        self.history: list[dict[str, Any]] = []
        self.initial_selection = selections(self.model)
        self.store = CheckpointStore(out / "checkpoints")
        self.checkpoint = tf.train.Checkpoint(model=self.model, metrics=self.model.metrics)
        self._resume()

    def _create_state(self) -> None:
        """Creates the variables that Keras makes only in the first step."""
        self.model.optimizer.build(self.model.trainable_variables)
        shape = (1, *self.dataset.input_shape)

        def one_step() -> None:
            labels, logits = tf.zeros([1], tf.int64), tf.zeros([1, self.dataset.classes])
            self.model.compute_loss(y=labels, y_pred=logits)
            self.model.compute_metrics(tf.zeros(shape), labels, logits, None)

        tf.function(self.strategy.run)(one_step)
        self.model.reset_metrics()

    # Checkpoints.

    def _save(self) -> None:
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
        }
        self.store.save(self.checkpoint, self.epoch * self.steps + self.step, state)

    def _resume(self) -> None:
        state = self.store.restore(self.checkpoint)
        if state is None:
            return
        epoch, step = state.get("epoch"), state.get("step")
        history, seconds = state.get("history"), state.get("seconds")
        if not (
            isinstance(epoch, int)
            and isinstance(step, int)
            and isinstance(seconds, float)
            and isinstance(history, list)
            and 0 <= epoch <= self.config.epochs
            and 0 <= step < self.steps
            and epoch * self.steps + step
            == int(keras.backend.get_value(self.model.optimizer.iterations))
            and len(history) == epoch
            and all(_is_record(record) for record in history)
        ):
            raise SparseBNNError(
                f"Expected a checkpoint of this run, got one of epoch {epoch!r:.20}, step "
                f"{step!r:.20} ({self.store.folder}). Remove that folder to start again."
            )
        self.epoch, self.step, self.seconds, self.history = epoch, step, seconds, history
        if epoch < self.config.epochs:
            self.report(f"Resuming at epoch {epoch + 1}, step {step + 1} of {self.steps}.")

    # Training.

    def fit(self, callbacks: Sequence[Any]) -> None:
        """Trains all epochs that are left."""
        previous = self.history[-1]["selection"] if self.history else self.initial_selection
        callback_list = keras.callbacks.CallbackList(
            [
                *selection_schedules(self.config, self.config.epochs * self.steps),
                CodewordUsage(self.out / "logs", previous=previous),
                *callbacks,
            ],
            model=self.model,
            epochs=self.config.epochs,
            steps=self.steps,
        )
        with _signals() as received:
            callback_list.on_train_begin()
            while self.epoch < self.config.epochs:
                callback_list.on_epoch_begin(self.epoch)
                self._train_epoch(callback_list, received)
                self._end_epoch(callback_list)
                self._stop_if(received)
            callback_list.on_train_end()

    def _train_epoch(self, callbacks: Any, received: list[int]) -> None:
        train_step = self.model.make_train_function()
        config = self.config
        if self.step == 0:
            self.model.reset_metrics()
        batches = self.dataset.train(self.epoch, config.seed, config.batch_size, self.step)
        iterator = iter(self.strategy.experimental_distribute_dataset(batches))
        started = time.perf_counter() - self.seconds
        with tqdm(
            total=self.steps,
            initial=self.step,
            desc=f"epoch {self.epoch + 1}/{config.epochs}",
            unit="step",
            leave=False,
            disable=None if self.progress else True,  # None: only on a terminal
        ) as bar:
            while self.step < self.steps:
                callbacks.on_train_batch_begin(self.step)
                logs = train_step(iterator)
                callbacks.on_train_batch_end(self.step, logs)
                self.step += 1
                self.seconds = time.perf_counter() - started
                if not bar.disable and (self.step % 10 == 0 or self.step == self.steps):
                    bar.set_postfix({k: f"{float(v):.4f}" for k, v in logs.items()}, False)
                bar.update()
                if self.step == self.steps:
                    return  # the checkpoint comes with the epoch's evaluation
                if config.checkpoint_every and self.step % config.checkpoint_every == 0:
                    self._save()
                self._stop_if(received)

    def _stop_if(self, received: list[int]) -> None:
        if not received or self.epoch == self.config.epochs:
            return
        if self.step:  # otherwise the epoch has just been saved
            self._save()
        name = signal.Signals(received[0]).name
        raise TrainingInterruptedError(
            f"Stopped by {name} in epoch {self.epoch + 1}, step {self.step} of {self.steps}; a "
            f"checkpoint is in {self.store.folder}. Run the same command to go on.",
            received[0],
        )

    def _end_epoch(self, callbacks: Any) -> None:
        started = time.perf_counter() - self.seconds
        metrics = {metric.name: float(metric.result()) for metric in self.model.metrics}
        if not math.isfinite(metrics["loss"]):
            raise SparseBNNError(
                f"Expected a finite loss, got {metrics['loss']} (epoch {self.epoch + 1}). "
                "Use another folder and a smaller --learning-rate."
            )
        tested = self.model.evaluate(
            self.dataset.test(self.config.batch_size), verbose=0, return_dict=True
        )
        scalars = {
            **metrics,
            **{f"val_{name}": float(value) for name, value in tested.items()},
            "learning_rate": float(keras.backend.get_value(self.model.optimizer.learning_rate)),
            "seconds": time.perf_counter() - started,
        }
        record = {"epoch": self.epoch, **scalars, "selection": selections(self.model)}
        # The logs come first: should the checkpoint fail, the epoch is trained and logged anew.
        callbacks.on_epoch_end(self.epoch, record)
        write_epoch(
            self.out / "logs",
            self.epoch,
            name="metrics",
            scalars=scalars,
            counts={},
            wall_time=time.time(),
        )
        self.history = [*self.history, record]
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self._save()
        self._write_metrics()
        self.report(
            f"epoch {self.epoch}/{self.config.epochs}: loss {scalars['loss']:.4f}, accuracy "
            f"{scalars['accuracy']:.4f}, test accuracy {scalars['val_accuracy']:.4f}, "
            f"{scalars['seconds']:.1f} s"
        )

    def _write_metrics(self, **final: Any) -> dict[str, Any]:
        metrics = {
            "version": 1,
            "config": self.config.to_dict(),
            "environment": _environment(),
            "history": self.history,
            **final,
        }
        write_json(self.out / "metrics.json", metrics)
        return metrics

    # The end.

    def finish(self) -> dict[str, Any]:
        """Saves the model and evaluates what would be deployed: the frozen selection."""
        config = self.config
        if config.batch_norm_batches:
            # Moving averages lag behind a short training, and noisy selections distort them.
            batches = self.dataset.train(config.epochs, config.seed, config.batch_size)
            steps = min(self.steps, config.batch_norm_batches)
            reestimate_batch_norm(self.model, batches, steps=steps)
        frozen = freeze(self.model)
        frozen.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        tested = frozen.evaluate(
            self.dataset.test(self.config.batch_size), verbose=0, return_dict=True
        )
        self._save_model(self.out / "model.keras")
        return self._write_metrics(
            final={
                "test_accuracy": float(tested["accuracy"]),
                "test_loss": float(tested["loss"]),
                "test_size": self.dataset.test_size,
                "steps": self.config.epochs * self.steps,
                "seconds": sum(record["seconds"] for record in self.history),
            }
        )

    def _save_model(self, path: Path) -> None:
        # The same layers without optimizer: a third of the size.
        model = keras.Model(self.model.inputs, self.model.outputs, name=self.model.name)
        try:
            with replaced(path) as temporary:
                model.save(temporary)
        except (OSError, RuntimeError, tf.errors.OpError) as error:  # h5py: RuntimeError
            reason = getattr(error, "strerror", None) or str(error).split("\n")[0][:200]
            raise SparseBNNError(
                f"Expected to write {path}, got: {reason}. Make room "
                "or the folder writable, then run the same command: nothing is trained again."
            ) from error


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("selection"), dict)
        and isinstance(record.get("seconds"), float)
    )


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying; a second one kills as usual."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield received  # Python allows handlers in the main thread only
        return
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        for each in numbers:
            signal.signal(each, before[each])

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextlib.contextmanager
def _mixed_precision(kind: str) -> Iterator[None]:
    before = keras.mixed_precision.global_policy()
    if kind == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _environment() -> dict[str, Any]:
    versions = {}
    for name in ("keras-sparsebnn", "tensorflow", "tf-keras", "keras", "larq", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "versions": versions,
    }
