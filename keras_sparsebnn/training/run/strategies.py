"""Where a run computes: one device, all of a machine, several machines, a TPU."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError, first_line
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["Cluster", "start"]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A strategy, and which of its processes this is.

    Attributes:
        strategy: a `tf.distribute.Strategy`.
        worker: index of this process.
        workers: how many processes train together.
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """The number of replicas, of all workers together."""
        return int(self.strategy.num_replicas_in_sync)

    @contextlib.contextmanager
    def one_line_errors(self) -> Iterator[None]:
        """What a worker that is gone does to the others, as a `SparseBNNError`."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.workers == 1:
                raise
            raise SparseBNNError(
                f"Expected all {self.workers} workers to go on, got: {first_line(error)} "
                "Start the same command on all of them: it resumes at the last checkpoint."
            ) from error

    def batches(self, share: Callable[..., tf.data.Dataset]) -> Iterator[Any]:
        """Batches as the strategy hands them out, of what each worker reads.

        Args:
            share: makes a worker's part of a dataset out of `worker`, `workers` and
                `replicas`, see `Dataset.train`; called without them where one device trains.
        """
        if self.replicas == 1:
            return iter(share())

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return share(
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
                replicas=context.num_replicas_in_sync,
            )

        return iter(self.strategy.distribute_datasets_from_function(of_worker))

    @contextlib.contextmanager
    def folder_to_write_in(self, folder: Path) -> Iterator[Path]:
        """`folder`, or one to throw away for all workers but the first.

        Values that workers average are averaged when they are read, by all of them together,
        so all of them have to write.
        """
        if self.is_chief:
            yield folder
            return
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds on any worker; all of them have to ask."""
        if self.workers == 1:
            return flag
        value = tf.constant(float(flag))

        @tf.function
        def total_of_all() -> tf.Tensor:
            return self.strategy.run(
                lambda: tf.distribute.get_replica_context().all_reduce("SUM", value)
            )

        total = total_of_all()
        return bool(self.strategy.experimental_local_results(total)[0].numpy() > 0)


def start(config: RunConfig) -> Cluster:
    """The cluster of a run. Call it before TensorFlow computes anything.

    Raises:
        SparseBNNError: no such devices, no TPU, or an invalid TF_CONFIG.
    """
    kind = config.strategy
    if kind == "none":
        return Cluster(tf.distribute.get_strategy())
    if kind == "tpu":
        return Cluster(_tpu())
    if kind == "mirrored":
        return Cluster(tf.distribute.MirroredStrategy(_devices(config.devices)))
    worker, workers = _task()
    _devices(config.devices)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise _too_late(error) from error
    except (ValueError, tf.errors.OpError) as error:
        raise SparseBNNError(
            f"Expected to reach the workers of TF_CONFIG, got: {first_line(error)} Start the "
            "same command on each of them."
        ) from error
    return Cluster(strategy, worker, workers)


def _devices(count: int | None) -> Sequence[str] | None:
    """Names of the first `count` devices of this machine; None for all of them."""
    if count is None:
        return None
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU" and count > 1:
        (cpu, *_) = tf.config.list_physical_devices("CPU")
        there = tf.config.get_logical_device_configuration(cpu)
        if there is None or len(there) < count:
            logical = [tf.config.LogicalDeviceConfiguration()] * count
            try:
                tf.config.set_logical_device_configuration(cpu, logical)
            except RuntimeError as error:
                raise _too_late(error) from error
    there = tf.config.list_logical_devices(kind)
    if len(there) < count:
        raise SparseBNNError(
            f"Expected {count} {kind}s, found {len(there)}. Use a smaller `devices`."
        )
    return [device.name for device in there[:count]]


def _task() -> tuple[int, int]:
    """Index of this worker and their number, from TF_CONFIG."""
    example = (
        '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    )
    try:
        settings = json.loads(os.environ.get("TF_CONFIG", ""))
        workers, task = settings["cluster"]["worker"], settings["task"]
        index = task["index"]
        if (
            not isinstance(workers, list)
            or list(settings["cluster"]) != ["worker"]
            or not isinstance(index, int)
            or not 0 <= index < len(workers)
        ):
            raise ValueError("no such worker")
    except (ValueError, KeyError, TypeError) as error:
        raise SparseBNNError(
            f"Expected the environment variable TF_CONFIG to be like {example}, got "
            f"{os.environ.get('TF_CONFIG', 'none')!r:.100}. Set it on each worker."
        ) from error
    return index, len(workers)


def _tpu() -> tf.distribute.TPUStrategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError, RuntimeError) as error:
        raise SparseBNNError(
            f"Expected a TPU, found none: {first_line(error)} Set TPU_NAME, or choose another "
            "strategy."
        ) from error


def _too_late(error: Exception) -> SparseBNNError:
    return SparseBNNError(
        "Expected a process in which TensorFlow has computed nothing yet, got one in which "
        f"it has: {first_line(error)} Start this run in a process of its own."
    )
