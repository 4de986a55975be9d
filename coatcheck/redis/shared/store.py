"""CachedStore: the sessions of many hosts, kept in Redis, and answered from memory where they are known there."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from coatcheck.errors import StoreUnavailable
from coatcheck.redis.shared.base import CachedBase
from coatcheck.redis.shared.following import Following
from coatcheck.redis.shared.hosts import HostReport, reports
from coatcheck.redis.verbs import Verbs
from coatcheck.store.contract import CheckReport, CleanupReport, Found, SessionInfo, StoreStats
from coatcheck.store.gate import GateBusy

if TYPE_CHECKING:
    from typing_extensions import Self

    from coatcheck.redis.calls import Flow, Keep
    from coatcheck.redis.shared.copies import Copies
    from coatcheck.redis.store import RedisStore
    from coatcheck.store.record import Record

P = ParamSpec("P")
R = TypeVar("R")


def through(verb: Callable[Concatenate[Verbs, P], Flow[R]]) -> Callable[Concatenate[CachedStore, P], R]:
    """The verb as a method that asks Redis, and keeps what it says."""

    @functools.wraps(verb)
    def run(store: CachedStore, /, *arguments: P.args, **named: P.kwargs) -> R:
        return store.run(verb(store.verbs, *arguments, **named))

    return run


class CachedStore(CachedBase):
    """The contract of :class:`coatcheck.store.contract.SessionStore` on Redis, with the copies of this host in front.

    Loads are answered from the copies as long as those are at most a second old; everything else goes through Redis,
    and then into the copies. Safe to build before a fork, and to share between threads.
    """

    def __init__(self, local: Copies, shared: RedisStore, *, follows: bool = False) -> None:
        """``local``: the copies of this host; ``shared``: the truth. Both are closed with this.

        ``follows``: whether this process may follow, in a thread, when no other of this host does.
        """
        super().__init__(local, shared.verbs)
        self.shared = shared
        self.following = Following(self)
        self._follows = follows
        self._started_in = 0

    @property
    def hosts(self) -> list[HostReport]:
        """What all hosts have said of themselves lately. Raises StoreUnavailable."""
        return self.shared.driver.run(reports(self))

    # How Redis is asked ----------------------------------------------------------------------------------------

    def run(self, flow: Flow[R]) -> R:
        """Run a verb, and keep what Redis says meanwhile. Raises GateBusy inside ``no_wait``."""
        self._require_patience()
        self._begin()
        epochs = self.local.epochs()
        said: list[Keep] = []
        try:
            return self.shared.driver.run(flow, said.append)
        finally:
            if said:
                self.local.keep(said, epochs)

    def _begin(self) -> None:
        """See that somebody follows, where that may be this process."""
        if self._follows and self._started_in != os.getpid():
            self._started_in = os.getpid()
            self.following.start()

    def _require_patience(self) -> None:
        if getattr(self.local.environment.local, "no_wait", False):
            msg = "Redis has to be asked, and this caller does not wait"
            raise GateBusy(msg)

    @contextmanager
    def no_wait(self) -> Iterator[None]:
        """Inside, and in this thread, a verb that would have to ask Redis raises GateBusy."""
        with self.local.no_wait():
            yield

    # Loads -----------------------------------------------------------------------------------------------------

    def load(self, token: str, *, touch: bool = True, fresh: bool = False) -> Record | None:
        """The live session, or None; see the contract. ``fresh``: as Redis has it at this moment."""
        token_hash = self.verbs.hash_of(token)
        if token_hash is None:
            return None
        self._begin()
        found = None if fresh else self._near(token, token_hash)
        if found is None:
            record = self._far(token, token_hash, touch=touch).record
        elif found.record is not None and self.is_due(found.record, touch=touch):
            record = self._touched(token, token_hash, found.record)
        else:
            record = found.record
        if record is not None:
            self.counters["load"] += 1
        return record

    def find(self, token: str, *, fresh: bool = False) -> Found:
        """The live session, or why there is none; see the contract. ``fresh``: as Redis has it at this moment."""
        token_hash = self.verbs.hash_of(token)
        if token_hash is None:
            return Found(reason="forged")
        self._begin()
        return (None if fresh else self._near(token, token_hash)) or self._far(token, token_hash, touch=False)

    def _far(self, token: str, token_hash: bytes, *, touch: bool) -> Found:
        """The answer that Redis has."""
        self._require_patience()
        news = self._news(token)
        return self._asked(token_hash, self.run(self.verbs.found(token, touch=touch)), news)

    def _touched(self, token: str, token_hash: bytes, record: Record) -> Record | None:
        """Store a use; one that Redis cannot be told of is left to the next request."""
        try:
            return self._far(token, token_hash, touch=True).record
        except GateBusy:
            raise
        except StoreUnavailable:
            return record

    # Whatever changes something --------------------------------------------------------------------------------

    create = through(Verbs.create)
    save = through(Verbs.save)
    touch = through(Verbs.touch)
    rotate = through(Verbs.rotate)
    login = through(Verbs.login)
    delete = through(Verbs.delete)
    add_flash = through(Verbs.add_flash)
    take_flashes = through(Verbs.take_flashes)
    restore_flashes = through(Verbs.restore_flashes)
    sessions_of = through(Verbs.sessions_of)
    revoke = through(Verbs.revoke)
    revoke_sid = through(Verbs.revoke_sid)

    # The store as a whole --------------------------------------------------------------------------------------

    def sweep(self, limit: int = 1000) -> CleanupReport:
        """Remove from Redis what is expired now, and copies whose time is over; see the contract."""
        self._require_patience()
        report = self.shared.sweep(limit)
        self.local.sweep(limit)
        return report

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Live sessions in the order of their sid; see the contract."""
        self._require_patience()
        return self.shared.scan(after=after, limit=limit)

    def stats(self) -> StoreStats:
        """Counts of what Redis has; see the contract."""
        self._require_patience()
        return self.shared.stats()

    def check(self) -> CheckReport:
        """Compare what Redis has with its indexes, and the copies with theirs; see the contract."""
        there, here = self.shared.check(), self.local.check()
        problems = [*there.problems, *(replace(each, kind=f"copy: {each.kind}") for each in here.problems)]
        return CheckReport(there.sessions, there.entries + here.entries, tuple(problems))

    def backup(self, target: str | PathLike[str]) -> None:
        """Write every live session of Redis into a new state directory; see the contract."""
        self.shared.backup(target)

    def compact(self) -> tuple[int, int]:
        """Rewrite the file of the copies without its free pages; see the contract."""
        return self.local.compact()

    def sync(self) -> None:
        """Force what was committed onto the disk, here and where Redis is; see the contract."""
        self.local.sync()
        self.shared.sync()

    def close(self) -> None:
        """Give back what is open. The next verb opens again."""
        self._started_in = 0
        self.following.stop()
        self.shared.close()
        self.local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
