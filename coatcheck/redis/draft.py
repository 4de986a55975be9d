"""A session open for changes, and the commands that bring what is at rest to what it has become."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import msgpack

from coatcheck.clock import NEVER
from coatcheck.redis import rest
from coatcheck.redis.layout import Layout, TokenRow, moment, tag_of
from coatcheck.redis.rest import Session
from coatcheck.store import header as headers
from coatcheck.store.draft import Draft
from coatcheck.store.header import FORMAT, HEADER
from coatcheck.store.record import Record
from coatcheck.store.tables import CURRENT
from coatcheck.store.token_table import EXPIRED_KEPT

if TYPE_CHECKING:
    from coatcheck.redis.calls import Write

LOG_KEPT: Final = 24 * 3600 * 1000
"""How long the log of a tag outlives its last event, in milliseconds."""

LOG_LENGTH: Final = 10_000
"""Events of one tag's log, about."""


MARKED: Final = "not-before"
"""The kind of event that ends all sessions of a principal."""


class RedisDraft(Draft):
    """A session that the steps of :mod:`coatcheck.store.apply` can be applied to, kept in Redis."""

    __slots__ = ("_bound", "buried", "found", "off_reserve", "revision")

    def __init__(self, sid: bytes, found: Session | None) -> None:
        """``found`` is None for a session that is made now."""
        super().__init__(None, None, sid, None if found is None else found.row())  # type: ignore[arg-type]
        self.found = found
        self.revision = secrets.token_bytes(16)
        self._bound: int | None = None
        self.buried: list[tuple[bytes, TokenRow]] = []
        """The tokens that it puts out of use, or into their grace, with their rows."""
        self.off_reserve = False
        """Whether it may be stored, grown or not, while Redis is full."""

    def bind_at(self, principal: str, principal_hash: bytes, now: int) -> None:
        """Bind it to somebody, at that moment."""
        self.bind(principal, principal_hash)
        self._bound = now

    @property
    def tag(self) -> str:
        """The tag of all its keys."""
        return tag_of(self.sid)

    def saved(self, write: Write, layout: Layout, now: int, kind: str) -> tuple[Record, Session]:
        """Add what stores it; the record as it will be, and how it will lie there."""
        if self.data_changed or self.is_new:
            self.version += 1
        self.filed = self.deadline
        variable = headers.pack_variable(self.variable)
        values, flashes, takes = dict(self.values), list(self.flashes), self.takes
        header = HEADER.pack(
            FORMAT, self.flags, len(variable), 0, self.version, self.created, self.last_seen, self.filed,
            self.started, self.idle, self.absolute, self.touch_interval, self.token_hash,
        ) + variable  # fmt: skip
        fields = self._fields(header, values, takes, len(flashes))
        session = Session(self.sid, fields, flashes, self.found.before if self.found else None)
        self._write(write, layout, session, now)
        note(write, layout, self.tag, kind, self.sid, now)
        return session.record(), session

    def _fields(self, header: bytes, values: dict[str, bytes], takes: list[Any], flashes: int) -> dict[bytes, bytes]:
        fields = {rest.HEADER: header, rest.REVISION: self.revision, rest.ORDER: rest.pack_order(list(values))}
        if takes:
            fields[rest.TAKES] = msgpack.packb(takes)
        if flashes:
            fields[rest.COUNT] = b"%d" % flashes
        if self.variable.principal_hash:
            fields[rest.PRINCIPAL] = self.variable.principal_hash.hex().encode()
            bound = self.found.fields.get(rest.BOUND, b"") if self.found else b""
            fields[rest.BOUND] = bound if self._bound is None else moment(self._bound)
        for key, packed in values.items():
            fields[rest.field_of(key)] = packed
        return fields

    def _write(self, write: Write, layout: Layout, session: Session, now: int) -> None:
        old = self.found.fields if self.found else {}
        key = layout.session(self.sid)
        if self.off_reserve or not self.grows:
            # Redis refuses a script over maxmemory at its first command that may take room, but none after a write.
            write.run_first("PERSIST", key)
        # In this order: one that grows begins with a command that Redis refuses when it is full.
        changed = [part for each in session.fields.items() if old.get(each[0]) != each[1] for part in each]
        write.run_in_pieces("HSET", key, changed)
        write.run_in_pieces("HDEL", key, [each for each in old if each not in session.fields])
        self._write_flashes(write, layout, session.flashes)
        self._file(write, layout, now)

    def _write_flashes(self, write: Write, layout: Layout, flashes: list[bytes]) -> None:
        old = self.found.flashes if self.found else []
        key = layout.flashes(self.sid)
        if flashes == old:
            return
        # Most changes append, and drop the oldest.
        for dropped in range(len(old) + 1):
            kept = old[dropped:]
            if flashes[: len(kept)] == kept:
                break
        if dropped == len(old):
            write.run("DEL", key)
        elif dropped:
            write.run("LTRIM", key, dropped, -1)
        write.run_in_pieces("RPUSH", key, flashes[len(old) - dropped :])

    def _file(self, write: Write, layout: Layout, now: int) -> None:
        """Its places in the indexes, and how long all its keys are kept."""
        deadline, tag, sid = self.deadline, self.tag, self.sid.hex().encode()
        keep(write, layout.session(self.sid), deadline, now)
        keep(write, layout.flashes(self.sid), deadline, now)
        score = score_of(deadline)
        write.file(layout.expiry(tag), sid, score, now)
        before = self.found.fields.get(rest.PRINCIPAL) if self.found else None
        after = self.variable.principal_hash
        if before and (after is None or before != after.hex().encode()):
            unlist(write, layout, tag, sid, before, now)
        if after:
            write.file(layout.principal(tag, after), sid, score, now)
            write.file(layout.bound(tag), sid + b":" + after.hex().encode(), score, now)
        token = layout.token(tag, self.token_hash)
        if self.is_new or (self.found and self.token_hash != headers.parse(self.found.fields[rest.HEADER]).token_hash):
            write.run("SET", token, TokenRow(self.sid, CURRENT, now, 0, self.revision).packed())
        keep(write, token, deadline if deadline == NEVER else deadline + EXPIRED_KEPT, now)

    def removed(self, write: Write, layout: Layout, now: int, kind: str) -> None:
        """Add what removes it, and its entries. Its tokens are the caller's."""
        tag, sid = self.tag, self.sid.hex().encode()
        write.run_first("DEL", layout.session(self.sid))
        write.run_first("DEL", layout.flashes(self.sid))
        write.unfile(layout.expiry(tag), sid, now)
        listed = self.found.fields.get(rest.PRINCIPAL) if self.found else None
        if listed:
            unlist(write, layout, tag, sid, listed, now)
        note(write, layout, tag, kind, self.sid, now)


def unlist(write: Write, layout: Layout, tag: str, sid: bytes, principal: bytes, now: int) -> None:
    """Take a session out of the lists of a principal, whose hash is given in hex."""
    write.unfile(layout.principal(tag, bytes.fromhex(principal.decode())), sid, now)
    write.unfile(layout.bound(tag), sid + b":" + principal, now)


def keep(write: Write, key: bytes, until: int, now: int) -> None:
    """Let Redis forget a key at that moment of our clock, not of its own: clocks may differ, time that passes not."""
    if until == NEVER:
        write.run("PERSIST", key)
    else:
        write.run("PEXPIRE", key, max(1, -(-(until - now) // 1000)))


def score_of(deadline: int) -> bytes:
    """A deadline as the score of an index."""
    return b"inf" if deadline == NEVER else b"%d" % deadline


def note(
    write: Write, layout: Layout, tag: str, kind: str, sid: bytes, now: int, principal_hash: bytes | None = None
) -> None:
    """Tell whoever follows the log what happened, to a session or to all of a principal."""
    log = layout.log(tag)
    whose = () if principal_hash is None else ("principal", principal_hash.hex())
    write.run("XADD", log, "MAXLEN", "~", LOG_LENGTH, "*", "kind", kind, "sid", sid.hex(), "at", now, *whose)
    write.run("PEXPIRE", log, LOG_KEPT)
