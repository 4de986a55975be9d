"""The probing application for Starlette and for FastAPI; settings come from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import anyio
import redis
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from coatcheck import connect
from coatcheck.adopt import FlaskSessionRedis
from coatcheck.asgi import ASGISession, SessionMiddleware
from coatcheck.asgi.fastapi import SessionDependency
from tests.web.actions import ACTIONS, TAKE


async def act(name: str, session: Callable[[], Any], query: dict[str, str]) -> Response:
    """Do what the action wants done, waiting as asynchronous code does."""
    action = ACTIONS[name](session, query)
    answer = None
    try:
        while True:
            wanted = action.send(answer)
            if wanted == TAKE:
                answer = await session().atake_flashes()
            else:
                answer = None
                await anyio.sleep(wanted)
    except StopIteration as end:
        if isinstance(end.value, int):
            return Response("as it was told to", end.value)
        return JSONResponse(end.value)


async def endpoint(request: Request) -> Response:
    """Any action."""
    name = request.path_params["name"]
    if name not in ACTIONS:
        return Response(status_code=404)
    return await act(name, lambda: request.session, dict(request.query_params))


async def stream(request: Request) -> Response:
    """Changes the session while it streams."""
    request.session["before"] = 1

    async def pieces() -> Any:
        yield "one "
        request.session["during"] = 2
        yield "two"

    return StreamingResponse(pieces())


async def echo(websocket: WebSocket) -> None:
    """Says what the session has under the key that it receives; ``key=value`` sets it."""
    session: Any = websocket.session
    if "set" in websocket.query_params:
        session["set"] = websocket.query_params["set"]
    await websocket.accept()
    try:
        while True:
            key, equals, value = (await websocket.receive_text()).partition("=")
            if equals:
                session[key] = value
                await session.acommit()
            await websocket.send_text(str(session.get(key)))
    except WebSocketDisconnect as error:
        session["left"] = error.code


def options() -> dict[str, Any]:
    """What the environment says."""
    timeout = os.environ.get("PROBE_GATE_TIMEOUT")
    client = None if timeout is None else connect(gate_timeout=float(timeout))
    return {"client": client, "close_websockets": True}


def starlette_app(**given: Any) -> Starlette:
    """As an application for Starlette's own middleware is written."""
    return Starlette(
        routes=[
            WebSocketRoute("/echo", echo),
            Route("/stream", stream),
            Route("/{name}", endpoint),
        ],
        middleware=[Middleware(SessionMiddleware, **{**options(), **given})],
    )


def fastapi_app(**given: Any) -> FastAPI:
    """With the dependency."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, **{**options(), **given})

    @app.get("/untouched")
    async def untouched() -> str:
        return "untouched"

    @app.get("/{name}", response_model=None)
    async def acting(name: str, request: Request, session: SessionDependency) -> Response:
        assert isinstance(session, ASGISession)
        return await act(name, lambda: session, dict(request.query_params))

    @app.websocket("/echo")
    async def echoing(websocket: WebSocket, session: SessionDependency) -> None:
        assert session is websocket.session
        await echo(websocket)

    return app


def moving_app() -> Starlette:
    """With the sessions that Flask-Session has in the Redis of ``PROBE_OLD``, a port."""
    return starlette_app(adopt=FlaskSessionRedis(redis.Redis(port=int(os.environ["PROBE_OLD"]))))
