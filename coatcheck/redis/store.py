"""RedisStore: sessions in Redis, for any number of hosts."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coatcheck.redis import connecting
from coatcheck.redis.admin_verbs import PAGE
from coatcheck.redis.driver import Driver
from coatcheck.redis.verbs import Verbs, method
from coatcheck.store.contract import SessionInfo

if TYPE_CHECKING:
    from typing_extensions import Self

    from coatcheck.clock import Clock
    from coatcheck.settings import Settings


class RedisStore:
    """The contract of :class:`coatcheck.store.contract.SessionStore` on Redis or Valkey alone.

    Safe to build before a fork, and to share between threads; nothing is connected before the first verb.
    """

    def __init__(
        self,
        settings: Settings,
        url: str | None = None,
        *,
        client: Any = None,
        prefix: str = "coatcheck",
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        """``url``: see :mod:`coatcheck.redis.connecting`, default ``redis://localhost``; ``options``: redis-py's own.

        ``client``: a Redis or RedisCluster of redis-py to use instead, which stays the caller's to close. ``prefix``
        stands in front of all keys: one a store. ``clock`` overrides the one that the settings name.

        Raises ConfigurationError for a URL, options or a client that cannot be.
        """
        make = connecting.maker(connecting.client_of, url, client, options)
        self.settings = settings
        self.driver = Driver(make, owned=client is None)
        self.verbs = Verbs(settings, prefix, clock)
        self.counters = self.verbs.counters

    def mint(self, like: str | None = None) -> str:
        """A token for a verb to use; see the contract."""
        return self.verbs.mint(like)

    create = method(Verbs.create)
    load = method(Verbs.load)
    find = method(Verbs.find)
    save = method(Verbs.save)
    touch = method(Verbs.touch)
    rotate = method(Verbs.rotate)
    login = method(Verbs.login)
    delete = method(Verbs.delete)
    add_flash = method(Verbs.add_flash)
    take_flashes = method(Verbs.take_flashes)
    restore_flashes = method(Verbs.restore_flashes)
    sessions_of = method(Verbs.sessions_of)
    revoke = method(Verbs.revoke)
    revoke_sid = method(Verbs.revoke_sid)
    sweep = method(Verbs.sweep)
    stats = method(Verbs.stats)
    check = method(Verbs.check)
    backup = method(Verbs.backup)
    compact = method(Verbs.compact)
    sync = method(Verbs.sync)

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Live sessions in the order of their sid; see the contract."""
        verbs, run = self.verbs, self.driver.run
        start, tags = verbs.pages(after)
        left = limit
        for tag in tags:
            sids = [each for each in run(verbs.sids(tag)) if each > start]
            for place in range(0, len(sids), PAGE):
                for info in run(verbs.infos(sids[place : place + PAGE])):
                    if left is not None:
                        if left <= 0:
                            return
                        left -= 1
                    yield info

    def close(self) -> None:
        """Give back the connections. The next verb connects again."""
        self.verbs.forget()
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
