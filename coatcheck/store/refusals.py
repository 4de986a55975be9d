"""Refused tokens: counted in this process, and told at most once per peer and minute.

Forged, unknown and retired tokens cost whoever sends them nothing. So they are never written one by one: an attacker
could neither fill the disk with them nor push the history of real sessions out of the ring.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND
from coatcheck.store import audit
from coatcheck.store.transactions import Write

if TYPE_CHECKING:
    from coatcheck.sealing import Sealing
    from coatcheck.store.environment import Environment

KINDS: Final = frozenset(("forged", "unknown", "retired"))
"""The reasons that are worth an event."""

EVERY: Final = 60 * SECOND
"""Time between two events for the same peer, in microseconds."""

MOST_PEERS: Final = 1024
"""Peers that are told apart at a time; the rest are counted together, as ``others``."""

_OTHERS: Final = "others"


class Refusals:
    """What was refused since the last event, by peer."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew; a forked child does, because what was counted stays with the parent."""
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {}
        self._told: dict[str, int] = {}

    def note(self, kind: str, peer: str | None) -> None:
        """Count one refused token from a peer, such as an IP address."""
        peer = (peer or "unknown")[:64]
        with self._lock:
            if peer not in self._counts and len(self._counts) >= MOST_PEERS:
                peer = _OTHERS
            counts = self._counts.setdefault(peer, {})
            counts[kind] = counts.get(kind, 0) + 1

    def flush(self, environment: Environment, now: int, timeout: float, sealing: Sealing | None = None) -> int:
        """Write an event for each peer whose last one is a minute old; how many."""
        if not self._counts:
            return 0
        with self._lock:
            self._told = {peer: at for peer, at in self._told.items() if now - EVERY < at <= now}
            due = {peer: self._counts.pop(peer) for peer in list(self._counts) if peer not in self._told}
            self._told.update(dict.fromkeys(due, now))
        if due:
            with Write(environment, timeout) as transaction:
                for peer, counts in due.items():
                    audit.note(
                        transaction,
                        environment.tables,
                        now,
                        "refused",
                        ring=audit.REFUSED,
                        detail=audit.sealed_detail({"peer": peer, **counts}, sealing),
                    )
        return len(due)
