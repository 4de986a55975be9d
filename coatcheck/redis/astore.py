"""AsyncRedisStore: the same sessions, from asyncio, without threads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from coatcheck.redis import connecting
from coatcheck.redis.admin_verbs import PAGE
from coatcheck.redis.adriver import AsyncDriver
from coatcheck.redis.verbs import Verbs, coroutine
from coatcheck.store.contract import SessionInfo

if TYPE_CHECKING:
    from typing_extensions import Self

    from coatcheck.clock import Clock
    from coatcheck.settings import Settings


class AsyncRedisStore:
    """The verbs of :class:`RedisStore` as coroutines, on the connections of one event loop."""

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
        """As :class:`RedisStore`; ``client`` is one of ``redis.asyncio``."""
        make = connecting.maker(connecting.async_client_of, url, client, options)
        self.settings = settings
        self.driver = AsyncDriver(make, owned=client is None)
        self.verbs = Verbs(settings, prefix, clock)
        self.counters = self.verbs.counters

    def mint(self, like: str | None = None) -> str:
        """A token for a verb to use; see the contract."""
        return self.verbs.mint(like)

    create = coroutine(Verbs.create)
    load = coroutine(Verbs.load)
    find = coroutine(Verbs.find)
    save = coroutine(Verbs.save)
    touch = coroutine(Verbs.touch)
    rotate = coroutine(Verbs.rotate)
    login = coroutine(Verbs.login)
    delete = coroutine(Verbs.delete)
    add_flash = coroutine(Verbs.add_flash)
    take_flashes = coroutine(Verbs.take_flashes)
    restore_flashes = coroutine(Verbs.restore_flashes)
    sessions_of = coroutine(Verbs.sessions_of)
    revoke = coroutine(Verbs.revoke)
    revoke_sid = coroutine(Verbs.revoke_sid)
    sweep = coroutine(Verbs.sweep)
    stats = coroutine(Verbs.stats)
    check = coroutine(Verbs.check)
    backup = coroutine(Verbs.backup)
    compact = coroutine(Verbs.compact)
    sync = coroutine(Verbs.sync)

    async def scan(self, *, after: str | None = None, limit: int | None = None) -> AsyncIterator[SessionInfo]:
        """Live sessions in the order of their sid; see the contract."""
        verbs, run = self.verbs, self.driver.run
        start, tags = verbs.pages(after)
        left = limit
        for tag in tags:
            sids = [each for each in await run(verbs.sids(tag)) if each > start]
            for place in range(0, len(sids), PAGE):
                for info in await run(verbs.infos(sids[place : place + PAGE])):
                    if left is not None:
                        if left <= 0:
                            return
                        left -= 1
                    yield info

    async def close(self) -> None:
        """Give back the connections. The next verb connects again."""
        self.verbs.forget()
        await self.driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
