"""An AsyncRedisStore behind the blocking verbs of the contract: each runs on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

from coatcheck.redis import AsyncRedisStore
from coatcheck.store.contract import SessionInfo


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        """Run it there, and wait for what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingStore:
    """What the conformance suite calls."""

    def __init__(self, store: AsyncRedisStore, loop: Loop) -> None:
        self._store, self._loop = store, loop

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        return lambda *arguments, **named: self._loop.run(verb(*arguments, **named))

    def mint(self, like: str | None = None) -> str:
        """It waits for nobody."""
        return self._store.mint(like)

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Step by step, as the asynchronous one does."""
        found = self._store.scan(after=after, limit=limit)
        while True:
            try:
                yield self._loop.run(anext(found))
            except StopAsyncIteration:
                return
