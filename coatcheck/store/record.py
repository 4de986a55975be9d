"""Record: one session as it was when it was read. It cannot be changed; changes go through the verbs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgpack

from coatcheck.clock import NEVER
from coatcheck.codec import unpack
from coatcheck.errors import CorruptRecord
from coatcheck.flashes import FlashMessage
from coatcheck.store import header as headers
from coatcheck.store.body import Body, values_of
from coatcheck.store.contract import SessionInfo

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes

VARIABLE_LENGTH, BODY_LENGTH, LAST_SEEN, STARTED, IDLE, ABSOLUTE, TOUCH_INTERVAL = (
    headers.Header._fields.index(name)
    for name in ("variable_length", "body_length", "last_seen", "started", "idle", "absolute", "touch_interval")
)
# A record is made for each request: its header stays a bare tuple until somebody asks for a field, and is taken apart
# on the spot.
_unpack_header = headers.HEADER.unpack_from


class Record:
    """A session: data, flashes, and what is known about it. ``repr`` shows neither data nor token."""

    __slots__ = (
        "_body",
        "_data",
        "_fields",
        "_raw_body",
        "_row",
        "_sid",
        "_variable",
        "ended",
        "expires_at",
        "in_grace",
    )

    def __init__(
        self, sid: bytes, row: bytes, body: bytes | None = None, *, in_grace: bool = False, ended: bool = False
    ) -> None:
        """Made by stores. ``row`` is of the present format; ``body`` is given when it was kept in chunks."""
        self._sid = sid
        self._row = row
        try:
            fields = _unpack_header(row)
        except struct.error as error:
            raise headers.cut_short(row) from error
        self._fields = fields
        idle, absolute = fields[IDLE], fields[ABSOLUTE]
        expires_at = fields[LAST_SEEN] + idle if idle else NEVER
        if absolute and fields[STARTED] + absolute < expires_at:
            expires_at = fields[STARTED] + absolute
        self.expires_at: int = expires_at
        """Microseconds UTC; live while now is below it."""
        self._raw_body = body
        self._body: Body | None = None
        self._data: Data | None = None
        self._variable: headers.Variable | None = None
        self.in_grace = in_grace
        """Whether it was reached through a token that has been rotated, within its grace."""
        self.ended = ended
        """True only in the answer to a save that ended the session because it left nothing in it."""

    @property
    def sid(self) -> str:
        """32 hex digits, the same for the session's whole life. Not a secret, never shown to the browser."""
        return self._sid.hex()

    @property
    def handle(self) -> str:
        """The first 8 hex digits of the sid: for logs and people."""
        return self._sid[:4].hex()

    @property
    def version(self) -> int:
        """Counts the saves that changed data: 1 after create."""
        return self._header.version

    @property
    def created_at(self) -> int:
        """Microseconds UTC."""
        return self._header.created

    @property
    def last_seen_at(self) -> int:
        """Microseconds UTC; up to one touch interval old."""
        return self._header.last_seen

    @property
    def absolute_expires_at(self) -> int:
        """Microseconds UTC; no use moves it."""
        header = self._header
        return header.started + header.absolute if header.absolute else NEVER

    @property
    def lifetimes(self) -> Lifetimes:
        """Its lifetimes, in seconds."""
        return self._header.lifetimes

    @property
    def touch_due_at(self) -> int:
        """Microseconds UTC from which a use is worth storing."""
        touch_due_at: int = self._fields[LAST_SEEN] + self._fields[TOUCH_INTERVAL]
        return touch_due_at

    @property
    def principal(self) -> str | None:
        """Whom it is bound to, or None."""
        principal = self._parts().principal
        assert not isinstance(principal, bytes)
        return principal

    @property
    def meta(self) -> dict[str, Any]:
        """What the application noted about it; a copy."""
        packed = self._parts().meta
        return dict(unpack(packed)) if packed else {}

    @property
    def data(self) -> Data:
        """The data, a read-only mapping that decodes each key when it is asked for."""
        if self._data is None:
            self._data = Data(self.body)
        return self._data

    @property
    def flashes(self) -> list[FlashMessage]:
        """The mailbox, oldest first; looking does not take."""
        return [unpack_flash(each) for each in self.body.flashes()]

    @property
    def body(self) -> Body:
        """The framed body."""
        if self._body is None:
            self._body = self._framed()
        return self._body

    def _framed(self) -> Body:
        return Body(self._raw())

    def _raw(self) -> bytes:
        raw, length = self._raw_body, self._fields[BODY_LENGTH]
        if raw is None:
            start = headers.HEADER.size + self._fields[VARIABLE_LENGTH]
            raw = self._row[start : start + length]
        if len(raw) != length:
            msg = f"session {self.handle}: body of {len(raw)} bytes, not {length}"
            raise CorruptRecord(msg)
        return raw

    @property
    def _header(self) -> headers.Header:
        return headers.Header._make(self._fields)

    def values(self) -> dict[str, Any]:
        """All data decoded at once, a new dict with new values each time."""
        return values_of(self._raw())

    def packed(self, key: str) -> bytes | None:
        """The canonical packed form of one value, or None."""
        return self.body.packed(key)

    def info(self) -> SessionInfo:
        """The session as others may see it."""
        return SessionInfo(
            sid=self.sid,
            principal=self.principal,
            created_at=self.created_at,
            last_seen_at=self.last_seen_at,
            expires_at=self.expires_at,
            meta=self.meta,
            size=self._header.body_length,
        )

    def to_wire(self) -> bytes:
        """The record as bytes, for another process."""
        packed: bytes = msgpack.packb([self._sid, self._row, self._raw_body, self.in_grace, self.ended])
        return packed

    @classmethod
    def from_wire(cls, wire: bytes) -> Record:
        """The record that ``to_wire`` packed. Raises CorruptRecord."""
        try:
            sid, row, body, in_grace, ended = msgpack.unpackb(wire)
            return cls(sid, headers.current(row), body, in_grace=in_grace, ended=ended)
        except (ValueError, TypeError, IndexError) as error:
            msg = "a record that came over the wire cannot be read"
            raise CorruptRecord(msg) from error

    def _parts(self) -> headers.Variable:
        if self._variable is None:
            self._variable = headers.parse_variable(self._row, self._header.variable_length)
        return self._variable

    def __repr__(self) -> str:
        return f"<Record {self.handle} version {self.version}>"

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return Record.from_wire, (self.to_wire(),)


class Data(Mapping[str, Any]):
    """The data of a record: read-only, decoded per key. ``repr`` shows the number of keys only."""

    __slots__ = ("_body", "_decoded")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._decoded: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        decoded = self._decoded
        if key not in decoded:
            decoded[key] = self._body.value(key)
        return decoded[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._body.keys)

    def __len__(self) -> int:
        return len(self._body.keys)

    def __contains__(self, key: object) -> bool:
        return key in self._body.keys

    def __repr__(self) -> str:
        return f"<{len(self)} session keys>"


def unpack_flash(packed: bytes) -> FlashMessage:
    """A flash from its form at rest."""
    level, message, title = unpack(packed)
    return FlashMessage(level, message, title)
