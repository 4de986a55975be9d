"""The rows of a store of copies: what is known of each copy, and how far each tag has been heard."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from coatcheck.redis.layout import TAGS
from coatcheck.redis.positions import NOWHERE
from coatcheck.store.tables import Tables, Transaction

_COPY: Final = struct.Struct(">BQ16s16sQ")
_TAG: Final = struct.Struct(">Q16s16s")
_NO_INCARNATION: Final = bytes(16)


class Copy(NamedTuple):
    """What is known of the copy of a session."""

    dirty: int
    """Whether it was changed since it was read."""
    epoch: int
    """That of its tag when it was read: in a later one it counts as dirty."""
    heard: bytes
    """The last event of it that is known: nothing older may be put in its place."""
    revision: bytes
    """That in Redis, so that a change can be made of the copy."""
    bound: int
    """When it was bound to its principal, microseconds UTC."""

    def packed(self) -> bytes:
        """The row."""
        return _COPY.pack(*self)

    @classmethod
    def read(cls, packed: bytes) -> Copy:
        """The copy of a row."""
        return cls._make(_COPY.unpack(packed))


class Tag(NamedTuple):
    """How far a tag has been heard."""

    epoch: int = 0
    """Counts how often events were missed, or Redis has lost what it had."""
    position: bytes = NOWHERE
    """The last event that was applied."""
    incarnation: bytes = _NO_INCARNATION
    """The life of the log that it is in."""

    def packed(self) -> bytes:
        """The row."""
        return _TAG.pack(*self)


def copy_of(transaction: Transaction, tables: Tables, sid: bytes) -> Copy | None:
    """What is known of the copy of a session, None when there is none."""
    packed = transaction.get(sid, db=tables.copies)
    return None if packed is None else Copy.read(packed)


def put_copy(transaction: Transaction, tables: Tables, sid: bytes, copy: Copy) -> None:
    """Put that."""
    transaction.put(sid, copy.packed(), db=tables.copies)


def tag_at(transaction: Transaction, tables: Tables, tag: int) -> Tag:
    """How far a tag has been heard."""
    packed = transaction.get(_key(tag), db=tables.meta)
    return Tag() if packed is None else Tag._make(_TAG.unpack(packed))


def put_tag(transaction: Transaction, tables: Tables, tag: int, row: Tag) -> None:
    """Put that."""
    transaction.put(_key(tag), row.packed(), db=tables.meta)


def _key(tag: int) -> bytes:
    return b"heard:" + TAGS[tag].encode()
