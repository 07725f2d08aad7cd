"""What lies behind the flatbuffer: TFLite Metadata's associated files, labels mostly, as a zip.

A zip that was appended tells the places of its members from the start of the whole file. Some
readers find it anyway when it has moved, others do not; so they are told anew.
"""

from __future__ import annotations

import struct

__all__ = ["moved"]

_END = struct.Struct("<4s4H2LH")
_MEMBER = struct.Struct("<4s24x3H8xL")
_OFFSET = 42
"""Where a member's entry in the directory has its place."""


def moved(files: bytes, was: int, now: int) -> bytes:
    """The bytes for a place `now` that were at `was`; what is no such zip stays as it is.

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
