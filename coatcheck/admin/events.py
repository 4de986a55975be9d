"""Audit events as operators see them: named, timed, with shortened sids, and nothing that must stay secret.

:class:`Reader` reads what has happened, :func:`follow` goes on with what happens, within a tenth of a second.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from coatcheck.store import audit

if TYPE_CHECKING:
    from coatcheck.store.audit import AuditEvent
    from coatcheck.store.lmdb import LmdbStore

RINGS: Final[Mapping[str, bytes]] = {"life": audit.LIFE, "anonymous": audit.ANONYMOUS, "refused": audit.REFUSED}
"""What there is to read: sessions with a principal, and operators; sessions that nobody has signed in to; refused
tokens, limits and dropped writes."""

POLL: Final = 0.05
"""Seconds between two looks. One costs about 30 microseconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHOWN: Final = 8

WORDS: Final[Mapping[str, str]] = {
    "created": "a session began signed in",
    "login": "signed in",
    "rotated": "got a new token",
    "deleted": "ended by its user",
    "revoked": "revoked",
    "evicted": "revoked, as its user had too many sessions",
    "expired": "expired",
    "refused": "tokens were refused",
    "write_dropped": "writes to sessions that had ended were dropped",
    "limit": "a limit was hit",
    "policy_changed": "the limits of the store were changed",
    "encryption_changed": "encryption was turned on or off",
    "resealed": "the store was sealed anew",
    "backed_up": "the store was copied",
    "restored": "a backup took the place of the store",
    "compacted": "the data file was written anew",
    "swept": "expired sessions were removed by hand",
    "data_viewed": "the data of a session was looked at",
    "missed": "events were overwritten before they were read",
}
"""What each kind of event means. A kind that is not here, such as one of an application, speaks for itself."""


@dataclass(frozen=True)
class Event:
    """One event. It holds no token, no session data, and of a sid only the beginning."""

    ring: str
    """A key of :data:`RINGS`."""

    sequence: int
    """Its number in its ring: the same event has the same, whoever reads it."""

    at: int
    """Microseconds UTC."""

    kind: str
    """A key of :data:`WORDS`, or what ``note_action`` was told."""

    session: str = ""
    """The first 8 hex digits of the sid: the handle that commands take. Empty where it is about no single session."""

    principal: str | None = None
    """Whom the session was bound to."""

    by: str | None = None
    """The operator who did it, where it was none of the user's own doing."""

    detail: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and names that belong to the kind, such as ``count`` and ``peer``."""

    @property
    def words(self) -> str:
        """What it means, in English."""
        return WORDS.get(self.kind, self.kind.replace("_", " "))

    @property
    def time(self) -> str:
        """ISO 8601, UTC, with milliseconds."""
        moment = _EPOCH + timedelta(microseconds=self.at)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def as_text(self) -> str:
        """One line for people. What users, peers or applications chose is escaped: it moves no cursor."""
        parts = [self.time, f"{self.kind:<14}", self.session or "-" * _SHOWN]
        if self.principal is not None:
            parts.append(f"principal={_visible(self.principal)}")
        if self.by is not None:
            parts.append(f"by={_visible(self.by)}")
        parts += [f"{name}={_visible(value)}" for name, value in self.detail.items()]
        return " ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` and the audit file have; only what JSON can say."""
        return {
            "time": self.time,
            "at": self.at,
            "ring": self.ring,
            "sequence": self.sequence,
            "kind": self.kind,
            "session": self.session,
            "principal": _plain(self.principal),
            "by": _plain(self.by),
            "detail": {str(name): _plain(value) for name, value in self.detail.items()},
            "words": self.words,
        }


@dataclass(frozen=True)
class Batch:
    """Some events, oldest first."""

    events: tuple[Event, ...]
    """What happened since the position before; one of the kind ``missed`` where the ring did not reach back to it."""

    position: Mapping[str, int]
    """By ring the number of the last event read: where to go on."""

    more: bool = False
    """Whether there are certainly more."""

    @property
    def missed(self) -> int:
        """Events that were overwritten before they were read."""
        return sum(each.detail["count"] for each in self.events if each.kind == "missed")


class Reader:
    """Reads the events of a store from a position on. Not for several threads at once."""

    def __init__(
        self, store: LmdbStore, position: Mapping[str, int] | None = None, *, rings: Iterable[str] = tuple(RINGS)
    ) -> None:
        """``position``: read what came after it; None: only what comes from now on; ``{}``: all that there is.

        ``rings``: which; all by default. Raises ValueError for one that there is not.
        """
        self._store = store
        self._rings = tuple(rings)
        unknown = sorted(set(self._rings) - set(RINGS))
        if unknown:
            msg = f"there is no ring {unknown[0]!r}: there are {', '.join(RINGS)}"
            raise ValueError(msg)
        self.position: dict[str, int] = newest(store) if position is None else dict(position)
        """By ring the number of the last event that was read."""

    def read(self, limit: int = 1000) -> Batch:
        """What has happened since the last read, at most ``limit`` events of each ring. Waits for nothing."""
        found: list[list[Event]] = []
        more = False
        for name in self._rings:
            after = self.position.get(name, -1)
            rows = self._store.events(after=after, limit=limit, ring=RINGS[name])
            if not rows:
                continue
            more = more or len(rows) == limit
            events = [event_of(name, row) for row in rows]
            gap = rows[0].sequence - after - 1
            if gap > 0 and name in self.position:
                events.insert(0, _missed(events[0], gap))
            self.position[name] = rows[-1].sequence
            found.append(events)
        merged = tuple(heapq.merge(*found, key=lambda each: each.at)) if found else ()
        return Batch(merged, dict(self.position), more)


def newest(store: LmdbStore) -> dict[str, int]:
    """The position behind everything that has happened so far."""
    return {name: store.last_event(ring) for name, ring in RINGS.items()}


def recent(store: LmdbStore, count: int = 20, *, rings: Iterable[str] = tuple(RINGS)) -> Batch:
    """The last ``count`` events of each of these rings, and the position behind all."""
    end = newest(store)
    begin = {name: max(-1, end[name] - count) for name in rings}
    batch = Reader(store, begin, rings=rings).read(count)
    events = tuple(each for each in batch.events if each.kind != "missed")
    return Batch(events, {**end, **batch.position})


def follow(
    store: LmdbStore,
    position: Mapping[str, int] | None = None,
    *,
    rings: Iterable[str] = tuple(RINGS),
    stop: threading.Event | None = None,
    poll: float = POLL,
) -> Iterator[Batch]:
    """Events as they happen, each at most about a tenth of a second old, until ``stop`` is set.

    ``position`` and ``rings`` are those of :class:`Reader`. Raises StoreUnavailable while the store cannot be read; to
    go on afterwards, follow again from the last position.
    """
    stop = threading.Event() if stop is None else stop
    reader = Reader(store, position, rings=rings)
    while not stop.is_set():
        batch = reader.read()
        if batch.events:
            yield batch
        if not batch.more:
            stop.wait(poll)


def event_of(ring: str, row: AuditEvent) -> Event:
    """An event of the store as it may be shown."""
    detail = dict(row.detail)
    by = detail.pop("by", None)
    return Event(
        ring, row.sequence, row.at, row.kind, row.sid[:_SHOWN], row.principal, None if by is None else str(by), detail
    )


def _missed(first: Event, count: int) -> Event:
    return Event(first.ring, first.sequence - 1, first.at, "missed", detail={"count": count})


def _visible(value: Any) -> str:
    text = value if isinstance(value, str) else str(_plain(value))
    return text if text.isprintable() and " " not in text else ascii(text)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        # A lone surrogate cannot be written to any file.
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    return str(value)
