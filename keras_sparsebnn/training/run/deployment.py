"""The end of a run: the model that is kept, measured as it would be deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_sparsebnn._files import replaced
from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training.run.job import Job
from keras_sparsebnn.training.run.progress import Progress
from keras_sparsebnn.transforms.batch_norm import reestimate_batch_norm
from keras_sparsebnn.transforms.freezing import freeze

__all__ = ["finish"]


def finish(
    job: Job, model: keras.Model, dataset: Dataset, progress: Progress
) -> dict[str, Any]:
    """Saves `model.keras`, evaluates its frozen selection, completes `metrics.json`.

    Returns:
        What `metrics.json` holds.

    Raises:
        SparseBNNError: the model cannot be written.
    """
    config = job.config
    steps = dataset.steps(config.batch_size)
    # The same layers without optimizer, a third of the size, and without teacher.
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    if config.batch_norm_batches:
        # Moving averages lag behind a short training, and noisy selections distort them.
        batches = dataset.train(config.epochs, config.seed, config.batch_size)
        count = min(steps, config.batch_norm_batches)
        reestimate_batch_norm(plain, batches, steps=count)
    frozen = freeze(plain)
    own_loss = model.loss if config.model_options.get("compiled") else None
    frozen.compile(
        loss=own_loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    tested = frozen.evaluate(dataset.test(config.batch_size), verbose=0, return_dict=True)
    with job.cluster.folder_to_write_in(job.folder.path) as folder:
        _save(plain, folder / job.folder.model.name)
    job.cluster.any(False)  # nobody leaves while others still read shared values
    return job.write_metrics(
        progress.history,
        final={
            "test_accuracy": float(tested["accuracy"]),
            "test_loss": float(tested["loss"]),
            "test_size": dataset.test_size,
            "steps": config.epochs * steps,
            "seconds": sum(record["seconds"] for record in progress.history),
        },
    )


def _save(model: keras.Model, path: Path) -> None:
    try:
        with replaced(path) as temporary:
            model.save(temporary)
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # h5py: RuntimeError
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0][:200]
        raise SparseBNNError(
            f"Expected to write {path}, got: {reason}. Make room "
            "or the folder writable, then run the same command: nothing is trained again."
        ) from error
