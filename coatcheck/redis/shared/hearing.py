"""What a host does about what it hears: events of the logs, applied to its copies together with their position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck.clock import NEVER
from coatcheck.errors import CorruptRecord
from coatcheck.redis.draft import MARKED
from coatcheck.redis.shared import putting
from coatcheck.redis.shared.rows import Copy, copy_of, put_copy, put_tag, tag_at
from coatcheck.store import header as headers
from coatcheck.store import token_table
from coatcheck.store.tables import DELETED, EXPIRED, MEMBER, REVOKED, Tables, Transaction

if TYPE_CHECKING:
    from coatcheck.store.header import Header

BEAT: Final = "beat"
"""The kind of event that says nothing but that the log is written."""

_ENDS: Final = {"deleted": DELETED, "revoked": REVOKED, "evicted": REVOKED, "expired": EXPIRED}
_OF_USE: Final = frozenset({"touched", "filed"})
"""Only the time of the last use has changed, which is asked for when the copy's own is over."""

_NEW_TOKENS: Final = frozenset({"created", "rotated", "login"})


class Event(NamedTuple):
    """An event of a log."""

    position: bytes
    kind: str
    sid: bytes
    at: int
    """Microseconds UTC, by the clock of who wrote it."""
    principal_hash: bytes = b""

    @classmethod
    def read(cls, position: bytes, fields: Mapping[bytes, bytes]) -> Event:
        """An event as it lies in Redis. Raises ValueError for what cannot be read."""
        return cls(
            position,
            fields.get(b"kind", b"").decode(),
            bytes.fromhex(fields.get(b"sid", b"").decode()),
            int(fields.get(b"at", b"0")),
            bytes.fromhex(fields.get(b"principal", b"").decode()),
        )


class Heard(NamedTuple):
    """What became of some events."""

    dirty: list[bytes]
    """The sids of copies that have to be read again."""
    ended: int = 0
    """Copies whose sessions have ended."""
    news: bool = False
    """Whether there are new tokens."""


def hear(transaction: Transaction, tables: Tables, tag: int, events: Sequence[Event]) -> Heard:
    """Apply events of one tag, in order, and remember the last of them."""
    dirty: dict[bytes, None] = {}
    ended, news = 0, False
    for event in events:
        news = news or event.kind in _NEW_TOKENS
        if event.kind == BEAT or event.kind in _OF_USE:
            continue
        if event.kind == MARKED:
            dirty.update(dict.fromkeys(_mark(transaction, tables, tag, event)))
        elif event.kind in _ENDS:
            ended += _end(transaction, tables, event)
            dirty.pop(event.sid, None)
        elif _dirty(transaction, tables, event.sid, event.position):
            dirty[event.sid] = None
    if events:
        row = tag_at(transaction, tables, tag)
        put_tag(transaction, tables, tag, row._replace(position=max(row.position, events[-1].position)))
    return Heard(list(dirty), ended, news)


def begin_epoch(transaction: Transaction, tables: Tables, tag: int, position: bytes, incarnation: bytes) -> int:
    """Events were missed, or Redis has lost its data: all copies of a tag have to be read again. The new epoch."""
    row = tag_at(transaction, tables, tag)
    put_tag(transaction, tables, tag, row._replace(epoch=row.epoch + 1, position=position, incarnation=incarnation))
    return row.epoch + 1


def stale_copies(
    transaction: Transaction, tables: Tables, after: bytes, limit: int
) -> tuple[list[bytes], bytes | None]:
    """Of the next ``limit`` copies those that have to be read again, and where to go on; None at the end."""
    epochs = [tag_at(transaction, tables, tag).epoch for tag in range(16)]
    stale: list[bytes] = []
    with transaction.cursor(db=tables.copies) as cursor:
        more = cursor.set_range(after) if after else cursor.first()
        while more and limit:
            sid = cursor.key()
            copy = Copy.read(cursor.value())
            if copy.dirty or copy.epoch != epochs[sid[0] >> 4]:
                stale.append(sid)
            limit -= 1
            more = cursor.next()
        return stale, cursor.key() if more else None


def _dirty(transaction: Transaction, tables: Tables, sid: bytes, position: bytes) -> bool:
    copy = copy_of(transaction, tables, sid)
    if copy is None or position <= copy.heard:
        return False
    put_copy(transaction, tables, sid, copy._replace(dirty=1, heard=position))
    return True


def _mark(transaction: Transaction, tables: Tables, tag: int, event: Event) -> Iterable[bytes]:
    """A principal was revoked: Redis says which of its sessions have ended."""
    members = []
    with transaction.cursor(db=tables.principals) as cursor:
        if cursor.set_key(event.principal_hash):
            members = [MEMBER.unpack(value)[1] for value in cursor.iternext_dup()]
    return [sid for sid in members if sid[0] >> 4 == tag and _dirty(transaction, tables, sid, event.position)]


def _end(transaction: Transaction, tables: Tables, event: Event) -> int:
    copy = copy_of(transaction, tables, event.sid)
    row = transaction.get(event.sid, db=tables.sessions)
    if copy is None or row is None or event.position <= copy.heard:
        return 0
    tokens = _tokens_of(row)
    putting.drop(transaction, tables, event.sid)
    state = _ENDS[event.kind]
    kept = event.at + (token_table.EXPIRED_KEPT if state == EXPIRED else token_table.ENDED_KEPT)
    for token_hash in tokens:
        token_table.bury(transaction, tables, token_hash, event.sid, state, event.at, min(kept, NEVER))
    return 1


def _tokens_of(row: bytes) -> list[bytes]:
    try:
        row = headers.current(row)
        fixed: Header = headers.parse(row)
        graces = headers.parse_variable(row, fixed.variable_length).graces
    except (CorruptRecord, IndexError):
        return []
    return [fixed.token_hash, *(each[0] for each in graces)]
