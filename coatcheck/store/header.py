"""The header of a session at rest: a fixed part, then a packed variable part.

A row of the table ``sessions`` is ``header | variable part | body``; the body is left out when it is kept in chunks.
Every number is big-endian; times are microseconds UTC, lifetimes microseconds with 0 for "no such limit".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgpack

from coatcheck.clock import NEVER, SECOND, microseconds
from coatcheck.errors import CorruptRecord
from coatcheck.lifetimes import Lifetimes

FORMAT: Final = 1
"""The format that is written. Older ones are upgraded when they are read, and rewritten at the next save."""

CHUNKED: Final = 1
"""Flag: the body is in the table ``bodies``."""

OWN_LIFETIMES: Final = 2
"""Flag: the lifetimes were chosen for this session, so a login keeps them."""

SEALED: Final = 4
"""Flag: principal, meta and body are sealed."""

HEADER: Final = struct.Struct(">BBxxIIQQQQQQQQ16s")

UPGRADES: Final[dict[int, Callable[[bytes], bytes]]] = {}
"""From an old format number to the function that turns its row into one of the next format."""


class Header(NamedTuple):
    """The fixed part, in the order of the struct."""

    format: int
    flags: int
    variable_length: int
    body_length: int
    version: int
    created: int
    last_seen: int
    filed: int
    started: int
    idle: int
    absolute: int
    touch_interval: int
    token_hash: bytes

    @property
    def lifetimes(self) -> Lifetimes:
        """The lifetimes in seconds."""
        return Lifetimes(
            idle=self.idle / SECOND if self.idle else None,
            absolute=self.absolute / SECOND if self.absolute else None,
            touch_interval=self.touch_interval / SECOND,
        )


class Variable(NamedTuple):
    """The variable part."""

    principal: str | bytes | None = None
    """As bytes it is sealed."""
    principal_hash: bytes | None = None
    meta: bytes = b""
    graces: list[list[Any]] = []  # noqa: RUF012 - a default that is never changed in place
    repeats: list[list[Any]] = []  # noqa: RUF012


EMPTY_VARIABLE: Final = Variable()


def current(row: bytes) -> bytes:
    """The row in the present format. Raises CorruptRecord for one that cannot be read."""
    while row[0] != FORMAT:
        upgrade = UPGRADES.get(row[0])
        if upgrade is None:
            msg = f"session record of format {row[0]}, but this coatcheck reads up to {FORMAT}: upgrade coatcheck"
            raise CorruptRecord(msg)
        row = upgrade(row)
    return row


def parse(row: bytes) -> Header:
    """The fixed part of a row of the present format."""
    return Header._make(parse_plain(row))


def parse_plain(row: bytes) -> tuple[Any, ...]:
    """The fixed part as a bare tuple, for those in a hurry."""
    try:
        return HEADER.unpack_from(row)
    except struct.error as error:
        raise cut_short(row) from error


def cut_short(row: bytes) -> CorruptRecord:
    """The error for a row without a whole header."""
    return CorruptRecord(f"session record of {len(row)} bytes is cut short: run 'check', then restore a backup")


def parse_variable(row: bytes, length: int) -> Variable:
    """The variable part of a row, of that many bytes."""
    if not length:
        return EMPTY_VARIABLE
    try:
        return Variable._make(msgpack.unpackb(row[HEADER.size : HEADER.size + length], unicode_errors="surrogatepass"))
    except (ValueError, TypeError) as error:
        msg = "the variable part of a session record cannot be read: run 'check', then restore a backup"
        raise CorruptRecord(msg) from error


def pack_variable(variable: Variable) -> bytes:
    """The packed form; nothing for an empty one, as most anonymous sessions have."""
    if variable == EMPTY_VARIABLE:
        return b""
    packed: bytes = msgpack.packb(list(variable), unicode_errors="surrogatepass")
    return packed


def lifetimes_in_microseconds(lifetimes: Lifetimes) -> tuple[int, int, int]:
    """Idle, absolute and touch interval as they are kept in a header."""
    return (
        microseconds(lifetimes.idle) if lifetimes.idle else 0,
        microseconds(lifetimes.absolute) if lifetimes.absolute else 0,
        microseconds(lifetimes.touch_interval or 0.0),
    )


def deadline(last_seen: int, started: int, idle: int, absolute: int) -> int:
    """The moment at which a session of these ends, microseconds UTC."""
    ends = last_seen + idle if idle else NEVER
    return min(ends, started + absolute) if absolute else ends


def deadline_of(header: Header) -> int:
    """The moment at which a session of this header ends, microseconds UTC."""
    return deadline(header.last_seen, header.started, header.idle, header.absolute)
