"""CIFAR-10 in its own binary format, from its folder or its archive; nothing is unpickled.

Each file holds 10,000 records of 3073 bytes: the label, then 32x32 pixels, first all red, then
all green, then all blue ones, row by row.

Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the format
is described at https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["CLASSES", "find", "read"]

CLASSES = 10
RECORD = 1 + 3 * 32 * 32
RECORDS = 10_000  # in each file

_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = "test_batch.bin"
_FOLDER, _ARCHIVE = "cifar-10-batches-bin", "cifar-10-binary.tar.gz"
_PYTHON = ("cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1")
_MAX_MEMBERS = 1000  # in an archive; the real one has 10

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def find(folder: Path) -> Path | None:
    """The folder or archive with the binary version in `folder`, or `folder` itself.

    None if there is nothing of the kind.

    Raises:
        SparseBNNError: only the Python version is there, which is pickled.
    """
    if folder.is_file() and folder.name.endswith((".tar.gz", ".tgz")):
        return folder
    for path in (folder, folder / _FOLDER):
        if any((path / name).exists() for name in (*_TRAIN, _TEST)):
            return path
    if (folder / _ARCHIVE).exists():
        return folder / _ARCHIVE
    pickled = [name for name in _PYTHON if (folder / name).exists()]
    if pickled and not (folder / "cifar10").is_dir():  # TFDS's
        raise SparseBNNError(
            f"Expected CIFAR-10's binary version, got its Python version, which could run code "
            f"when read ({folder / pickled[0]}). Get {_ARCHIVE}, or use TFDS's cifar10."
        )
    return None


def read(path: Path) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """The training and the test split.

    Args:
        path: what `find` found.

    Shape:
        -> 50,000 and 10,000 of `[N, 32, 32, 3]` and `[N]`.

    Raises:
        SparseBNNError: a file is missing, of another size, or has invalid labels.
    """
    contents = _from_archive(path) if path.is_file() else _from_folder(path)
    missing = [name for name in (*_TRAIN, _TEST) if name not in contents]
    if missing:
        raise SparseBNNError(
            f"Expected {missing[0]} and five more files of CIFAR-10, it is missing ({path}). "
            f"Get {_ARCHIVE} again."
        )
    batches = {name: _parse(data, f"{path}: {name}") for name, data in contents.items()}
    images, labels = zip(*(batches[name] for name in _TRAIN), strict=True)
    return (np.concatenate(images), np.concatenate(labels)), batches[_TEST]


def _check_size(size: int, where: str) -> None:
    if size != RECORDS * RECORD:
        raise SparseBNNError(
            f"Expected {RECORDS * RECORD} bytes, {RECORDS} images, got {size} ({where}). "
            f"Get {_ARCHIVE} again."
        )


def _from_folder(folder: Path) -> dict[str, bytes]:
    contents = {}
    for name in (*_TRAIN, _TEST):
        path = folder / name
        if path.is_file():
            _check_size(path.stat().st_size, str(path))
            contents[name] = path.read_bytes()
    return contents


def _from_archive(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            # Read in passing: nothing is extracted, wherever a member claims to lie.
            for count, member in enumerate(archive):
                if count >= _MAX_MEMBERS:
                    raise SparseBNNError(
                        f"Expected an archive of CIFAR-10, got over {_MAX_MEMBERS} members "
                        f"({path}). Get {_ARCHIVE} again."
                    )
                name = member.name.rpartition("/")[2]
                if name not in (*_TRAIN, _TEST) or not member.isfile():
                    continue
                _check_size(member.size, f"{path}: {name}")
                file = archive.extractfile(member)
                assert file is not None  # it is a regular file
                contents[name] = file.read(RECORDS * RECORD)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SparseBNNError(
            f"Expected a .tar.gz of CIFAR-10, got: {str(error)[:200]} ({path}). "
            f"Get {_ARCHIVE} again."
        ) from error
    return contents


def _parse(data: bytes, where: str) -> tuple[Images, Labels]:
    _check_size(len(data), where)
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= CLASSES:
        raise SparseBNNError(
            f"Expected labels below {CLASSES}, got {labels.max()} ({where}). This is not "
            "CIFAR-10's binary version."
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
