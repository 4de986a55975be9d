"""Append to a packed list without unpacking its items, where that is possible."""

from __future__ import annotations

import struct

from coatcheck.codec import pack, unpack
from coatcheck.errors import ChangeRefused


def append(packed: bytes | None, item: bytes, limit: int | None, key: str) -> bytes:
    """The packed list with the packed item at its end, and at most ``limit`` items, the newest.

    Raises ChangeRefused when something else than a list is there.
    """
    if packed is None:
        return _header(1) + item
    size = _size(packed)
    if size is None:
        msg = f"Append({key!r}) needs a list there, but finds {type(unpack(packed)).__name__}: use Set first"
        raise ChangeRefused(key, msg)
    count, start = size
    if limit is not None and count + 1 > limit:
        return pack([*unpack(packed), unpack(item)][-limit:], key)
    return _header(count + 1) + packed[start:] + item


def _size(packed: bytes) -> tuple[int, int] | None:
    first = packed[0]
    if 0x90 <= first <= 0x9F:
        return first & 0x0F, 1
    if first == 0xDC:
        return struct.unpack_from(">H", packed, 1)[0], 3
    if first == 0xDD:
        return struct.unpack_from(">I", packed, 1)[0], 5
    return None


def _header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    return struct.pack(">BH", 0xDC, count) if count < 65536 else struct.pack(">BI", 0xDD, count)
