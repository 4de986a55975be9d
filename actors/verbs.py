"""The verbs of the store as handlers of requests. Needs no Thespian.

A read is carried out at once. A write is too, when its turn comes at once; behind a writer that takes its time it
waits in a thread, in order with the writes after it, so that one stopped writer does not keep anyone from reading.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coatcheck import messages as m
from coatcheck.actors.desk import Handler, Later
from coatcheck.errors import StoreUnavailable
from coatcheck.store.gate import Backoff, GateBusy
from coatcheck.store.lmdb import LmdbStore

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.settings import Settings

WRITES: Final = "writes"
"""The queue of writes that wait for their turn."""

LONG: Final = "long"
"""The queue of what takes a while whatever happens."""

_TRIES: Final = 40
_MAX_PAGE: Final = 500
_MAX_DEFAULTS: Final = 64


class Verbs:
    """Handlers for everything that is asked of a SessionManager."""

    def __init__(self, settings: Settings, *, store: LmdbStore | None = None) -> None:
        """``store`` instead of the one that the settings describe."""
        self._settings = settings
        self.store = store or LmdbStore(settings, background=False)
        self._stores: dict[tuple[Lifetimes | None, Lifetimes | None], LmdbStore] = {(None, None): self.store}
        self.queued: Callable[[str], int] = lambda _: 0
        """How many jobs of a queue are under way."""
        self.ready = False
        """Whether the store is open, so that reading waits for nobody."""
        self._waits_for_disk = False
        self._refused: tuple[float, StoreUnavailable] | None = None
        reads: dict[type[m.Request], Callable[[Any], m.Reply]] = {
            m.LoadSession: self.load,
            m.FindSession: self.find,
            m.ListSessions: self.list,
            m.InspectStore: self.stats,
            m.ScanSessions: self.scan,
        }
        writes: dict[type[m.Request], Callable[[Any], m.Reply]] = {
            m.CreateSession: self.create,
            m.SaveSession: self.save,
            m.TouchSession: self.touch,
            m.RotateSession: self.rotate,
            m.LoginSession: self.login,
            m.DeleteSession: self.delete,
            m.AddFlash: self.add_flash,
            m.TakeFlashes: self.take_flashes,
            m.RestoreFlashes: self.restore_flashes,
            m.RevokeSessions: self.revoke,
        }
        long: dict[type[m.Request], Callable[[Any], m.Reply]] = {
            m.CleanupExpired: self.sweep,
            m.CheckStore: self.check,
            m.BackupStore: self.backup,
            m.CompactStore: self.compact,
            m.SyncStore: self.sync,
        }
        self.handlers: dict[type[m.Request], Handler] = {
            **{kind: self._reading(verb) for kind, verb in reads.items()},
            **{kind: self._writing(verb) for kind, verb in writes.items()},
            **{kind: self._lasting(verb) for kind, verb in long.items()},
        }

    # Where a verb is carried out -------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store, which may have to wait for somebody who is alone on it. For a thread."""
        self._waits_for_disk = self.store.environment.policy.durability == "commit"
        self.ready = True

    def close(self) -> None:
        """Give back what is open."""
        self.ready = False
        for each in self._stores.values():
            each.close()

    def _reading(self, verb: Callable[[Any], m.Reply]) -> Handler:
        def handler(request: Any) -> m.Reply | Later:
            return verb(request) if self.ready else self._waiting(verb, request)

        return handler

    def _writing(self, verb: Callable[[Any], m.Reply]) -> Handler:
        def handler(request: Any) -> m.Reply | Later:
            # Behind others that wait, so that nobody's writes are done in another order than they were sent.
            if not self.ready or self._waits_for_disk or self.queued(WRITES):
                return self._waiting(verb, request)
            with self.store.no_wait():
                for _ in range(_TRIES):
                    try:
                        return verb(request)
                    except GateBusy:
                        os.sched_yield()
            return self._waiting(verb, request)

        return handler

    def _lasting(self, verb: Callable[[Any], m.Reply]) -> Handler:
        return lambda request: self._waiting(verb, request, LONG)

    def _waiting(self, verb: Callable[[Any], m.Reply], request: Any, queue: str = WRITES) -> Later:
        since = time.monotonic()

        def work() -> m.Reply | None:
            if not self.ready:
                self.open()
            return verb(request) if queue == LONG else self._patiently(verb, request, since)

        return Later(queue, work)

    def _patiently(self, verb: Callable[[Any], m.Reply], request: Any, since: float) -> m.Reply | None:
        """Wait for a turn, but not again after having waited since then behind others who waited in vain."""
        if request.deadline is not None:
            left = request.deadline - time.monotonic()
            if left < self._settings.gate_timeout:
                return self._within(left, verb, request)
        refused = self._refused
        if refused is not None and since < refused[0] and time.monotonic() - since >= self._settings.gate_timeout:
            try:
                with self.store.no_wait():
                    return verb(request)
            except GateBusy:
                raise refused[1].with_traceback(None) from None
        try:
            return verb(request)
        except StoreUnavailable as error:
            self._refused = time.monotonic(), error
            raise

    def _within(self, seconds: float, verb: Callable[[Any], m.Reply], request: Any) -> m.Reply | None:
        """Wait for a turn for so long; None when it did not come.

        Nobody hears the answer afterwards, so what were done then, such as taking flashes, would be lost to everybody.
        """
        backoff = Backoff(seconds)
        with self.store.no_wait():
            while True:
                try:
                    return verb(request)
                except GateBusy:
                    if not backoff.wait():
                        return None

    def _store_for(self, anonymous: Lifetimes | None, signed_in: Lifetimes | None) -> LmdbStore:
        """The same store with the sender's defaults: they belong to clients, not to stores."""
        store = self._stores.get((anonymous, signed_in))
        if store is None:
            wanted = {"anonymous": anonymous, "signed_in": signed_in}
            given: dict[str, Any] = {name: each for name, each in wanted.items() if each is not None}
            store = LmdbStore(replace(self._settings, **given), clock=self.store.clock, background=False)
            store.counters = self.store.counters
            if len(self._stores) >= _MAX_DEFAULTS:
                # Each counts as a user of the environment. Whoever is in the middle of a verb of it can finish.
                oldest = next(key for key in self._stores if key != (None, None))
                self._stores.pop(oldest).close()
            self._stores[anonymous, signed_in] = store
        return store

    # Sessions --------------------------------------------------------------------------------------------------

    def create(self, request: m.CreateSession) -> m.Reply:
        """A new session."""
        default = request.default_lifetimes
        store = self._store_for(default, None) if request.principal is None else self._store_for(None, default)
        token, record = store.create(
            request.data,
            principal=request.principal,
            lifetimes=request.lifetimes,
            meta=request.meta,
            flashes=request.flashes,
            token=request.token,
            request_id=request.request_id,
        )
        return m.SessionCreated(request_id=request.request_id, token=token, record=record)

    def load(self, request: m.LoadSession) -> m.Reply:
        """The session of a token, or why there is none."""
        record = self.store.load(request.token, touch=request.touch, fresh=request.fresh)
        if record is None:
            return self._found(request)
        return m.SessionLoaded(request_id=request.request_id, record=record)

    def find(self, request: m.FindSession) -> m.Reply:
        """The same without a touch."""
        return self._found(request)

    def _found(self, request: m.LoadSession | m.FindSession) -> m.Reply:
        found = self.store.find(request.token, fresh=request.fresh)
        if found.record is not None:
            return m.SessionLoaded(request_id=request.request_id, record=found.record)
        return m.SessionAbsent(
            request_id=request.request_id, reason=found.reason or "unknown", ended_ago=found.ended_ago
        )

    def save(self, request: m.SaveSession) -> m.Reply:
        """Apply changes."""
        record = self.store.save(
            request.token, request.changes, if_version=request.if_version, request_id=request.request_id
        )
        return m.SessionSaved(request_id=request.request_id, record=record)

    def touch(self, request: m.TouchSession) -> m.Reply:
        """Note that it is in use."""
        return m.SessionTouched(request_id=request.request_id, record=self.store.touch(request.token))

    def rotate(self, request: m.RotateSession) -> m.Reply:
        """A new token."""
        token, record = self.store.rotate(
            request.token,
            grace=request.grace,
            changes=request.changes,
            if_version=request.if_version,
            new_token=request.new_token,
            request_id=request.request_id,
        )
        return m.SessionRotated(request_id=request.request_id, token=token, record=record)

    def login(self, request: m.LoginSession) -> m.Reply:
        """A new token and a principal."""
        token, record = self._store_for(None, request.default_lifetimes).login(
            request.token,
            request.principal,
            changes=request.changes,
            lifetimes=request.lifetimes,
            meta=request.meta,
            if_version=request.if_version,
            new_token=request.new_token,
            request_id=request.request_id,
        )
        return m.SessionRotated(request_id=request.request_id, token=token, record=record)

    def delete(self, request: m.DeleteSession) -> m.Reply:
        """End it."""
        return m.SessionDeleted(request_id=request.request_id, existed=self.store.delete(request.token))

    def add_flash(self, request: m.AddFlash) -> m.Reply:
        """Into the mailbox."""
        self.store.add_flash(request.token, request.flash, request_id=request.request_id)
        return m.FlashAdded(request_id=request.request_id)

    def take_flashes(self, request: m.TakeFlashes) -> m.Reply:
        """Out of the mailbox."""
        take_id, flashes = self.store.take_flashes(request.token, request_id=request.request_id)
        return m.FlashesTaken(request_id=request.request_id, take_id=take_id, flashes=flashes)

    def restore_flashes(self, request: m.RestoreFlashes) -> m.Reply:
        """Back into the mailbox."""
        count = self.store.restore_flashes(request.token, request.take_id)
        return m.FlashesRestored(request_id=request.request_id, count=count)

    def list(self, request: m.ListSessions) -> m.Reply:
        """Whose are there."""
        return m.SessionsListed(request_id=request.request_id, sessions=self.store.sessions_of(request.principal))

    def revoke(self, request: m.RevokeSessions) -> m.Reply:
        """End what the sender has no token of."""
        if (request.principal is None) == (request.sid is None):
            msg = "RevokeSessions takes either a principal or a sid"
            raise ValueError(msg)
        if request.sid is not None:
            count = int(self.store.revoke_sid(request.sid))
        else:
            assert request.principal is not None
            count = self.store.revoke(request.principal, except_=request.except_token)
        return m.SessionsRevoked(request_id=request.request_id, count=count)

    # The store as a whole --------------------------------------------------------------------------------------

    def stats(self, request: m.InspectStore) -> m.Reply:
        """Counts and sizes."""
        return m.StoreInspected(request_id=request.request_id, stats=self.store.stats())

    def scan(self, request: m.ScanSessions) -> m.Reply:
        """A page of sessions."""
        limit = min(request.limit, _MAX_PAGE)
        page: Iterable[Any] = self.store.scan(after=request.after, limit=limit)
        return m.SessionsScanned(request_id=request.request_id, sessions=tuple(page))

    def sweep(self, request: m.CleanupExpired) -> m.Reply:
        """Remove what has expired."""
        return m.SessionsCleaned(request_id=request.request_id, report=self.store.sweep(request.limit))

    def check(self, request: m.CheckStore) -> m.Reply:
        """Compare everything."""
        return m.StoreChecked(request_id=request.request_id, report=self.store.check())

    def backup(self, request: m.BackupStore) -> m.Reply:
        """A copy."""
        if not Path(request.target).is_absolute():
            msg = "BackupStore takes an absolute path: the manager works in another directory than the sender"
            raise ValueError(msg)
        self.store.backup(request.target)
        return m.StoreBackedUp(request_id=request.request_id)

    def compact(self, request: m.CompactStore) -> m.Reply:
        """A smaller file."""
        # While nobody may have the store open, all others wait in a thread, so that the actor goes on answering.
        self.ready = False
        try:
            before, after = self.store.compact()
        finally:
            self.ready = True
        return m.StoreCompacted(request_id=request.request_id, before=before, after=after)

    def sync(self, request: m.SyncStore) -> m.Reply:
        """Onto the disk."""
        self.store.sync()
        return m.StoreSynced(request_id=request.request_id)
