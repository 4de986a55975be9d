"""The dashboard as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount

from coatcheck.admin.dashboard.doors import Doorman, Doors
from coatcheck.admin.dashboard.files import Files
from coatcheck.admin.dashboard.headers import Headers, Hosts
from coatcheck.admin.dashboard.live import Live
from coatcheck.admin.dashboard.pages import actors, audit, login, overview, redis, session, sessions, users
from coatcheck.admin.dashboard.rendering import STATIC, environment
from coatcheck.admin.dashboard.sampling import Sampler
from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.desk import Desk

_TITLES = {
    403: "Refused",
    404: "Not here",
    405: "Not like that",
    413: "Too large",
    415: "Not like that",
    503: "Not now",
}


def create_app(desk: Desk, doors: Doors, hosts: Hosts) -> Any:
    """All of it. The caller closes the desk's client when it is done."""
    sampler = Sampler(desk)
    live = Live(sampler.take)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with live.running():
            yield

    pages = (login, overview, sessions, session, users, audit, actors, redis)
    app = Starlette(
        routes=[*(route for each in pages for route in each.routes), Mount("/static", Files(STATIC))],
        middleware=[
            Middleware(Headers, hosts=hosts, https=doors.https),
            Middleware(Doorman, doors=doors),
        ],
        exception_handlers={HTTPException: _problem, CoatcheckError: _unavailable, Exception: _failed},
        lifespan=lifespan,
    )
    app.state.desk, app.state.doors, app.state.visits = desk, doors, doors.visits
    app.state.live, app.state.sampler = live, sampler
    app.state.templates = environment()
    return app


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = _TITLES.get(error.status_code, f"Error {error.status_code}")
    return _page(request, error.status_code, title, error.detail, error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    return _page(request, 503, "The store cannot be asked", str(error))


async def _failed(request: Request, _: Exception) -> Response:
    return _page(request, 500, "That went wrong", "The dashboard failed on this page; its log says where.")


def _page(request: Request, status: int, title: str, text: str, headers: Any = None) -> Response:
    template = request.app.state.templates.get_template("problem.html")
    tone = "bad" if status >= 500 else "warn"
    return HTMLResponse(template.render(title=title, text=text, tone=tone), status, headers)
