"""TensorBoard event files, one an epoch.

Each file is written whole, under a name that only the epoch decides: an epoch that is trained
again after an interruption replaces its own file, so nothing is ever logged twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._files import replaced
from keras_sparsebnn._keras import tf

__all__ = ["write_epoch"]


def _bar_chart(counts: npt.ArrayLike) -> tf.compat.v1.HistogramProto:
    """A histogram proto with a bucket for each used index of `counts`."""
    weights = np.asarray(counts, np.float64)
    index = np.arange(len(weights))
    used = index[weights > 0] if weights.any() else np.zeros(1)
    # A bucket reaches up from the one before, so a gap takes one bucket, however long it is.
    next_weights = np.append(weights[1:], 1.0)
    kept = (weights > 0) | (next_weights > 0)
    return tf.compat.v1.HistogramProto(
        min=float(used.min()),
        max=float(used.max()),
        num=float(weights.sum()),
        sum=float((weights * index).sum()),
        sum_squares=float((weights * index**2).sum()),
        bucket_limit=(index[kept] + 0.5).tolist(),
        bucket=weights[kept].tolist(),
    )


def write_epoch(
    folder: Path,
    epoch: int,
    *,
    name: str,
    scalars: Mapping[str, float],
    counts: Mapping[str, npt.ArrayLike],
    wall_time: float,
) -> Path:
    """Writes `events.out.tfevents.<epoch>.<name>`.

    Args:
        folder: made if it does not exist.
        epoch: the step that TensorBoard shows.
        name: of the writer, as several write into one folder.
        scalars: tag -> value.
        counts: tag -> how often each of 0, 1, 2, ... occurred.
        wall_time: seconds since the Unix epoch.

    Raises:
        OSError: no room, read-only folder, ...
    """
    values = [
        tf.compat.v1.Summary.Value(tag=tag, simple_value=float(value))
        for tag, value in scalars.items()
    ]
    values += [
        tf.compat.v1.Summary.Value(tag=tag, histo=_bar_chart(count))
        for tag, count in counts.items()
    ]
    events = [
        tf.compat.v1.Event(wall_time=wall_time, file_version="brain.Event:2"),
        tf.compat.v1.Event(
            wall_time=wall_time, step=epoch, summary=tf.compat.v1.Summary(value=values)
        ),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{epoch:08d}.{name}"
    with replaced(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for event in events:
                    writer.write(event.SerializeToString())
        except tf.errors.OpError as error:
            raise OSError(f"{error.message} ({path})") from error
    return path
