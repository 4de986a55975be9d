"""While the store cannot be asked: an error with a policy, a cookie that is left alone, and a loop that turns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from coatcheck import StoreUnavailable, connect
from coatcheck.asgi import SessionMiddleware
from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from tests.asgi.driving import LOOPS, Sent, answer, on, visit
from tests.client.test_twins import writer_at_work
from tests.support.processes import Job

TOOK = 0.15
"""Seconds for which the loop may stand still at most, while others wait for the gate many times as long."""


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """Both loops."""
    name: str = request.param
    return name


def broken(client: SessionClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can ask the store anything."""

    def fails(*_: Any, **__: Any) -> Any:
        msg = "as it was told to"
        raise StoreUnavailable(msg)

    assert isinstance(client.store, LmdbStore)
    for verb in ("find", "load", "save", "create", "touch", "delete", "revoke_sid", "take_flashes", "restore_flashes"):
        monkeypatch.setattr(client.store, verb, fails)


async def reads(scope: Any, receive: Any, send: Any) -> None:
    """Reads a key."""
    await answer(send, body=repr(scope["session"].get("a")).encode())


async def writes(scope: Any, receive: Any, send: Any) -> None:
    """Writes a key."""
    scope["session"]["a"] = 2
    await answer(send)


async def ignores(scope: Any, receive: Any, send: Any) -> None:
    """Does not use it."""
    await answer(send)


async def swallows(scope: Any, receive: Any, send: Any) -> None:
    """Makes something else of every error, as an application's own handlers do."""
    try:
        await writes(scope, receive, send)
    except StoreUnavailable as error:
        msg = "handled"
        raise RuntimeError(msg) from error


def test_use_of_the_session_is_a_503(loop: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again in a while; no cookie, whatever was presented. A page that does not use it is as ever."""
    with connect(home) as client:
        token, _ = client.create({"a": 1})
        broken(client, monkeypatch)

        async def run() -> None:
            for app, presented in ((reads, token), (writes, token), (writes, None), (swallows, None)):
                sent = await visit(SessionMiddleware(app, client=client), presented)
                assert (sent.status, sent.set_cookie, sent.values("retry-after")) == (503, None, ["5"])
                assert sent.values("cache-control") == ["no-store"]
                assert token.encode() not in sent.body
                assert len(sent.messages) == 2
            sent = await visit(SessionMiddleware(ignores, client=client), token)
            assert (sent.status, sent.set_cookie) == (200, None)

        on(loop, run)


@pytest.mark.parametrize(("policy", "shown"), [("anonymous", b"None"), ("read-only", None)])
def test_other_policies_go_on_without(
    loop: str, home: Path, monkeypatch: pytest.MonkeyPatch, policy: Any, shown: bytes | None
) -> None:
    """As guests, or with what can be read; the cookie is left alone, and afterwards the session is there."""
    with connect(home, on_outage=policy) as client:
        token, _ = client.create({"a": 1})
        with monkeypatch.context() as during:
            broken(client, during)

            async def run() -> None:
                sent = await visit(SessionMiddleware(reads, client=client), token)
                assert sent.set_cookie is None
                assert (sent.status, sent.body) == (200, shown) if shown else sent.status == 503
                sent = await visit(SessionMiddleware(writes, client=client), token)
                assert sent.set_cookie is None

            on(loop, run)
        assert client.open(token) == {"a": 1}


def test_read_only_reads_while_somebody_else_writes(loop: str, home: Path) -> None:
    """What is written is dropped, and said in the log; the answer is the application's own."""
    with connect(home, on_outage="read-only", gate_timeout=0.1) as client:
        token, _ = client.create({"a": 1})

        async def run() -> None:
            with writer_at_work(home):
                sent = await visit(SessionMiddleware(reads, client=client), token)
                assert (sent.status, sent.body) == (200, b"1")
                sent = await visit(SessionMiddleware(writes, client=client), token)
                assert (sent.status, sent.set_cookie) == (200, None)
            assert client.open(token) == {"a": 1}

        on(loop, run)


def test_an_application_may_answer_outages_itself(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Starlette's exception handlers, as for any error of an endpoint."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse(dict(request.session))

    async def sorry(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", 503)

    with connect(home) as client:
        token, _ = client.create({"a": 1})
        broken(client, monkeypatch)
        app = Starlette(
            routes=[Route("/there", endpoint)],
            middleware=[Middleware(SessionMiddleware, client=client)],
            exception_handlers={StoreUnavailable: sorry},
        )

        sent = on("asyncio", lambda: visit(app, token))

        assert (sent.status, sent.body, sent.set_cookie) == (503, b"sorry", None)


def test_an_outage_after_the_headers_is_the_servers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer cannot be sent, so the error goes on to the server."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        broken(client, monkeypatch)
        scope["session"]["late"] = 1
        await scope["session"].acommit()

    with connect(home) as client:
        token, _ = client.create({"a": 1})
        sent = Sent()
        with pytest.raises(StoreUnavailable):
            on("asyncio", lambda: visit(SessionMiddleware(late, client=client), token, sent))
        assert [each["type"] for each in sent.messages] == ["http.response.start"]


def test_the_loop_turns_while_requests_wait_for_another_process(loop: str, home: Path) -> None:
    """Writes, flashes, logouts and new sessions wait in threads; reads are answered meanwhile."""

    async def takes(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].atake_flashes()
        await answer(send)

    async def logs_out(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].logout()
        await answer(send)

    with connect(home, gate_timeout=1.0) as client:
        tokens = [client.create({"a": 1})[0] for _ in range(3)]
        flashing = client.open(tokens[1])
        flashing.flash("one")
        flashing.commit()
        stalls: list[float] = []
        statuses: list[int] = []

        async def turn() -> None:
            while True:
                before = time.monotonic()
                await anyio.sleep(0.005)
                stalls.append(time.monotonic() - before)

        async def waits(app: Any, token: str | None) -> None:
            sent = await visit(SessionMiddleware(app, client=client), token)
            assert sent.set_cookie is None
            statuses.append(sent.status)

        async def run() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(turn)
                async with anyio.create_task_group() as waiting:
                    for app, token in ((writes, tokens[0]), (takes, tokens[1]), (logs_out, tokens[2]), (writes, None)):
                        waiting.start_soon(waits, app, token)
                    for _ in range(20):
                        sent = await visit(SessionMiddleware(reads, client=client), tokens[0])
                        assert sent.body == b"1"
                        await anyio.sleep(0.01)
                    assert statuses == []
                tasks.cancel_scope.cancel()

        with Job("pause_inside", home, tokens[0], "late") as writer:
            writer.expect("ready")
            writer.say("save")
            writer.expect("inside")
            on(loop, run)
        assert statuses == [503] * 4
        assert max(stalls) < TOOK
        assert len(stalls) > 50
        assert all(client.open(token) == {"a": 1} for token in tokens)


@pytest.mark.parametrize("moment", ["use", "commit"])
def test_an_outage_behind_other_middleware(home: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Starlette's BaseHTTPMiddleware, which runs the application in a task of its own, makes no difference."""

    async def endpoint(request: Request) -> Response:
        if moment == "use":
            return JSONResponse(dict(request.session))
        request.session["a"] = 2
        return Response()

    async def passes(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response

    with connect(home) as client:
        token, _ = client.create({"a": 1})
        app = Starlette(
            routes=[Route("/there", endpoint)],
            middleware=[
                Middleware(BaseHTTPMiddleware, dispatch=passes),
                Middleware(SessionMiddleware, client=client),
                Middleware(BaseHTTPMiddleware, dispatch=passes),
            ],
        )
        broken(client, monkeypatch)
        sent = on("asyncio", lambda: visit(app, token if moment == "use" else None))
        assert (sent.status, sent.set_cookie, sent.values("retry-after")) == (503, None, ["5"])
