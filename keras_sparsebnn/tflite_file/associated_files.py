"""The bytes behind the flatbuffer: TFLite Metadata's associated files, mostly labels, as a zip.

An appended zip stores the offsets of its members from the start of the whole file. Some readers
cope with a zip that has moved, others do not, so its offsets are updated.
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence

from keras_sparsebnn.tflite_file.reader import ModelFileError

__all__ = ["labels", "moved", "with_labels"]

LABELS = "labels.txt"
_FIXED_DATE = (1981, 1, 1, 1, 1, 2)
_MAX_BYTES = 1 << 20  # of labels
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)

_END = struct.Struct("<4s4H2LH")
_MEMBER = struct.Struct("<4s24x3H8xL")
_OFFSET = 42
"""Byte of a directory entry that holds the member's offset."""


def moved(files: bytes, was: int, now: int) -> bytes:
    """A zip that was at offset `was`, for offset `now`; other bytes are returned unchanged.

    Reference: PKWARE, "APPNOTE.TXT", 6.3.10, sections 4.3.12 and 4.3.16.
    """
    end = files.rfind(b"PK\5\6")
    if end < 0 or end + _END.size > len(files):
        return files
    *_, size, offset, comment = _END.unpack_from(files, end)
    at = end - size
    if at < 0 or offset != was + at or end + _END.size + comment != len(files):
        return files
    result = bytearray(files)
    struct.pack_into("<L", result, end + 16, now + at)
    while at < end:
        if at + 46 > end:
            return files
        sign, *lengths, place = _MEMBER.unpack_from(files, at)
        if sign != b"PK\1\2" or not was <= place < was + len(files):
            return files
        struct.pack_into("<L", result, at + _OFFSET, place - was + now)
        at += _MEMBER.size + sum(lengths)
    return bytes(result)


def with_labels(model: bytes, names: Sequence[str]) -> bytes:
    """The model with `labels.txt` in a zip behind it, a class a line; always the same bytes.

    Args:
        model: a `.tflite` without other files.
        names: of the classes, in the order of the outputs.

    Example:
        >>> labels(with_labels(b"a model", ["cat", "dog"]))
        ['cat', 'dog']
    """
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a") as files:
        member = zipfile.ZipInfo(LABELS, _FIXED_DATE)
        files.writestr(member, "".join(f"{name}\n" for name in names))
    return file.getvalue()


def labels(model: bytes) -> list[str]:
    """The classes that `with_labels` added; empty if there are none.

    Raises:
        ModelFileError: the zip is damaged, or its labels are larger than 1 MiB.
    """
    file = io.BytesIO(model)
    if not zipfile.is_zipfile(file):
        return []
    try:
        with zipfile.ZipFile(file) as files:
            if LABELS not in files.namelist():
                return []
            with files.open(LABELS) as member:
                text = member.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ModelFileError(f"Expected labels of at most {_MAX_BYTES} bytes, got more.")
        return text.decode("utf-8").splitlines()
    except (*_DAMAGE, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise ModelFileError(f"Expected labels in a zip, got: {error}.") from error
