"""The a-twins never block the loop, whatever the store is busy with."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from coatcheck import FlashMessage, Set, StoreUnavailable
from coatcheck.client import SessionClient, connect
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate

LONGEST_STALL = 0.1
"""Seconds for which the loop may stand still; the gate is taken for many times as long."""


@contextmanager
def writer_at_work(home: Path) -> Iterator[WriterGate]:
    """Somebody has the writer gate."""
    gate = WriterGate(home / WRITER)
    assert gate.enter()
    try:
        yield gate
    finally:
        gate.close()


@asynccontextmanager
async def never_blocked() -> AsyncIterator[None]:
    """The loop turns all the time."""
    stalls: list[float] = []

    async def turn() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.002)
            stalls.append(time.monotonic() - before)

    turning = asyncio.create_task(turn())
    try:
        yield
        await asyncio.sleep(0.01)
    finally:
        turning.cancel()
    assert max(stalls) < LONGEST_STALL


async def every_twin(client: SessionClient, target: Path) -> None:
    """Every twin once, in an order that makes sense."""
    token, record = await client.acreate({"a": 1})
    assert await client.aload(token) is not None
    assert (await client.afind(token)).record is not None
    assert (await client.asave(token, [Set("b", 2)])).version == 2
    await client.atouch(token)
    await client.aadd_flash(token, FlashMessage.info("hi"))
    take_id, flashes = await client.atake_flashes(token)
    assert [flash.message for flash in flashes] == ["hi"]
    assert await client.arestore_flashes(token, take_id) == 1
    rotated, _ = await client.arotate(token)
    assert rotated is not None
    token, record = await client.alogin(rotated, "v")
    assert [info.sid for info in await client.asessions_of("v")] == [record.sid]
    assert [info.sid async for info in client.ascan()] == [record.sid]
    assert await client.arevoke("nobody") == 0
    assert (await client.asweep()).removed == 0
    assert (await client.astats()).sessions == 1
    assert (await client.acheck()).clean
    await client.async_()
    await client.abackup(target)
    await client.acompact()
    session = await client.aopen(token)
    session["c"] = 3
    assert len(await session.atake_flashes()) == 1
    assert await session.acommit() == token
    await session.areload()
    assert session == {"a": 1, "b": 2, "c": 3}
    await session.aabandon()
    assert await client.adelete(token)
    assert not await client.arevoke_sid(record.sid)


@pytest.mark.parametrize("durability", ["second", "commit"])
def test_every_twin_does_what_its_verb_does(home: Path, tmp_path: Path, durability: str) -> None:
    """On a store that syncs every commit too, where the loop must not wait for the disk."""

    async def run() -> None:
        async with connect(home, durability=durability) as client, never_blocked():
            await every_twin(client, tmp_path / "copy")

    asyncio.run(run())


WRITES: dict[str, Callable[[SessionClient, str], Awaitable[Any]]] = {
    "create": lambda client, _: client.acreate({}),
    "save": lambda client, token: client.asave(token, [Set("late", 1)]),
    "delete": lambda client, token: client.adelete(token),
    "rotate": lambda client, token: client.arotate(token),
    "login": lambda client, token: client.alogin(token, "u"),
    "flash": lambda client, token: client.aadd_flash(token, FlashMessage.info("x")),
    "revoke": lambda client, token: client.arevoke("u"),
    "sweep": lambda client, token: client.asweep(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_write_that_has_to_wait_waits_in_a_thread(
    home: Path, write: Callable[[SessionClient, str], Awaitable[Any]]
) -> None:
    """While another process writes, the loop turns and loads are answered."""

    async def run() -> None:
        async with connect(home) as client:
            token, _ = await client.acreate({"a": 1}, principal="u")
            async with never_blocked():
                with writer_at_work(home):
                    waiting = asyncio.ensure_future(write(client, token))
                    for _ in range(20):
                        assert await client.aload(token) is not None
                        await asyncio.sleep(0.01)
                    assert not waiting.done()
                await asyncio.wait_for(waiting, 10)

    asyncio.run(run())


def test_a_write_that_waits_too_long_is_an_error(home: Path) -> None:
    """The deadline of the gate holds for twins too."""

    async def run() -> None:
        async with connect(home, gate_timeout=0.2) as client:
            token, _ = await client.acreate({})
            with writer_at_work(home), pytest.raises(StoreUnavailable):
                await client.asave(token, [Set("a", 1)])

    asyncio.run(run())


def test_a_commit_that_has_to_wait_is_applied_once(home: Path) -> None:
    """It is tried on the loop, then repeated in a thread: one increment, one flash, one new session."""

    async def run() -> None:
        async with connect(home) as client:
            token, _ = await client.acreate({"n": 0})
            session = await client.aopen(token)
            session.increment("n")
            session.flash("once")
            async with never_blocked():
                with writer_at_work(home):
                    waiting = asyncio.ensure_future(session.acommit())
                    await asyncio.sleep(0.1)
                    assert not waiting.done()
                assert await waiting == token
            found = client.open(token)
            assert found == {"n": 1}
            assert [flash.message for flash in found.flashes()] == ["once"]

    asyncio.run(run())


async def behind_a_writer(home: Path, twin: Awaitable[Any]) -> Any:
    """What a twin answers that had to wait for its turn."""
    with writer_at_work(home):
        waiting = asyncio.ensure_future(twin)
        await asyncio.sleep(0)
        assert not waiting.done()
    return await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize("undo", ["aabandon", "areload"])
def test_flashes_that_have_to_wait_are_given_back(home: Path, undo: str) -> None:
    """What a failed request took comes back although another writer was at work just then."""

    async def run() -> None:
        async with connect(home) as client:
            token, _ = await client.acreate({}, flashes=[FlashMessage.info("one")])
            session = await client.aopen(token)
            assert len(await session.atake_flashes()) == 1
            await behind_a_writer(home, getattr(session, undo)())
            assert [flash.message for flash in client.open(token).flashes()] == ["one"]
            assert [flash.message for flash in session.flashes()] == ["one"]

    asyncio.run(run())


def test_a_take_that_has_to_wait_loses_nothing(home: Path) -> None:
    """It is tried on the loop, then repeated in a thread: the request's own flashes are in the answer too."""

    async def run() -> None:
        async with connect(home) as client:
            token, _ = await client.acreate({}, flashes=[FlashMessage.info("stored")])
            session = await client.aopen(token)
            session.flash("own")
            taken = await behind_a_writer(home, session.atake_flashes())
            assert [flash.message for flash in taken] == ["stored", "own"]
            await session.acommit()
            assert client.open(token).flashes() == []

    asyncio.run(run())


def test_where_the_twins_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick verbs on the loop, long ones in a thread; the first one, which opens the store, in a thread too."""

    async def run() -> None:
        async with connect(home) as client:
            ran: dict[str, int] = {}

            def spied(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
                def spy(*arguments: Any, **more: Any) -> Any:
                    ran[name] = threading.get_ident()
                    return verb(*arguments, **more)

                return spy

            for name in ("create", "load", "save", "check"):
                monkeypatch.setattr(client.store, name, spied(name, getattr(client.store, name)))
            token, _ = await client.acreate({})
            await client.aload(token)
            await client.asave(token, [Set("a", 1)])
            await client.acheck()
            here = threading.get_ident()
            assert [ran[name] == here for name in ("create", "load", "save", "check")] == [False, True, True, False]

    asyncio.run(run())


def test_a_store_that_syncs_each_commit_writes_in_a_thread(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk takes a hundred times as long as the loop may stand still. Its setting counts even if it is not ours."""
    with connect(home, durability="commit") as client:
        token, _ = client.create({})

    async def run() -> None:
        async with connect(home) as client:
            await client.aload(token)
            save = client.store.save
            threads = []

            def spy(*arguments: Any, **more: Any) -> Any:
                threads.append(threading.get_ident())
                return save(*arguments, **more)

            monkeypatch.setattr(client.store, "save", spy)
            await client.asave(token, [Set("a", 1)])
            assert threads != [threading.get_ident()]

    asyncio.run(run())


def test_twins_work_on_both_sides_of_a_fork(home: Path) -> None:
    """The threads of the parent do not exist in the child, so it gets its own."""
    client = connect(home)

    async def save(key: str) -> None:
        await client.asave(token, [Set(key, 1)])
        await client.acheck()

    token, _ = client.create({})
    asyncio.run(save("before"))
    pid = os.fork()
    if not pid:
        try:
            asyncio.run(save("child"))
        finally:
            os._exit(0)
    asyncio.run(save("parent"))
    os.waitpid(pid, 0)

    assert client.open(token) == {"before": 1, "child": 1, "parent": 1}
    client.close()


def test_ascan_goes_page_by_page(home: Path) -> None:
    """More sessions than a page, each once, in order."""

    async def run() -> list[str]:
        async with connect(home) as client:
            for number in range(600):
                client.create({"n": number})
            return [info.sid async for info in client.ascan()]

    found = asyncio.run(run())
    assert len(set(found)) == 600
    assert found == sorted(found)
