"""``/healthz``, whether this process serves at all, and ``/readyz``, whether sessions can be read and written.

Both show no session, no user and no path: a load balancer asks them without a login.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from coatcheck.store.lmdb import LmdbStore

Render = Callable[["LmdbStore"], bytes]
Answer = tuple[int, str, bytes]

_JSON = "application/json"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def readiness(store: LmdbStore) -> tuple[bool, dict[str, Any]]:
    """Whether the store opens, can be read, and lets a writer have his turn; and which of it is wrong.

    Nothing is written: the turn is taken and given back. A store that is full is ready, as its users can go on and
    log out; ``coatcheck_limits_hit_total{limit="room"}`` is what to watch for that.
    """
    try:
        store.check_ready()
    except (CoatcheckError, OSError) as error:
        return False, {"ready": False, "problem": type(error).__name__}
    return True, {"ready": True, "problem": None}


def answer(store: LmdbStore, path: str, render: Render) -> Answer:
    """Status, content type and body for a path; 404 for any other."""
    name = path.rstrip("/").rpartition("/")[2]
    if name == "metrics":
        return HTTPStatus.OK, _TEXT, render(store)
    if name == "healthz":
        return HTTPStatus.OK, _JSON, b'{"alive": true}'
    if name == "readyz":
        ready, body = readiness(store)
        return HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, _JSON, json.dumps(body).encode()
    return HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics, /healthz and /readyz\n"


def _answer(store: LmdbStore, method: str, path: str, render: Render) -> Answer:
    if method not in ("GET", "HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET or HEAD\n"
    return answer(store, path, render)


def as_wsgi(store: LmdbStore, render: Render) -> Callable[..., Iterable[bytes]]:
    """The three pages as a WSGI application."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        status, kind, body = _answer(store, method, environ.get("PATH_INFO", ""), render)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(f"{int(status)} {HTTPStatus(status).phrase}", headers)
        return [] if method == "HEAD" else [body]

    return app


def as_asgi(store: LmdbStore, render: Render) -> Callable[..., Awaitable[None]]:
    """The three pages as an ASGI application; what may wait runs in a thread."""

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        status, kind, body = await loop.run_in_executor(None, _answer, store, scope["method"], scope["path"], render)
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app
