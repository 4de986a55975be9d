"""The site in Starlette: coatcheck, starsessions on Redis, or Starlette's signed cookie."""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.contents import CHANGED_KEY, READ_KEY, content


def middleware() -> list[Middleware]:
    """Who keeps the sessions."""
    side = os.environ["SITE_SIDE"]
    if side == "coatcheck":
        from coatcheck.asgi import SessionMiddleware as Ours

        return [Middleware(Ours, home=os.environ["SITE_HOME"], https_only=False)]
    if side == "cookie":
        from starlette.middleware.sessions import SessionMiddleware

        return [Middleware(SessionMiddleware, secret_key="benchmarks-benchmarks-benchmarks")]  # noqa: S106
    from starsessions import SessionAutoloadMiddleware
    from starsessions import SessionMiddleware as Theirs
    from starsessions.stores.redis import RedisStore

    store = RedisStore(f"redis://127.0.0.1:{os.environ['SITE_REDIS']}")
    return [
        Middleware(Theirs, store=store, cookie_https_only=False, lifetime=86_400),
        Middleware(SessionAutoloadMiddleware),
    ]


async def start(request: Request) -> JSONResponse:
    """A new session with data. The peers' serializer is JSON, so moments are text."""
    for key, value in content(os.environ["SITE_SIZE"], int(request.query_params["n"])).items():
        request.session[key] = _plain(value)
    return JSONResponse({"started": True})


async def read(request: Request) -> JSONResponse:
    """One key of it."""
    return JSONResponse({"user": request.session[READ_KEY]})


async def write(request: Request) -> JSONResponse:
    """The same, and another one changed."""
    request.session[CHANGED_KEY] = os.urandom(4).hex()
    return JSONResponse({"user": request.session[READ_KEY]})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


app = Starlette(routes=[Route("/start", start), Route("/read", read), Route("/write", write)], middleware=middleware())
