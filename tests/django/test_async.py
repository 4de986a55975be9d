"""Asynchronous views and the twins of the engine, on an event loop that nothing blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpResponse
from django.test import AsyncClient, AsyncRequestFactory

from coatcheck import FlashMessage, StoreUnavailable
from coatcheck.client import SessionClient
from coatcheck.django.middleware import SessionMiddleware
from coatcheck.django.sessions import SessionStore
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from tests.django.conftest import session_of
from tests.django.test_sessions import signed_in, stored
from tests.session.spy import Spy

COOKIE = "__Host-id"


def test_an_asynchronous_view_has_its_session() -> None:
    """Twenty of them at once, too."""

    async def visit() -> tuple[Any, Any]:
        client = AsyncClient()
        first = await client.get("/anote", {"text": "a"})
        await asyncio.gather(*(client.get("/anote", {"text": "b"}) for _ in range(20)))
        return first, await client.get("/anote", {"text": "c"})

    first, last = asyncio.run(visit())
    assert (first.json(), first.cookies[COOKIE]["httponly"]) == ({"notes": 1}, True)
    assert (last.json(), last.cookies.output()) == ({"notes": 22}, "")


@pytest.mark.parametrize("gate", ["free", "taken"])
def test_a_request_that_nobody_waits_for_takes_nothing(home: Any, client: SessionClient, gate: str) -> None:
    """Django cancels the view when the browser is gone: its messages are shown by the next one, nothing is kept."""
    token, _ = client.create({}, flashes=[FlashMessage.info("kept")])

    async def visit() -> None:
        taken = asyncio.Event()

        async def view(request: Any) -> HttpResponse:
            request.session["lost"] = 1
            assert len(await request.session.coat.atake_flashes()) == 1
            taken.set()
            await asyncio.Event().wait()
            return HttpResponse()

        factory = AsyncRequestFactory()
        factory.cookies[COOKIE] = token
        request = asyncio.create_task(SessionMiddleware(view)(factory.get("/")))
        await taken.wait()
        busy = WriterGate(home / WRITER)
        if gate == "taken":
            assert busy.enter()
        request.cancel()
        await asyncio.sleep(0)
        busy.close()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(visit())
    record = client.load(token)
    assert record is not None
    assert (record.data, [each.message for each in record.flashes]) == ({}, ["kept"])


def test_the_middleware_does_its_work_on_the_loop(held: SessionClient, spy: Spy) -> None:
    """An untouched request asks the store nothing; a login is one write; what fails stores nothing."""
    threads: list[threading.Thread] = []

    async def view(request: Any) -> HttpResponse:
        threads.append(threading.current_thread())
        if request.path == "/login":
            await request.session.acycle_key()
            request.session["_auth_user_id"] = "42"
        if request.path == "/fail":
            request.session["a"] = 2
            return HttpResponse(status=500)
        return HttpResponse()

    async def visit(path: str, key: str | None = None) -> Any:
        factory = AsyncRequestFactory()
        if key is not None:
            factory.cookies[COOKIE] = key
        return await SessionMiddleware(view)(factory.get(path))

    async def visits() -> None:
        key = str((await asyncio.to_thread(stored, a=1)).session_key)
        spy.calls.clear()
        assert (await visit("/", key)).cookies.output() == ""
        assert not spy.calls
        answer = await visit("/login", key)
        assert answer.cookies[COOKIE]["max-age"] == 24 * 3600
        assert (spy.calls["login"], spy.writes) == (1, 1)
        new = answer.cookies[COOKIE].value
        assert (await visit("/fail", new)).status_code == 500
        assert (await asyncio.to_thread(session_of(new).get, "a")) == 1

    asyncio.run(visits())
    assert set(threads) == {threading.main_thread()}


async def held_back(work: Callable[[], Any], gate: WriterGate) -> tuple[Any, int]:
    """The answer of work that has to wait for the gate, and how often the loop turned in the meantime."""
    turns = 0
    task = asyncio.ensure_future(work())
    while turns < 20:
        await asyncio.sleep(0.005)
        turns += 1
        assert not task.done()
    gate.leave()
    return await task, turns


@pytest.mark.parametrize("what", ["asave", "aflush", "adelete", "acreate", "cycle and save"])
def test_a_writer_in_the_way_blocks_no_loop(home: Any, client: SessionClient, what: str) -> None:
    """The twin waits in a thread, and does its work once."""

    async def work() -> None:
        session = SessionStore()
        session["a"] = 1
        await session.asave()
        before = session.session_key
        session["b"] = 2
        if what == "cycle and save":
            await session.acycle_key()
        method = getattr(session, what.rsplit(maxsplit=1)[-1] if what.startswith("a") else "asave")
        gate = WriterGate(home / WRITER)
        assert gate.enter()
        await held_back(method, gate)
        gate.close()
        gone = what in {"aflush", "adelete", "cycle and save"}
        assert await SessionStore().aexists(before) is not gone
        if what in {"asave", "acreate", "cycle and save"}:
            assert dict((await session_of(session.session_key).aload()).items()) == {"a": 1, "b": 2}

    asyncio.run(work())


def test_a_response_waits_for_the_writer_without_blocking_the_loop(home: Any, client: SessionClient) -> None:
    """The middleware too: saved once, with its cookie."""

    async def view(request: Any) -> HttpResponse:
        request.session.increment("n")
        return HttpResponse()

    async def visit() -> Any:
        return await SessionMiddleware(view)(AsyncRequestFactory().get("/"))

    async def visits() -> None:
        await visit()
        gate = WriterGate(home / WRITER)
        assert gate.enter()
        answer, _ = await held_back(visit, gate)
        gate.close()
        assert session_of(answer.cookies[COOKIE].value)["n"] == 1

    asyncio.run(visits())


def test_messages_wait_for_the_writer_without_blocking_the_loop(home: Any, client: SessionClient) -> None:
    """``async for`` takes; a loop afterwards, as in a template, shows the same; the next request shows none."""
    token, _ = client.create({"a": 1}, flashes=[FlashMessage.info("one"), FlashMessage.info("two")])

    async def visit() -> Any:
        browser = AsyncClient()
        browser.cookies[COOKIE] = token
        return (await browser.get("/ashow")).json()

    async def visits() -> None:
        await AsyncClient().get("/ashow")
        gate = WriterGate(home / WRITER)
        assert gate.enter()
        first, _ = await held_back(visit, gate)
        gate.close()
        assert first == {"messages": ["one", "two"], "again": ["one", "two"]}
        assert await visit() == {"messages": [], "again": []}

    asyncio.run(visits())


def test_the_twins_say_what_the_others_say(held: SessionClient, spy: Spy) -> None:
    """UpdateError for what has ended, StoreUnavailable for an outage."""

    async def use() -> None:
        session = session_of((await asyncio.to_thread(signed_in, "42")).session_key)
        await session.aload()
        await session._aget_session()
        await session_of(session.session_key).aflush()
        session["late"] = 1
        with pytest.raises(UpdateError):
            await session.asave()
        spy.away = True
        for verb in (SessionStore.aload, SessionStore.aflush, SessionStore.asave, SessionStore.acycle_key):
            with pytest.raises(StoreUnavailable):
                await verb(session_of("x" * 54))
        spy.away = False
        await SessionStore.aclear_expired()

    asyncio.run(use())
