"""Websockets: the session from the handshake on, and the end of both."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from coatcheck import Lifetimes, StoreUnavailable, connect
from coatcheck.asgi import SessionMiddleware
from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.asgi.driving import LOOPS, Sent, on, scope_of
from tests.system.running import RunningSystem


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """Both loops."""
    name: str = request.param
    return name


@pytest.fixture
def client(home: Path) -> Iterator[SessionClient]:
    """The store behind the middleware."""
    with connect(home) as client:
        yield client


class Browser:
    """The other end of a websocket."""

    def __init__(self, app: Any, token: str | None, **more: Any) -> None:
        self._app = app
        self._scope = scope_of("websocket", token=token, **more)
        self._to_app, self._from_browser = anyio.create_memory_object_stream[Any](math.inf)
        self.sent = Sent()
        self._news = anyio.Event()

    async def run(self) -> None:
        """Serve it until the application returns."""
        with self._from_browser, self._to_app:
            self.say({"type": "websocket.connect"})
            await self._app(self._scope, self._from_browser.receive, self._send)

    async def _send(self, message: Any) -> None:
        self.sent.messages.append(message)
        news, self._news = self._news, anyio.Event()
        news.set()

    def say(self, message: Any) -> None:
        """Send something; a text, or a message of the protocol."""
        text = {"type": "websocket.receive", "text": message}
        self._to_app.send_nowait(text if isinstance(message, str) else message)

    async def wait_for(self, count: int) -> Any:
        """The message with that number, once it is there."""
        with anyio.fail_after(10):
            while len(self.sent.messages) < count:
                await self._news.wait()
        return self.sent.messages[count - 1]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what the session has under the key that it receives; ``key=value`` sets it."""
    session = scope["session"]
    assert (await receive())["type"] == "websocket.connect"
    session["connected"] = session.get("connected", 0) + 1
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            session["left"] = message["code"]
            return
        key, equals, value = message["text"].partition("=")
        if equals:
            session[key] = value
            await session.acommit()
        await send({"type": "websocket.send", "text": str(session.get(key))})


def test_a_session_in_a_websocket(loop: str, client: SessionClient) -> None:
    """The handshake brings the cookie; afterwards ``acommit`` saves, and so does the end."""

    async def run() -> None:
        browser = Browser(SessionMiddleware(echo, client=client), None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.run)
            await browser.wait_for(1)
            token = browser.sent.token
            assert client.open(token) == {"connected": 1}
            assert browser.sent.values("vary") == ["Cookie"]
            browser.say("a=1")
            assert (await browser.wait_for(2))["text"] == "1"
            assert client.open(token) == {"connected": 1, "a": "1"}
            browser.say({"type": "websocket.disconnect", "code": 1001})
        assert client.open(token) == {"connected": 1, "a": "1", "left": 1001}

        again = Browser(SessionMiddleware(echo, client=client), token)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(again.run)
            await again.wait_for(1)
            assert again.sent.set_cookie is None
            again.say("a")
            assert (await again.wait_for(2))["text"] == "1"
            again.say({"type": "websocket.disconnect", "code": 1001})

    on(loop, run)


@pytest.mark.parametrize("end", ["logout", "revoke", "login", "expiry"])
def test_it_is_closed_with_its_session(loop: str, store: LmdbStore, clock: FakeClock, end: str) -> None:
    """However silent the browser is: the application sees a disconnect, the browser the code, the thread ends."""
    client = SessionClient(store.settings, store=store, clock=clock)
    token, record = client.create({"a": 1}, lifetimes=Lifetimes(idle=60, absolute=600))
    others = [client.create({})[0] for _ in range(3)]

    async def run() -> None:
        app = SessionMiddleware(echo, client=client, close_websockets=True)
        browser, other = Browser(app, token), Browser(app, others[0])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.run)
            tasks.start_soon(other.run)
            await browser.wait_for(1)
            await other.wait_for(1)
            client.delete(others[1])  # somebody else's
            if end == "logout":
                client.delete(token)
            elif end == "revoke":
                client.revoke_sid(record.sid)
            elif end == "login":
                client.login(token, "ann")
            else:
                client.touch(others[0])
                clock.advance(59)
                client.touch(others[0])
                clock.advance(2)
            closed = await browser.wait_for(2)
            assert closed == {"type": "websocket.close", "code": 1008, "reason": "session ended"}
            other.say("connected")
            assert (await other.wait_for(2))["text"] == "1"
            other.say({"type": "websocket.disconnect", "code": 1000})
        assert len(browser.sent.messages) == 2

    on(loop, run)
    assert client.find(token).record is None
    assert watchers() == []


def watchers() -> list[threading.Thread]:
    """The threads that still watch, once they had the time to end."""
    for each in threading.enumerate():
        if each.name == "coatcheck-watcher":
            each.join(5)
    return [each for each in threading.enumerate() if each.name == "coatcheck-watcher"]


def test_it_stays_open_while_the_store_cannot_be_asked(
    loop: str, client: SessionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down is not logged out. When the store is back, what has ended meanwhile is closed."""
    token, _ = client.create({"a": 1})
    asked = threading.Event()

    def fails(*_: Any, **__: Any) -> Any:
        asked.set()
        msg = "as it was told to"
        raise StoreUnavailable(msg)

    async def run() -> None:
        browser = Browser(SessionMiddleware(echo, client=client, close_websockets=True), token)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.run)
            await browser.wait_for(1)
            with monkeypatch.context() as during:
                during.setattr(client.store, "events", fails)
                asked.clear()
                client.delete(token)
                assert await anyio.to_thread.run_sync(asked.wait, 10)
                assert len(browser.sent.messages) == 1
            assert (await browser.wait_for(2))["code"] == 1008

    on(loop, run)
    assert watchers() == []


def test_a_rotated_token_keeps_it_open_for_its_grace(store: LmdbStore, clock: FakeClock) -> None:
    """The renewal by another request is no end; when its grace is over the browser has to come again."""
    client = SessionClient(store.settings, store=store, clock=clock)
    token, _ = client.create({})

    async def run() -> None:
        app = SessionMiddleware(echo, client=client, close_websockets=True)
        browser = Browser(app, token)
        looked = threading.Event()
        find = client.store.find

        def finds(presented: str) -> Any:
            found = find(presented)
            if found.record is not None and found.record.in_grace:
                looked.set()
            return found

        client.store.find = finds  # type: ignore[method-assign, assignment]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.run)
            await browser.wait_for(1)
            client.rotate(token, grace=10)
            assert await anyio.to_thread.run_sync(looked.wait, 10)
            assert len(browser.sent.messages) == 1
            clock.advance(11)
            assert (await browser.wait_for(2))["code"] == 1008

    on("asyncio", run)


def test_what_is_sent_to_a_closed_one_is_an_oserror(client: SessionClient) -> None:
    """As for any lost connection, so that applications that only send end too; nothing reaches the browser."""
    token, _ = client.create({})
    sent_on: list[str] = []

    async def ticks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while True:
            try:
                await send({"type": "websocket.send", "text": "tick"})
            except OSError:
                sent_on.append("ended")
                raise
            await anyio.sleep(0.01)

    async def run() -> None:
        browser = Browser(SessionMiddleware(ticks, client=client, close_websockets=True), token)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.run)
            await browser.wait_for(2)
            client.delete(token)
        assert [each["type"] for each in browser.sent.messages].count("websocket.close") == 1
        assert browser.sent.messages[-1]["type"] == "websocket.close"

    on("asyncio", run)
    assert sent_on == ["ended"]


def test_it_is_closed_on_the_actor_lane_too(tmp_path: Path) -> None:
    """Where the ring cannot be seen each open one is asked about."""
    home = tmp_path / "state"
    with RunningSystem(home), connect(home, lane="actor") as client:
        token, _ = client.create({})

        async def run() -> None:
            browser = Browser(SessionMiddleware(echo, client=client, close_websockets=True), token)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.run)
                await browser.wait_for(1)
                client.delete(token)
                assert (await browser.wait_for(2))["code"] == 1008

        on("asyncio", run)
        assert watchers() == []


# Handshakes that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [True, False])
def test_an_outage_refuses_the_handshake(
    loop: str, client: SessionClient, monkeypatch: pytest.MonkeyPatch, extension: bool
) -> None:
    """With a 503 where the server can say so."""
    token, _ = client.create({})

    def fails(*_: Any, **__: Any) -> Any:
        msg = "as it was told to"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(client.store, "save", fails)
    extensions: dict[str, Any] = {"websocket.http.response": {}} if extension else {}

    async def run() -> None:
        browser = Browser(SessionMiddleware(echo, client=client), token, extensions=extensions)
        await browser.run()
        if extension:
            assert browser.sent.status == 503
            assert browser.sent.values("retry-after") == ["5"]
        else:
            assert browser.sent.messages == [{"type": "websocket.close", "code": 1013}]

    on(loop, run)


def test_an_outage_later_closes_it(client: SessionClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code for: try again later."""
    token, _ = client.create({})

    def fails(*_: Any, **__: Any) -> Any:
        msg = "as it was told to"
        raise StoreUnavailable(msg)

    async def run() -> None:
        browser = Browser(SessionMiddleware(echo, client=client), token)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.run)
            await browser.wait_for(1)
            monkeypatch.setattr(client.store, "save", fails)
            browser.say("a=1")
            assert (await browser.wait_for(2))["code"] == 1013

    on("asyncio", run)


@pytest.mark.parametrize("how", ["close", "denial", "failure"])
def test_a_refused_handshake(client: SessionClient, how: str) -> None:
    """Saves what an existing session was given, as an answer below 500 does; a denial brings a cookie too."""
    token, _ = client.create({})

    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["tried"] = 1
        if how == "close":
            await send({"type": "websocket.close", "code": 1000})
            return
        await send({"type": "websocket.http.response.start", "status": 403 if how == "denial" else 500, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def run() -> None:
        app = SessionMiddleware(refuses, client=client)
        await Browser(app, token).run()
        assert client.open(token) == ({} if how == "failure" else {"tried": 1})
        stranger = Browser(app, None)
        await stranger.run()
        if how == "denial":
            assert client.open(stranger.sent.token) == {"tried": 1}
        assert client.stats().sessions == (2 if how == "denial" else 1)

    on("asyncio", run)
