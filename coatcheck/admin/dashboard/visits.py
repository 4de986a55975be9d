"""Who is signed in to the dashboard: a small table in its own memory, apart from the sessions that it shows.

It has nothing to do with the store on purpose: ending every session of the store must not end the operator's, and a
store that is full or gone must not keep the operator out.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coatcheck.admin.dashboard.page import Said

COOKIE: Final = "coatcheck-dashboard"
"""The cookie's name over http; over https it is ``__Host-`` and this."""

IDLE: Final = 1800.0
"""Seconds without a page after which somebody is signed out (ASVS 7.3.1). Live updates are no pages."""

ABSOLUTE: Final = 12 * 3600.0
"""Seconds after which somebody has to sign in again (ASVS 7.3.2)."""

_MOST: Final = 200


@dataclass
class Visit:
    """One who is signed in."""

    who: str
    """The name in the password file, or of the user of the machine who made the link."""

    how: str
    """``link`` or ``password``."""

    csrf: str
    """What every form of this visit carries."""

    since: float
    """Monotonic seconds."""

    seen: float
    """Monotonic seconds of the last page."""

    said: Said | None = None
    """What the next page has to say."""

    @property
    def by(self) -> str:
        """How the audit log names whoever does something here."""
        return f"dashboard:{self.who}"


class Visits:
    """Everybody who is signed in, by the hash of the cookie."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_hash: dict[bytes, Visit] = {}
        self._changing = threading.Lock()

    def begin(self, who: str, how: str) -> tuple[str, Visit]:
        """Sign somebody in: the token for the cookie, always a new one (ASVS 7.2.4), and the visit."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        visit = Visit(who, how, secrets.token_urlsafe(32), now, now)
        with self._changing:
            self._forget(now)
            while len(self._by_hash) >= _MOST:
                del self._by_hash[min(self._by_hash, key=lambda each: self._by_hash[each].seen)]
            self._by_hash[_hash(token)] = visit
        return token, visit

    def find(self, token: str, *, used: bool = True) -> Visit | None:
        """The visit of a cookie, or None. ``used``: it counts as a sign of life."""
        visit = self._by_hash.get(_hash(token))
        now = self._clock()
        if visit is None or not _lives(visit, now):
            return None
        if used:
            visit.seen = now
        return visit

    def end(self, token: str) -> None:
        """Sign out."""
        self._by_hash.pop(_hash(token), None)

    def _forget(self, now: float) -> None:
        self._by_hash = {key: visit for key, visit in self._by_hash.items() if _lives(visit, now)}


def _lives(visit: Visit, now: float) -> bool:
    return now - visit.seen < IDLE and now - visit.since < ABSOLUTE


def _hash(token: str) -> bytes:
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32).digest()
