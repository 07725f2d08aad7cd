"""`train`: one run in one folder, which resumes exactly where it was cut off."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn import data
from keras_sparsebnn._files import locked
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.run.assembly import compiled_model, create_state
from keras_sparsebnn.training.run.console import SILENT, Console
from keras_sparsebnn.training.run.deployment import finish
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.run.job import Job
from keras_sparsebnn.training.run.loop import Loop
from keras_sparsebnn.training.run.network import Network, own_network, recorded
from keras_sparsebnn.training.run.strategies import start
from keras_sparsebnn.training.run.teacher import Teacher
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["train"]


def train(
    config: RunConfig,
    out: str | Path,
    *,
    model: Network | None = None,
    download: bool = False,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
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
        model: a network of your own in place of `config.model`: a function from (input shape,
            classes) to a Keras model, or a model. Its layers bring their own quantizers, so
            `config.method` and `config.codewords` do nothing; options that change over time
            act on those quantizers. Without `compile`, it gets the run's optimizer and loss;
            with it, it keeps its own, and `config`'s do nothing. `run.json` calls it "own"
            and keeps a digest of its architecture: give the same network to resume.
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
    folder = RunFolder(out)
    cluster = start(config)
    console = Console(report, progress) if cluster.is_chief else SILENT
    lock = locked(folder.path) if cluster.is_chief else contextlib.nullcontext()
    with folder.one_line_os_errors(), lock, cluster.one_line_errors():
        job = Job(config, folder, cluster, console)
        if model is None and (results := _results(job)) is not None:
            return results
        dataset = data.load(config.dataset, **config.data_options, download=download)
        return _trained(job, dataset, callbacks, model)


def _results(job: Job) -> dict[str, Any] | None:
    results = job.folder.results(job.config)
    if results is not None:
        job.console.report(f"Already finished: {job.folder.path}. Nothing to train.")
    return results


def _trained(
    job: Job,
    dataset: data.Dataset,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    own: Network | None = None,
) -> dict[str, Any]:
    """The metrics of a run that is not finished yet, unless its network is the user's own."""
    config = job.config
    steps = dataset.steps(config.batch_size)
    with _mixed_precision(config.mixed_precision):
        _seed(config)
        with job.cluster.strategy.scope():
            network = None
            if own is not None:
                network = own_network(own, config, dataset)
                config = recorded(config, network)
                job = dataclasses.replace(job, config=config)
                if (results := _results(job)) is not None:
                    return results
            model = compiled_model(config, dataset, steps, network)
            create_state(model, dataset, job.cluster.strategy)
        loop = Loop(job, model, dataset)
        if config.teacher not in (None, "auto"):
            _learn_from(str(config.teacher), job, loop)
        # Only now: settings that do not work must not claim the folder.
        with job.folder.claimed(config) if job.cluster.is_chief else contextlib.nullcontext():
            if config.teacher == "auto":
                teacher = job.of_teacher()
                if _results(teacher) is None:
                    _trained(teacher, dataset)
                _learn_from(str(teacher.folder.path), job, loop)
            loop.run(callbacks)
            return finish(job, model, dataset, loop.progress)


def _learn_from(source: str, job: Job, loop: Loop) -> None:
    """Sets the teacher.

    Raises:
        SparseBNNError: it does not fit, or is another one than before an interruption.
    """
    with job.cluster.strategy.scope():
        teacher = Teacher(source, loop.dataset)
    digest = teacher.sha256()
    if loop.progress.teacher is None:
        accuracy = teacher.accuracy(loop.dataset.test(job.config.batch_size))
        job.console.report(f"teacher: test accuracy {accuracy:.4f} ({source})")
    elif loop.progress.teacher != digest:
        raise SparseBNNError(
            f"Expected the teacher that this run began with, got another one ({source}). "
            "Put the first one back, or use another folder."
        )
    loop.progress.teacher = digest
    loop.model.set_teacher(teacher)
    # Whether a teacher has just been trained here must not show.
    keras.utils.set_random_seed(job.config.seed)


def _seed(config: RunConfig) -> None:
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def _mixed_precision(kind: str) -> Iterator[None]:
    before = keras.mixed_precision.global_policy()
    if kind == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
