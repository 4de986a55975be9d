"""The ways in, and who stands at them: every path but a few needs a visit."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from coatcheck.admin.dashboard.links import Links
from coatcheck.admin.dashboard.passwords import Guesses, PasswordFile
from coatcheck.admin.dashboard.visits import COOKIE, Visits

OPEN: Final = ("/login", "/healthz", "/readyz")
"""Paths without a visit, beside ``/static/``: they show nothing of any session."""

_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[MutableMapping[str, Any], Any, _Send], Awaitable[None]]


@dataclass
class Doors:
    """How one signs in here."""

    home: Path
    """The state directory."""

    links: Links
    passwords: PasswordFile | None = None
    https: bool = False
    """Whether browsers come over https: the cookie is Secure then."""
    visits: Visits = field(default_factory=Visits)
    guesses: Guesses = field(default_factory=Guesses)

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return f"__Host-{COOKIE}" if self.https else COOKIE

    @property
    def how_to_get_a_link(self) -> str:
        """The command that prints a new link."""
        program = Path(sys.executable).name
        return shlex.join([program, "-m", "coatcheck.admin.dashboard", "link", "--home", str(self.home)])


class Doorman:
    """Middleware: finds the visit of a request, and sends those who have none to the login."""

    def __init__(self, app: _App, doors: Doors) -> None:
        self._app, self._doors = app, doors

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: _Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        path = scope["path"]
        token = request.cookies.get(self._doors.cookie, "")
        visit = self._doors.visits.find(token, used=not path.startswith("/live/")) if token else None
        if visit is None and path not in OPEN and not path.startswith("/static/"):
            await _refused(request)(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["visit"], state["token"] = visit, token
        await self._app(scope, receive, send)


def _refused(request: Request) -> Response:
    if request.headers.get("hx-request") == "true":
        return PlainTextResponse("Sign in first.\n", 401, {"HX-Refresh": "true"})
    if request.method != "GET" or request.url.path.startswith("/live/"):
        return PlainTextResponse("Sign in first.\n", 401)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse("/login" + (f"?{urlencode({'next': wanted})}" if wanted != "/" else ""), 303)
