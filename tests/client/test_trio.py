"""The twins on trio, and what a cancelled task leaves behind on either loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from coatcheck import FlashMessage, Set, StoreUnavailable
from coatcheck.client import SessionClient, connect
from tests.client.test_twins import every_twin, writer_at_work


@pytest.mark.parametrize("durability", ["second", "commit"])
def test_every_twin_works_on_trio(home: Path, tmp_path: Path, durability: str) -> None:
    """Each does what its verb does, as on asyncio."""

    async def run() -> None:
        async with connect(home, durability=durability) as client:
            await every_twin(client, tmp_path / "copy")

    trio.run(run)


def test_a_write_that_has_to_wait_does_not_block_trio(home: Path) -> None:
    """While another process writes, the loop turns and loads are answered; a deadline is a deadline."""

    async def run() -> None:
        async with connect(home, gate_timeout=5.0) as client:
            token, _ = await client.acreate({"a": 1})
            async with trio.open_nursery() as nursery:
                with writer_at_work(home):
                    nursery.start_soon(client.asave, token, [Set("late", 1)])
                    for _ in range(20):
                        with trio.fail_after(0.1):
                            record = await client.aload(token)
                            await trio.sleep(0.005)
                        assert record is not None
                        assert "late" not in record.data
            assert client.open(token) == {"a": 1, "late": 1}
        async with connect(home, gate_timeout=0.1) as client:
            await client.aload(token)
            with writer_at_work(home), pytest.raises(StoreUnavailable):
                await client.asave(token, [Set("never", 1)])

    trio.run(run)


def test_without_a_loop_it_says_so(home: Path) -> None:
    """A coroutine that something else drives gets an error with the two names, and no thread is left waiting."""
    with connect(home) as client, pytest.raises(RuntimeError):
        client.aload("token").send(None)


async def cancelled_on_asyncio(waiting: Callable[[], Any]) -> None:
    """Cancel a task that waits for a thread."""
    task = asyncio.ensure_future(waiting())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_on_trio(waiting: Callable[[], Any]) -> None:
    """The same."""
    with trio.move_on_after(0.05):
        await waiting()


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_cancelled_take_is_given_back(home: Path, loop: str) -> None:
    """Its thread has ended when the task goes on: so the session is used by one thread, and no flash is lost."""

    async def run(cancelled: Callable[..., Any], client: SessionClient) -> None:
        token, _ = await client.acreate({}, flashes=[FlashMessage.info("one")])
        session = await client.aopen(token)
        with writer_at_work(home) as gate:
            opening = threading.Timer(0.3, gate.leave)
            opening.start()
            await cancelled(session.atake_flashes)
            assert not opening.is_alive()
            opening.join()
        await session.aabandon()
        assert [flash.message for flash in client.open(token).flashes()] == ["one"]

    with connect(home) as client:
        if loop == "asyncio":
            asyncio.run(run(cancelled_on_asyncio, client))
        else:
            trio.run(run, cancelled_on_trio, client)
