"""Positions in a log: the ids of its events, as bytes that sort like them."""

from __future__ import annotations

import struct
from typing import Final

_POSITION: Final = struct.Struct(">QQ")

NOWHERE: Final = bytes(_POSITION.size)
"""Before all events."""


def packed_position(text: bytes) -> bytes:
    """The position that Redis names by this text. Raises ValueError for anything else."""
    milliseconds, _, number = text.partition(b"-")
    return _POSITION.pack(int(milliseconds), int(number or 0))


def text_of(position: bytes) -> bytes:
    """A position as Redis names it."""
    return b"%d-%d" % _POSITION.unpack(position)


def milliseconds_of(position: bytes) -> int:
    """When it was written, by the clock of Redis, in milliseconds."""
    milliseconds: int = _POSITION.unpack(position)[0]
    return milliseconds
