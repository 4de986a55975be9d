"""Watcher: one thread of a process that finds out which sessions of open websockets have ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SECOND
from coatcheck.errors import CoatcheckError
from coatcheck.store.audit import ANONYMOUS, LIFE
from coatcheck.store.lmdb import LmdbStore

if TYPE_CHECKING:
    from coatcheck.client import SessionClient

QUICK: Final = 0.25
"""Seconds between two looks at the life-cycle ring."""

SLOW: Final = 1.0
"""Seconds between two rounds of questions on the actor lane, where the ring cannot be seen."""

_PAGE: Final = 1000

_log = logging.getLogger("coatcheck.asgi")


@dataclass(eq=False)
class _Watched:
    token: str = field(repr=False)
    sid: str
    tell: Callable[[], None]
    look_at: int = 0
    """Microseconds UTC from which the session may have ended by itself."""


class Watcher:
    """Its thread runs while there is a websocket to watch.

    On the direct lane it follows the ring of events: one look for all websockets, however many there are. A session
    that an event names is asked for, and so is one whose deadline has passed.
    """

    def __init__(self, client: SessionClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._watched: set[_Watched] = set()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def watch(self, token: str, sid: str, tell: Callable[[], None]) -> Callable[[], None]:
        """Call ``tell``, once, from another thread, when the token opens no session any more. A function to stop."""
        one = _Watched(token, sid, tell)
        with self._lock:
            self._watched.add(one)
            if self._thread is None or not self._thread.is_alive():
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._follow, args=(self._stopped,), name="coatcheck-watcher", daemon=True
                )
                self._thread.start()
        return lambda: self._stop(one)

    def _stop(self, one: _Watched) -> None:
        with self._lock:
            self._watched.discard(one)
            if not self._watched:
                self._stopped.set()
                self._thread = None

    def _follow(self, stopped: threading.Event) -> None:
        store = self._client.store
        rings = [_Ring(store, each) for each in (LIFE, ANONYMOUS)] if isinstance(store, LmdbStore) else []
        pause = QUICK if rings else SLOW
        while not stopped.wait(pause):
            # An outage ends no session: whoever cannot be asked about stays until the next round.
            try:
                named = set().union(*(ring.named() for ring in rings)) if rings else None
                for one in self._suspects(named):
                    self._look(one)
            except CoatcheckError:
                continue
            except Exception:  # noqa: BLE001 - one look that fails must not be the last one
                _log.warning("a look at the sessions of open websockets has failed", exc_info=True)

    def _suspects(self, named: set[str] | None) -> list[_Watched]:
        now = self._client.clock.now()
        with self._lock:
            watched = list(self._watched)
            for one in watched:
                if named is None or one.sid in named:
                    one.look_at = 0  # until it was asked for
        return [one for one in watched if one.look_at <= now]

    def _look(self, one: _Watched) -> None:
        record = self._client.store.find(one.token).record
        if record is None:
            self._stop(one)
            one.tell()
        else:
            # A token in grace ends without any further event.
            one.look_at = self._client.clock.now() + SECOND if record.in_grace else record.expires_at


class _Ring:
    """What has happened since the last look."""

    def __init__(self, store: LmdbStore, ring: bytes) -> None:
        self._store = store
        self._ring = ring
        self._after = store.last_event(ring)

    def named(self) -> set[str]:
        """The sids of all sessions that something happened to."""
        sids: set[str] = set()
        while True:
            events = self._store.events(after=self._after, limit=_PAGE, ring=self._ring)
            sids |= {event.sid for event in events}
            if events:
                self._after = events[-1].sequence
            if len(events) < _PAGE:
                return sids
