"""What every store promises, whoever keeps the data: LMDB, a manager actor on the other end, Redis.

Each verb is one transaction. The promises that hold for all of them:

* A token never issued is never adopted; a forged one is refused before any lookup: ``load`` and ``find`` answer
  None, ``delete`` False, every other verb raises BadToken.
* Missing is an answer (None, False or SessionMissing), unavailable is an error (StoreUnavailable); never mixed up.
* Save, rotate, login and taking flashes count as use, like a touch; adding and restoring flashes do not.
* A session is live while ``now < deadline``; nothing brings back one that has ended.
* ``token`` of ``create`` and ``new_token`` of ``rotate`` and ``login`` are minted by the caller where given, and
  ``request_id`` (16 bytes) marks the request, so that the same request sent again is applied once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.record import Record

Reason = Literal["forged", "unknown", "expired", "deleted", "revoked", "retired"]
"""Why there is no live session for a token."""


class Found(NamedTuple):
    """The answer of ``find``: a live record, or the reason why there is none."""

    record: Record | None = None
    """The record, or None."""

    reason: Reason | None = None
    """None when there is a record."""

    ended_ago: float | None = None
    """Seconds since the session was deleted or revoked, or its token retired, where that is known."""

    def __bool__(self) -> bool:
        return self.record is not None

    def __repr__(self) -> str:
        return f"Found(record={self.record!r}, reason={self.reason!r})"


@dataclass(frozen=True)
class SessionInfo:
    """A session as others may see it: no token, no data."""

    sid: str
    """32 hex digits."""

    principal: str | None
    """Whom it is bound to."""

    created_at: int
    """Microseconds UTC."""

    last_seen_at: int
    """Microseconds UTC, up to one touch interval old."""

    expires_at: int
    """Microseconds UTC."""

    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the application noted about the device, such as ``ip``, ``user_agent``, ``label``."""

    size: int = 0
    """Bytes of data and flashes at rest."""

    @property
    def handle(self) -> str:
        """The first 8 hex digits of the sid: for logs and people."""
        return self.sid[:8]


@dataclass(frozen=True)
class CleanupReport:
    """What one ``sweep`` did."""

    removed: int = 0
    """Sessions that had expired and are gone."""

    refiled: int = 0
    """Sessions found extended, and filed under their present deadline."""

    forgotten: int = 0
    """Retired tokens and tombstones past their time."""

    more: bool = False
    """Whether entries that are due remain."""

    held: bool = False
    """True when nothing was swept because the wall clock has jumped (see ``doctor``)."""

    seconds: float = 0.0
    """Time inside the writer gate."""


@dataclass(frozen=True)
class StoreStats:
    """Counts and sizes, read from the store's own tables."""

    sessions: int
    """Sessions at rest, expired ones that are not swept yet included."""

    principals: int
    """Sessions bound to a principal."""

    tokens: int
    """Tokens known: current, in grace, retired, and tombstones."""

    due: int
    """Expired entries that wait for the sweep, counted up to 10,000."""

    oldest_due: float
    """Sweep lag: seconds since the oldest of them was due; 0.0 when none is."""

    used_bytes: int
    """Pages in use."""

    map_bytes: int
    """The most the store may grow to."""

    file_bytes: int
    """The size of the data file."""

    readers: int
    """Read transactions open in all processes."""

    audit_events: int
    """Events in the ring."""

    durability: str
    """``second`` or ``commit``."""

    encryption: str = ""
    """Ids of the keys that something may be sealed under, newest first, separated by spaces; empty: not encrypted."""

    counters: Mapping[str, int] = field(default_factory=dict)
    """What this process has done since it opened the store: loads, saves, forged tokens, ..."""


@dataclass(frozen=True)
class Problem:
    """One thing that ``check`` found wrong."""

    kind: str
    """A short name, such as ``index-without-session``."""

    where: str
    """The table and the (shortened) key."""

    detail: str
    """What was expected."""


@dataclass(frozen=True)
class CheckReport:
    """The result of a whole ``check``."""

    sessions: int
    """How many sessions were read."""

    entries: int
    """How many index entries were compared."""

    problems: tuple[Problem, ...]
    """At most 1,000; empty when the store is sound."""

    sealed: Mapping[str, int] = field(default_factory=dict)
    """In an encrypted store: how many sessions are sealed under each key, by its id (8 hex digits)."""

    sealed_events: Mapping[str, int] = field(default_factory=dict)
    """The same of the events in the audit ring."""

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class SessionStore(Protocol):
    """The verbs. Times are seconds in arguments, microseconds UTC in records."""

    def mint(self, like: str | None = None) -> str:
        """A token that ``create`` may use, or, made ``like`` the present one, ``rotate`` and ``login``. Stores nothing.

        Raises ValueError where ``like`` does not have the form of a token.
        """

    def create(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        principal: str | None = None,
        lifetimes: Lifetimes | None = None,
        meta: Mapping[str, Any] | None = None,
        flashes: Iterable[FlashMessage] = (),
        token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str, Record]:
        """A new session under a new token and sid, create-if-absent.

        Raises UnstorableValue, SessionTooLarge, PrincipalLimit, StoreFull, and SessionConflict for a token in use.
        """

    def load(self, token: str, *, touch: bool = True, fresh: bool = False) -> Record | None:
        """The live session, or None. A due touch is stored, unless a writer is in the way: loads never wait.

        ``fresh``: where several hosts share sessions, as it is at this moment, and not up to a second ago.
        """

    def find(self, token: str, *, fresh: bool = False) -> Found:
        """Like ``load`` without a touch, but says why there is none."""

    def save(
        self,
        token: str,
        changes: Sequence[AnyChange],
        *,
        if_version: int | None = None,
        request_id: bytes | None = None,
    ) -> Record:
        """Apply the changes to the record as it is now. Never creates: SessionMissing.

        ``if_version``: SessionConflict when the data version differs. Also UnstorableValue, ChangeRefused,
        SessionTooLarge, StoreFull; then nothing was applied.
        """

    def touch(self, token: str) -> Record:
        """Store that the session is in use, if its interval has passed. Cannot overwrite data. SessionMissing."""

    def rotate(
        self,
        token: str,
        *,
        grace: float = 0.0,
        changes: Sequence[AnyChange] = (),
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str | None, Record]:
        """A new token for the same session; the old one is retired now, or after ``grace`` seconds.

        A token that is in grace itself gets the record and None: the renewal has happened. SessionMissing.
        """

    def login(
        self,
        token: str,
        principal: str,
        *,
        changes: Sequence[AnyChange] = (),
        lifetimes: Lifetimes | None = None,
        meta: Mapping[str, Any] | None = None,
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str, Record]:
        """Rotate and bind to a principal; never a grace, ends every grace (ASVS 7.2.4).

        The absolute lifetime starts anew. A session of another principal loses its data and flashes first.
        Raises SessionMissing, PrincipalLimit.
        """

    def delete(self, token: str) -> bool:
        """End the session, idempotently; whether there was one."""

    def add_flash(self, token: str, flash: FlashMessage, *, request_id: bytes | None = None) -> None:
        """Append to the mailbox. SessionMissing."""

    def take_flashes(self, token: str, *, request_id: bytes | None = None) -> tuple[str, list[FlashMessage]]:
        """Take all flashes, each exactly once over all callers; an empty mailbox is no write. SessionMissing.

        The take id is ``request_id.hex()`` where one is given, so that a take whose answer was lost can be restored.
        """

    def restore_flashes(self, token: str, take_id: str) -> int:
        """Put back what that take took, in front, once and within 60 s; how many. SessionMissing."""

    def sessions_of(self, principal: str) -> list[SessionInfo]:
        """The live sessions of a principal, oldest first (ASVS 7.5.2)."""

    def revoke(self, principal: str, *, except_: str | None = None) -> int:
        """End all sessions of a principal, but that of the token ``except_``; how many (ASVS 7.4.2, 7.4.3)."""

    def revoke_sid(self, sid: str) -> bool:
        """End the session with this sid; whether there was one."""

    def sweep(self, limit: int = 1000) -> CleanupReport:
        """Remove what is expired now, at most ``limit`` entries, in paced batches."""

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Live sessions in the order of their sid, after that sid; never holds a transaction between two."""

    def stats(self) -> StoreStats:
        """Counts and sizes."""

    def check(self) -> CheckReport:
        """Compare every record with every index, both ways, in one snapshot."""

    def backup(self, target: str | PathLike[str]) -> None:
        """Write a consistent copy into a new directory, which is a state directory itself."""

    def compact(self) -> tuple[int, int]:
        """Rewrite the data file without its free pages; file bytes before and after. Nobody else may be on it."""

    def sync(self) -> None:
        """Force what was committed onto the disk."""

    def close(self) -> None:
        """Give back what is open. The next verb opens again."""
