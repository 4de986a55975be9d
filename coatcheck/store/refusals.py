"""What costs whoever causes it nothing: counted in this process, and told at most once per subject and minute.

Forged, unknown and retired tokens, writes to sessions that have ended, limits that were hit. They are never written one
by one: an attacker could neither fill the disk with them nor push the history of real sessions out of its ring.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from coatcheck.clock import SECOND
from coatcheck.store import audit
from coatcheck.store.transactions import Read, Write

if TYPE_CHECKING:
    from coatcheck.sealing import Sealing
    from coatcheck.store.environment import Environment

KINDS: Final = frozenset(("forged", "unknown", "retired"))
"""The reasons that are worth an event."""

EVERY: Final = 60 * SECOND
"""Time between two events for the same subject, in microseconds."""

MOST_PEERS: Final = 1024
"""Subjects of a kind that are told apart at a time; the rest are counted together, as ``others``."""

_OTHERS: Final = "others"

_Subject = tuple[str, str]
"""The kind of the event, and the peer or sid or limit that it is about."""


@dataclass
class _Noted:
    counts: dict[str, int] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    sid: bytes = b""
    principal: str | bytes | None = None

    def add(self, counts: dict[str, int]) -> None:
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


class Refusals:
    """What was refused since the last event, by subject."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew; a forked child does, because what was counted stays with the parent."""
        self._lock = threading.Lock()
        self._noted: dict[_Subject, _Noted] = {}
        self._told: dict[_Subject, int] = {}

    def __bool__(self) -> bool:
        return bool(self._noted)

    def note(self, kind: str, peer: str | None, count: int = 1) -> None:
        """Count refused tokens from a peer, such as an IP address."""
        self._note("refused", (peer or "unknown")[:64], "peer", {kind: count})

    def note_dropped(self, peer: str | None) -> None:
        """Count a write of a peer to a session that had ended meanwhile."""
        self._note("write_dropped", (peer or "unknown")[:64], "peer", {"count": 1})

    def note_limit(self, limit: str, sid: bytes = b"", principal: str | bytes | None = None, count: int = 1) -> None:
        """Count what a limit has refused. Sessions without a principal are counted together: anyone can have many."""
        if principal is None:
            self._note("limit", limit, "limit", {"count": count})
        else:
            noted = self._note("limit", sid.hex(), "", {limit: count})
            noted.sid, noted.principal = sid, principal

    def note_limit_of(self, name: str, limit: str, principal: str | bytes) -> None:
        """Count what a limit has refused to a principal: ``name``, and as it is to be kept."""
        self._note("limit", f"of {name}", "", {limit: 1}).principal = principal

    def _note(self, event: str, name: str, called: str, counts: dict[str, int]) -> _Noted:
        with self._lock:
            subject = event, name
            noted = self._noted.get(subject)
            if noted is None:
                if sum(each[0] == event for each in self._noted) >= MOST_PEERS:
                    subject = event, _OTHERS
                    noted = self._noted.get(subject)
                if noted is None:
                    noted = self._noted[subject] = _Noted(detail={called: subject[1]} if called else {})
            noted.add(counts)
            return noted

    def flush(self, environment: Environment, now: int, timeout: float, sealing: Sealing | None = None) -> int:
        """Write an event for each subject of which none is younger than a minute, from any process; how many."""
        if not self._noted:
            return 0
        with self._lock:
            self._told = {subject: at for subject, at in self._told.items() if now - EVERY < at <= now}
            due = {each: self._noted.pop(each) for each in list(self._noted) if each not in self._told}
        if not due:
            return 0
        written: set[_Subject] = set()
        try:
            with Read(environment) as transaction:
                told, last = _lately_told(transaction, environment, now, -1, sealing)
            with Write(environment, timeout) as transaction:
                # What others have written in between, in the transaction in which that ends.
                more, _ = _lately_told(transaction, environment, now, last, sealing)
                told |= more
                rows: list[audit.Row] = []
                for subject, noted in due.items():
                    if subject not in told:
                        detail = audit.sealed_detail({**noted.detail, **noted.counts}, sealing)
                        rows.append((now, subject[0], noted.sid, noted.principal, _plain(detail)))
                        written.add(subject)
                audit.note_all(transaction, environment.tables, rows, audit.REFUSED)
        except BaseException:
            with self._lock:
                self._put_back(due)
            raise
        with self._lock:
            self._told.update({each: told.get(each, now) for each in due})
            self._put_back({each: noted for each, noted in due.items() if each not in written})
        return len(written)

    def _put_back(self, held: dict[_Subject, _Noted]) -> None:
        for subject, noted in held.items():
            later = self._noted.get(subject)
            if later is not None:
                noted.add(later.counts)
            self._noted[subject] = noted


def _plain(detail: Any) -> dict[str, Any] | bytes:
    return detail if isinstance(detail, bytes) else dict(detail)


def _lately_told(
    transaction: Any, environment: Environment, now: int, after: int, sealing: Sealing | None
) -> tuple[dict[_Subject, int], int]:
    """The subjects of the events of the last minute behind that number, when each was told, and the last number."""
    told: dict[_Subject, int] = {}
    last = after
    for event in audit.events_backwards(transaction, environment.tables, audit.REFUSED, sealing):
        if event.sequence <= after or not now - EVERY < event.at <= now:
            break
        last = max(last, event.sequence)
        name = event.detail.get("peer") or event.detail.get("limit") or event.sid or f"of {event.principal}"
        if isinstance(name, str):
            told.setdefault((event.kind, name), event.at)
    return told, last
