"""SessionClient: the verbs of a store, their a-twins, and sessions; over shared memory or over the actor system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coatcheck.client.twins import Runner, iterating, lasting, reading, writing
from coatcheck.clock import clock_from
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.keyring import keyring_from
from coatcheck.metering import meter_of
from coatcheck.outage import OutageLog
from coatcheck.sealing import sealing_of
from coatcheck.session import Session
from coatcheck.settings import Settings
from coatcheck.store.contract import CheckReport, CleanupReport, Found, SessionInfo, SessionStore, StoreStats
from coatcheck.store.lmdb import LmdbStore

if TYPE_CHECKING:
    from typing_extensions import Self

    from coatcheck.adopt.origin import Origin
    from coatcheck.changes import AnyChange
    from coatcheck.clock import Clock
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.record import Record


def connect(home: str | PathLike[str] | None = None, *, lane: str | None = None, **settings: Any) -> SessionClient:
    """A client for the store in the state directory ``home``; nothing is opened before the first verb.

    ``home`` and ``lane`` (``direct`` or ``actor``) come from ``COATCHECK_HOME`` and ``COATCHECK_LANE`` when they are
    left out; ``settings`` are the fields of :class:`coatcheck.Settings`. On the direct lane a store that does not
    exist is made; the actor lane joins the running system of that directory.

    Raises ConfigurationError for a setting that is unknown or cannot be.
    """
    return SessionClient(Settings.load(home, lane=lane, **settings))


class SessionClient:
    """All verbs of :class:`coatcheck.store.contract.SessionStore`, where each is described; and :meth:`open`.

    Safe to make before a fork, to share between threads, and to use from asyncio and trio through the a-twins. It is a
    context manager: leaving it closes.
    """

    def __init__(self, settings: Settings, *, store: SessionStore | None = None, clock: Clock | None = None) -> None:
        """``store`` instead of the one that the settings describe; ``clock`` instead of the one they name."""
        if settings.secrets is not None:
            keyring_from(settings.secrets, settings.home)  # what cannot be a secret is said now, not to a visitor
        if store is None and settings.lane == "direct":
            sealing_of(settings)
        self.settings = settings
        self.clock: Clock = clock or clock_from(settings.clock)
        self.store: SessionStore = self._store_of(settings) if store is None else store
        self.direct = isinstance(self.store, LmdbStore)
        """Whether the store is in this process: loads take microseconds and wait for nobody."""
        self.counters: Counter[str] = Counter()
        """What sessions of this client met, in this process: ``ended``, ``dropped``, ``outage``, ..."""
        self._counted = meter_of(settings.home).add("session", self, self.counters)
        self._outages = OutageLog(self.clock)
        self.runner = Runner(settings.pool_size, self.store if isinstance(self.store, LmdbStore) else None)
        """Where the a-twins run."""

    def _store_of(self, settings: Settings) -> SessionStore:
        if settings.lane == "direct":
            return LmdbStore(settings, clock=self.clock)
        try:
            from coatcheck.client.actor_lane import ActorStore
        except ImportError as error:
            msg = f"the actor lane needs Thespian ({error}): pip install coatcheck"
            raise ConfigurationError(msg) from error
        store: SessionStore = ActorStore(settings)
        return store

    def open(
        self, token: str | None = None, *, peer: str | None = None, meta: Mapping[str, Any] | None = None
    ) -> Session:
        """The session of a token, a dict; a new and empty one without a token, or when the token has no session.

        ``peer`` is the address of whoever presented it; ``meta`` is noted about the session at a login. Never raises:
        a store that cannot be asked raises StoreUnavailable when the session is first used, or what else ``on_outage``
        says.
        """
        session = Session(self, token, peer=peer, meta=meta)
        if self.direct:
            session.load()
        return session

    def open_from(self, origin: Origin, *, peer: str | None = None, meta: Mapping[str, Any] | None = None) -> Session:
        """The session that was kept elsewhere, adopted when it is loaded; see ``coatcheck.adopt``."""
        session = Session(self, peer=peer, meta=meta)
        session.begin_from(origin)
        if self.direct:
            session.load()
        return session

    async def aopen_from(
        self, origin: Origin, *, peer: str | None = None, meta: Mapping[str, Any] | None = None
    ) -> Session:
        """The twin of ``open_from`` for asyncio; the session is adopted, or found, in a thread."""
        session = Session(self, peer=peer, meta=meta)
        session.begin_from(origin)
        await session.aload()
        return session

    async def aopen(
        self, token: str | None = None, *, peer: str | None = None, meta: Mapping[str, Any] | None = None
    ) -> Session:
        """The twin of ``open`` for asyncio and trio; the session is loaded on either lane."""
        session = Session(self, token, peer=peer, meta=meta)
        await session.aload()
        return session

    def touch_soon(self, token: str) -> None:
        """A touch that never waits for other writers. Raises StoreUnavailable when it would have to."""
        if isinstance(self.store, LmdbStore):
            with self.store.no_wait():
                self.store.touch(token)
        elif hasattr(self.store, "touch_later"):
            self.store.touch_later(token)
        else:
            self.store.touch(token)

    def restore_soon(self, token: str, take_id: str) -> None:
        """Put back what a take took as soon as that is possible again; on the direct lane there is nobody to do it."""
        later = getattr(self.store, "restore_soon", None)
        if later is not None:
            later(token, take_id)

    def note_refused(self, reason: str | None, peer: str | None) -> None:
        """Count a token that was refused, for the audit; the manager counts those of the actor lane."""
        if reason is not None and isinstance(self.store, LmdbStore):
            self.store.note_refused(reason, peer)

    def count(self, name: str) -> None:
        """Add one to a counter. No lock, which a fork might take along: a count may be lost to a thread."""
        self.counters[name] += 1
        self._counted.begin()

    def note_outage(self, error: StoreUnavailable) -> None:
        """Count a session that went on without the store, and say so once in a while."""
        self.count("outage")
        self._outages.tell(error, self.settings.on_outage)

    def mint(self, like: str | None = None) -> str:
        """A token for ``create``, or, made ``like`` the present one, for ``rotate`` and ``login``; stores nothing."""
        return self.store.mint(like)

    # The verbs -------------------------------------------------------------------------------------------------

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
        """A new session; its token and its record."""
        return self.store.create(
            data,
            principal=principal,
            lifetimes=lifetimes,
            meta=meta,
            flashes=flashes,
            token=token,
            request_id=request_id,
        )

    def load(self, token: str, *, touch: bool = True, fresh: bool = False) -> Record | None:
        """The live session of a token, or None."""
        return self.store.load(token, touch=touch, fresh=fresh)

    def find(self, token: str, *, fresh: bool = False) -> Found:
        """The live session of a token, or why there is none."""
        return self.store.find(token, fresh=fresh)

    def save(
        self,
        token: str,
        changes: Sequence[AnyChange],
        *,
        if_version: int | None = None,
        request_id: bytes | None = None,
    ) -> Record:
        """Apply changes to the session as it is now."""
        return self.store.save(token, changes, if_version=if_version, request_id=request_id)

    def touch(self, token: str) -> Record:
        """Store that the session is in use, if that is due."""
        return self.store.touch(token)

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
        """A new token for the same session; the old one works ``grace`` seconds longer."""
        return self.store.rotate(
            token, grace=grace, changes=changes, if_version=if_version, new_token=new_token, request_id=request_id
        )

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
        """A new token, and the session bound to a principal."""
        return self.store.login(
            token,
            principal,
            changes=changes,
            lifetimes=lifetimes,
            meta=meta,
            if_version=if_version,
            new_token=new_token,
            request_id=request_id,
        )

    def delete(self, token: str) -> bool:
        """End the session; whether there was one."""
        return self.store.delete(token)

    def add_flash(self, token: str, flash: FlashMessage, *, request_id: bytes | None = None) -> None:
        """Append to the mailbox."""
        self.store.add_flash(token, flash, request_id=request_id)

    def take_flashes(self, token: str, *, request_id: bytes | None = None) -> tuple[str, list[FlashMessage]]:
        """Take all flashes; an id to restore them with, and the flashes."""
        return self.store.take_flashes(token, request_id=request_id)

    def restore_flashes(self, token: str, take_id: str) -> int:
        """Put back what a take took; how many."""
        return self.store.restore_flashes(token, take_id)

    def sessions_of(self, principal: str) -> list[SessionInfo]:
        """The live sessions of a principal, oldest first."""
        return self.store.sessions_of(principal)

    def revoke(self, principal: str, *, except_: str | None = None) -> int:
        """End all sessions of a principal, but that of the token ``except_``; how many."""
        return self.store.revoke(principal, except_=except_)

    def revoke_sid(self, sid: str) -> bool:
        """End the session with this sid; whether there was one."""
        return self.store.revoke_sid(sid)

    def sweep(self, limit: int = 1000) -> CleanupReport:
        """Remove what has expired."""
        return self.store.sweep(limit)

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Live sessions in the order of their sid."""
        return self.store.scan(after=after, limit=limit)

    def stats(self) -> StoreStats:
        """Counts and sizes."""
        return self.store.stats()

    def check(self) -> CheckReport:
        """Compare all records with all indexes."""
        return self.store.check()

    def backup(self, target: str | PathLike[str]) -> None:
        """Write a consistent copy into a new directory."""
        self.store.backup(target)

    def compact(self) -> tuple[int, int]:
        """Rewrite the data file without its free pages; file bytes before and after."""
        return self.store.compact()

    def sync(self) -> None:
        """Force what was committed onto the disk."""
        self.store.sync()

    amint = reading(mint)
    acreate = writing(create)
    aload = reading(load)
    afind = reading(find)
    asave = writing(save)
    atouch = writing(touch)
    arotate = writing(rotate)
    alogin = writing(login)
    adelete = writing(delete)
    aadd_flash = writing(add_flash)
    atake_flashes = writing(take_flashes)
    arestore_flashes = writing(restore_flashes)
    asessions_of = reading(sessions_of)
    arevoke = writing(revoke)
    arevoke_sid = writing(revoke_sid)
    asweep = lasting(sweep)
    ascan = iterating(scan)
    astats = lasting(stats)
    acheck = lasting(check)
    abackup = lasting(backup)
    acompact = lasting(compact)
    async_ = lasting(sync)

    # The end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give back what is open. The next verb opens again."""
        self.runner.close()
        self.store.close()
        self._counted.end()

    aclose = lasting(close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<SessionClient {self.settings.home} lane={self.settings.lane}>"
