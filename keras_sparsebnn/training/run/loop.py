"""`train`: one run in one folder, which resumes exactly where it was cut off."""

from __future__ import annotations

import contextlib
import math
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from keras_sparsebnn import data
from keras_sparsebnn._files import locked, replaced, write_json
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn._signals import collected_signals
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.keras.callbacks import CodewordUsage, selections
from keras_sparsebnn.training.keras.distillation import Teacher
from keras_sparsebnn.training.keras.event_log import write_epoch
from keras_sparsebnn.training.run.assembly import (
    compiled_model,
    part_starts,
    selection_schedules,
    teacher_config,
)
from keras_sparsebnn.training.run.checkpoint import CheckpointStore
from keras_sparsebnn.training.run.folder import check, one_line_os_errors
from keras_sparsebnn.training.run.interruption import TrainingInterruptedError
from keras_sparsebnn.training.run.machine import machine
from keras_sparsebnn.training.run.strategies import Cluster, start
from keras_sparsebnn.training.settings.config import RunConfig
from keras_sparsebnn.transforms.batch_norm import reestimate_batch_norm
from keras_sparsebnn.transforms.freezing import freeze

__all__ = ["TrainingInterruptedError", "train"]


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
    cluster = start(config)
    if not cluster.is_chief:
        report, progress = (lambda line: None), False
    lock = locked(out) if cluster.is_chief else contextlib.nullcontext()
    with one_line_os_errors(out), lock, cluster.one_line_errors():
        return _train(config, out, cluster, None, download, progress, report, callbacks)


def _train(
    config: RunConfig,
    out: Path,
    cluster: Cluster,
    dataset: data.Dataset | None,
    download: bool,
    progress: bool,
    report: Callable[[str], None],
    callbacks: Sequence[Any],
) -> dict[str, Any]:
    finished = check(out, config)
    if finished is not None:
        report(f"Already finished: {out}. Nothing to train.")
        return finished
    if dataset is None:
        dataset = data.load(
            config.dataset,
            data_dir=config.data_dir,
            image_size=config.image_size,
            augmentation=config.augmentation,
            download=download,
        )
    with _mixed_precision(config.mixed_precision):
        run = _Run(config, out, cluster, dataset, report, progress=progress)
        if cluster.is_chief and not (out / "run.json").exists():
            # Only now: settings that do not work must not claim the folder.
            config.save(out / "run.json")
        if config.teacher == "auto":

            def say(line: str) -> None:
                report(f"teacher: {line}")

            _train(
                teacher_config(config),
                _made(out / "teacher", cluster),
                *(cluster, dataset, download, progress, say, ()),
            )
            run.learn_from(str(out / "teacher"))
        elif config.teacher is not None:
            run.learn_from(config.teacher)
        run.fit(callbacks)
        return run.finish()


def _made(folder: Path, cluster: Cluster) -> Path:
    if cluster.is_chief:
        folder.mkdir(exist_ok=True)
    return folder


class _Run:
    """A model, its data and how far it has come."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        cluster: Cluster,
        dataset: data.Dataset,
        report: Callable[[str], None],
        *,
        progress: bool,
    ) -> None:
        self.config = config
        self.out = out
        self.cluster = cluster
        self.strategy = cluster.strategy
        self.dataset = dataset
        self.report = report
        self.progress = progress
        self.steps = dataset.steps(config.batch_size)
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        with self.strategy.scope():
            self.model = compiled_model(config, dataset, self.steps)
            self._create_state()
        # Where training stands: what a checkpoint keeps besides variables.
        self.epoch = 0
        self.step = 0  # within the epoch
        self.seconds = 0.0  # of the epoch so far
        self.history: list[dict[str, Any]] = []
        self.teacher: str | None = None  # its weights, as a digest
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
            "teacher": self.teacher,
        }
        if self.cluster.is_chief:
            self.store.save(self.checkpoint, self.epoch * self.steps + self.step, state)
            return
        with self._folder_to_write_in() as folder:
            self.checkpoint.write(str(folder / "variables"))

    @contextlib.contextmanager
    def _folder_to_write_in(self) -> Iterator[Path]:
        """The run's, or one to throw away for all workers but the first.

        Values that workers average are averaged when they are read, by all of them together.
        """
        if self.cluster.is_chief:
            yield self.out
            return
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)

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
        self.teacher = state.get("teacher")
        if epoch < self.config.epochs:
            self.report(f"Resuming at epoch {epoch + 1}, step {step + 1} of {self.steps}.")

    # Training.

    def learn_from(self, source: str) -> None:
        """Sets the teacher.

        Raises:
            SparseBNNError: it does not fit, or is another one than before an interruption.
        """
        with self.strategy.scope():
            teacher = Teacher(source, self.dataset)
        digest = teacher.sha256()
        if self.teacher is None:
            tested = self.dataset.test(self.config.batch_size)
            self.report(f"teacher: test accuracy {teacher.accuracy(tested):.4f} ({source})")
        elif self.teacher != digest:
            raise SparseBNNError(
                f"Expected the teacher that this run began with, got another one ({source}). "
                "Put the first one back, or use another folder."
            )
        self.teacher = digest
        self.model.set_teacher(teacher)
        # Whether a teacher has just been trained here must not show.
        keras.utils.set_random_seed(self.config.seed)

    def _batches(self) -> Any:
        """What is left of this epoch, as an iterator of what the strategy hands out."""
        config = self.config
        order = (self.epoch, config.seed, config.batch_size, self.step)
        if self.cluster.replicas == 1:
            return iter(self.dataset.train(*order))

        def share(context: Any) -> Any:
            return self.dataset.train(
                *order,
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
                replicas=context.num_replicas_in_sync,
            )

        return iter(self.strategy.distribute_datasets_from_function(share))

    def fit(self, callbacks: Sequence[Any]) -> None:
        """Trains all epochs that are left."""
        previous = self.history[-1]["selection"] if self.history else self.initial_selection
        callback_list = keras.callbacks.CallbackList(
            [
                *selection_schedules(self.config, self.config.epochs * self.steps),
                *(
                    [CodewordUsage(self.out / "logs", previous=previous)]
                    if self.cluster.is_chief
                    else []
                ),
                *callbacks,
            ],
            model=self.model,
            epochs=self.config.epochs,
            steps=self.steps,
        )
        with collected_signals() as received:
            callback_list.on_train_begin()
            boundaries = part_starts(self.config, self.steps)[1:]
            while self.epoch < self.config.epochs:
                if self.step == 0 and self.epoch * self.steps in boundaries:
                    self.model.optimizer.restart()
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
        iterator = self._batches()
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
                due = config.checkpoint_every and self.step % config.checkpoint_every == 0
                if due:
                    self._save()
                if due or self.cluster.workers == 1:
                    self._stop_if(received)

    def _stop_if(self, received: list[int]) -> None:
        # Workers agree on where to stop when they have saved; alone, it can be at any step.
        if not self.cluster.any(bool(received)) or self.epoch == self.config.epochs:
            return
        if self.step:  # otherwise the epoch has just been saved
            self._save()
        number = received[0] if received else signal.SIGTERM  # another worker's
        name = signal.Signals(number).name
        raise TrainingInterruptedError(
            f"Stopped by {name} in epoch {self.epoch + 1}, step {self.step} of {self.steps}; a "
            f"checkpoint is in {self.store.folder}. Run the same command to go on.",
            number,
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
        if self.cluster.is_chief:
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
            "environment": machine(),
            "history": self.history,
            **final,
        }
        if self.cluster.is_chief:
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
            reestimate_batch_norm(self._plain_model(), batches, steps=steps)
        frozen = freeze(self._plain_model())
        frozen.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        tested = frozen.evaluate(
            self.dataset.test(self.config.batch_size), verbose=0, return_dict=True
        )
        with self._folder_to_write_in() as folder:
            self._save_model(folder / "model.keras")
        self.cluster.any(False)  # nobody leaves while others still read shared values
        return self._write_metrics(
            final={
                "test_accuracy": float(tested["accuracy"]),
                "test_loss": float(tested["loss"]),
                "test_size": self.dataset.test_size,
                "steps": self.config.epochs * self.steps,
                "seconds": sum(record["seconds"] for record in self.history),
            }
        )

    def _plain_model(self) -> Any:
        """The same layers without optimizer, a third of the size, and without teacher."""
        return keras.Model(self.model.inputs, self.model.outputs, name=self.model.name)

    def _save_model(self, path: Path) -> None:
        try:
            with replaced(path) as temporary:
                self._plain_model().save(temporary)
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
def _mixed_precision(kind: str) -> Iterator[None]:
    before = keras.mixed_precision.global_policy()
    if kind == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
