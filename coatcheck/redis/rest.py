"""A session at rest in Redis: one hash, and the list of its flashes.

=========  ==========================================================================================================
field      value
=========  ==========================================================================================================
``h``      the header of :mod:`coatcheck.store.header`, with its variable part
``r``      the revision: 16 random bytes, others at every write
``o``      the keys of the data, in their order (msgpack)
``k``      what was taken out of the mailbox lately (msgpack), where there is something
``p``      the principal's hash, in hex, where there is a principal
``b``      when it was bound to that principal, as 20 digits
``n``      how many flashes are in the list, where there are any
``d<key>``  a value of the data, packed
=========  ==========================================================================================================
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import msgpack

from coatcheck.errors import CorruptRecord
from coatcheck.redis.layout import TokenRow, moment
from coatcheck.redis.positions import NOWHERE, packed_position
from coatcheck.store import body as bodies
from coatcheck.store import header as headers
from coatcheck.store.record import Record

HEADER: Final = b"h"
REVISION: Final = b"r"
ORDER: Final = b"o"
TAKES: Final = b"k"
PRINCIPAL: Final = b"p"
BOUND: Final = b"b"
COUNT: Final = b"n"
DATA: Final = b"d"

_SURROGATES: Final = "surrogatepass"
_LENGTH: Final = struct.Struct(">I")
_LENGTH_AT: Final = 8
_MOMENT: Final = 20


def field_of(key: str) -> bytes:
    """The field of a data key."""
    return DATA + key.encode("utf-8", _SURROGATES)


def pack_order(keys: list[str]) -> bytes:
    """The keys in their order, packed."""
    packed: bytes = msgpack.packb(keys, unicode_errors=_SURROGATES)
    return packed


def with_length(header: bytes, length: int) -> bytes:
    """A header, and what follows it, for a body of that many bytes."""
    return header[:_LENGTH_AT] + _LENGTH.pack(length) + header[_LENGTH_AT + _LENGTH.size :]


class Session(NamedTuple):
    """A session as it was found."""

    sid: bytes
    fields: dict[bytes, bytes]
    flashes: list[bytes]
    before: bytes | None
    """What a revocation of its principal has left: a moment as 20 digits, then the sid that it spared."""

    @property
    def revision(self) -> bytes:
        """Which write it is of."""
        return self.fields.get(REVISION, b"")

    @property
    def has_all_flashes(self) -> bool:
        """Whether the list is as long as the hash says."""
        return self.fields.get(COUNT, b"0") == b"%d" % len(self.flashes)

    @property
    def bound(self) -> bytes:
        """When it was bound to its principal, as 20 digits."""
        return self.fields.get(BOUND, moment(0))

    @property
    def takes(self) -> list[Any]:
        """What was taken lately."""
        packed = self.fields.get(TAKES)
        return [] if packed is None else self._read(packed)

    def values(self) -> dict[str, bytes]:
        """Packed values by key, in order. Raises CorruptRecord."""
        keys = self._read(self.fields.get(ORDER, b"\x90"))
        try:
            return {key: self.fields[field_of(key)] for key in keys}
        except (KeyError, AttributeError, TypeError) as error:
            raise self._unreadable() from error

    def row(self) -> bytes:
        """The session as one row, as :class:`Record` takes it. Raises CorruptRecord."""
        try:
            header = headers.current(self.fields[HEADER])
        except (KeyError, IndexError) as error:
            raise self._unreadable() from error
        body = bodies.join(self.values(), self.flashes, self.takes)
        return with_length(header, len(body)) + body

    @property
    def deadline(self) -> int:
        """When it ends, microseconds UTC. Raises CorruptRecord."""
        try:
            return headers.deadline_of(headers.parse(headers.current(self.fields[HEADER])))
        except (KeyError, IndexError) as error:
            raise self._unreadable() from error

    def record(self) -> Record:
        """The record of it."""
        return Record(self.sid, self.row())

    @property
    def is_revoked(self) -> bool:
        """Whether all sessions of its principal bound so early have been revoked, and this one was not spared."""
        before = self.before
        if before is None or before[_MOMENT:] == self.sid.hex().encode():
            return False
        return self.bound < before[:_MOMENT]

    def _read(self, packed: bytes) -> list[Any]:
        try:
            return list(msgpack.unpackb(packed, unicode_errors=_SURROGATES))
        except (ValueError, TypeError) as error:
            raise self._unreadable() from error

    def _unreadable(self) -> CorruptRecord:
        return CorruptRecord(
            f"session {self.sid[:4].hex()} in Redis cannot be read: something else has written there; "
            f"revoke it by its sid"
        )


class View(NamedTuple):
    """What a look has found."""

    row: TokenRow | None = None
    session: Session | None = None
    other: TokenRow | None = None
    """The row of the token that was asked for beside it."""
    position: bytes = NOWHERE
    """The last event in the log of its tag at that moment."""


def view_of(reply: list[Any], sid: bytes | None = None) -> View:
    """The reply of the scripts. Raises CorruptRecord."""
    packed, flat, flashes, before, other, last = reply
    try:
        row = None if packed is None else TokenRow.unpacked(packed)
        beside = None if other is None else TokenRow.unpacked(other)
    except (ValueError, struct.error) as error:
        msg = "the row of a token in Redis cannot be read: something else has written there"
        raise CorruptRecord(msg) from error
    found = row.sid if row is not None else sid
    position = packed_position(last)
    if found is None or not flat:
        return View(row, None, beside, position)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return View(row, Session(found, fields, flashes, before), beside, position)
