"""Waiting for a thread without blocking the loop, on asyncio and on trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

R = TypeVar("R")


async def in_pool(pool: ThreadPoolExecutor, call: Callable[[], R], *, finish: bool) -> R:
    """What ``call`` answers in a thread of the pool.

    ``finish``: when the task is cancelled, its end is waited for all the same. A thread is never left behind with an
    object that the task goes on to use, such as the session whose changes a cancelled request takes back.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return await _on_trio(pool, call, finish=finish)
    future = loop.run_in_executor(pool, call)
    if not finish:
        return await future
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # whatever it is: the task is cancelled, and nobody else will ask
        raise


async def _on_trio(pool: ThreadPoolExecutor, call: Callable[[], R], *, finish: bool) -> R:
    try:
        import trio
    except ModuleNotFoundError:
        msg = "coatcheck's twins run on asyncio and on trio: there is no loop of either here"
        raise RuntimeError(msg) from None
    token, done = trio.lowlevel.current_trio_token(), trio.Event()

    def tell(_: Future[R]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    future = pool.submit(call)
    future.add_done_callback(tell)
    with trio.CancelScope(shield=finish):
        await done.wait()
    return future.result()
