"""The bytes behind the flatbuffer: TFLite Metadata's associated files, mostly labels, as a zip.

An appended zip stores the offsets of its members from the start of the whole file. Some readers
cope with a zip that has moved, others do not, so its offsets are updated.
"""

from __future__ import annotations

import struct

__all__ = ["moved"]

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
