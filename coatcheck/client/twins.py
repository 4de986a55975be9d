"""The a-twins: every verb for asyncio and trio, without ever blocking the loop.

A load from shared memory takes microseconds and waits for nobody, so it runs on the loop. A write tries the writer
gate without waiting; when it is taken, the write goes to a thread that may wait. What takes long goes to a thread at
once, and so does everything on the actor lane, where each answer is waited for.
"""

from __future__ import annotations

import contextvars
import functools
import itertools
import keyword
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from coatcheck.client.threads import in_pool
from coatcheck.errors import CoatcheckError
from coatcheck.store.gate import GateBusy

if TYPE_CHECKING:
    from coatcheck.client.client import SessionClient
    from coatcheck.store.lmdb import LmdbStore

P = ParamSpec("P")
R = TypeVar("R")

_PAGE = 256


class Runner:
    """Decides where the a-twins of one client run."""

    def __init__(self, workers: int, store: LmdbStore | None) -> None:
        """``workers``: threads at most. ``store``: the one in shared memory; None sends everything to a thread."""
        self._workers = workers
        self._store = store
        # By process: the threads of a parent do not exist in its child.
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._opened_in: int | None = None
        self._waits_for_disk = False

    async def in_thread(self, verb: Callable[[], R], *, finish: bool = False) -> R:
        """Run it in a thread of the pool. ``finish``: whoever is cancelled meanwhile waits for its end all the same."""
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            pool = self._pools.setdefault(pid, ThreadPoolExecutor(self._workers, thread_name_prefix="coatcheck"))
        context = contextvars.copy_context()
        return await in_pool(pool, functools.partial(context.run, verb), finish=finish)

    async def read(self, verb: Callable[[], R], *, finish: bool = False) -> R:
        """Run what waits for nobody."""
        if self._opened_in == os.getpid():
            return verb()
        return await self._first(verb, finish=finish)

    async def write(self, verb: Callable[[], R], *, finish: bool = False) -> R:
        """Run what may have to wait for its turn. ``verb`` is called again when it has raised GateBusy."""
        if self._opened_in != os.getpid():
            return await self._first(verb, finish=finish)
        if self._store is not None and not self._waits_for_disk:
            with suppress(GateBusy), self._store.no_wait():
                return verb()
        return await self.in_thread(verb, finish=finish)

    async def _first(self, verb: Callable[[], R], *, finish: bool) -> R:
        # The first verb of a process opens the store, which may wait for somebody who is alone on it.
        def opening() -> R:
            answer = verb()
            if self._store is not None:
                with suppress(CoatcheckError):
                    self._waits_for_disk = self._store.environment.policy.durability == "commit"
                    self._opened_in = os.getpid()
            return answer

        return await self.in_thread(opening, finish=finish)

    def close(self) -> None:
        """Let the threads go when they have finished."""
        self._opened_in = None
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.shutdown(wait=False)


def reading(
    verb: Callable[Concatenate[SessionClient, P], R],
) -> Callable[Concatenate[SessionClient, P], Coroutine[Any, Any, R]]:
    """The twin of a verb that never waits."""

    @functools.wraps(verb)
    async def twin(client: SessionClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await client.runner.read(functools.partial(verb, client, *args, **kwargs))

    return _named(twin, verb)


def writing(
    verb: Callable[Concatenate[SessionClient, P], R],
) -> Callable[Concatenate[SessionClient, P], Coroutine[Any, Any, R]]:
    """The twin of a verb that takes its turn at the writer gate."""

    @functools.wraps(verb)
    async def twin(client: SessionClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await client.runner.write(functools.partial(verb, client, *args, **kwargs))

    return _named(twin, verb)


def lasting(
    verb: Callable[Concatenate[SessionClient, P], R],
) -> Callable[Concatenate[SessionClient, P], Coroutine[Any, Any, R]]:
    """The twin of a verb that takes long."""

    @functools.wraps(verb)
    async def twin(client: SessionClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await client.runner.in_thread(functools.partial(verb, client, *args, **kwargs))

    return _named(twin, verb)


def iterating(
    verb: Callable[Concatenate[SessionClient, P], Iterator[R]],
) -> Callable[Concatenate[SessionClient, P], AsyncIterator[R]]:
    """The twin of a verb that answers with an iterator: an asynchronous one, a page at a time from a thread."""

    @functools.wraps(verb)
    async def twin(client: SessionClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        items = verb(client, *args, **kwargs)

        def page() -> list[R]:
            return list(itertools.islice(items, _PAGE))

        while found := await client.runner.in_thread(page):
            for item in found:
                yield item

    return _named(twin, verb)


T = TypeVar("T", bound=Callable[..., Any])


def _named(twin: T, verb: Callable[..., Any]) -> T:
    name = f"a{verb.__name__}"
    twin.__name__ = f"{name}_" if keyword.iskeyword(name) else name
    twin.__qualname__ = f"SessionClient.{twin.__name__}"
    twin.__doc__ = f"The twin of ``{verb.__name__}`` for asyncio and trio."
    return twin
