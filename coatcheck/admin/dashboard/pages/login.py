"""Signing in, by a link or a password, and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from coatcheck.admin.dashboard.csrf import form_of
from coatcheck.admin.dashboard.page import templates, visit_of
from coatcheck.admin.dashboard.visits import ABSOLUTE

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.doors import Doors

_LONGEST: Final = 1100
_USED: Final = "This link has been used, is older than ten minutes, or was never given out. Ask for a new one."
_WRONG: Final = "That name and password do not go together."


async def ask(request: Request) -> Response:
    """The form. Opening a link does not use it up: mail scanners and previews open links, too."""
    return _form(request, link=request.query_params.get("link", "")[:_LONGEST])


async def login(request: Request) -> Response:
    """Use a link or a password."""
    fields = {name: value for name, value in (await form_of(request, None)).items() if len(value) <= _LONGEST}
    doors = _doors(request)
    if "link" in fields:
        link = await run_in_threadpool(doors.links.use, fields["link"])
        if link is None:
            return _form(request, status=403, problem=_USED)
        return _enter(request, link.who, "link", fields)
    return await _by_password(request, doors, fields)


async def _by_password(request: Request, doors: Doors, fields: dict[str, str]) -> Response:
    name, password = fields.get("name", ""), fields.get("password", "")
    if doors.passwords is None:
        raise HTTPException(403, "There are no passwords here: use a link.")
    seconds = doors.guesses.wait(name)
    if seconds > 0:
        text = f"Too many wrong guesses: try again in {seconds:.0f} seconds."
        return _form(request, status=429, problem=text, name=name, headers={"Retry-After": f"{seconds:.0f}"})
    # Counted before it is known: many at once are as many guesses.
    doors.guesses.wrong(name)
    if not name or not await run_in_threadpool(doors.passwords.check, name, password):
        return _form(request, status=403, problem=_WRONG, name=name)
    doors.guesses.right(name)
    return _enter(request, name, "password", fields)


async def logout(request: Request) -> Response:
    """Sign out."""
    await form_of(request, visit_of(request))
    doors = _doors(request)
    doors.visits.end(request.state.token)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(doors.cookie, path="/", secure=doors.https, httponly=True, samesite="strict")
    response.headers["clear-site-data"] = '"cache", "storage"'
    return response


def _enter(request: Request, who: str, how: str, fields: dict[str, str]) -> Response:
    doors = _doors(request)
    former = request.cookies.get(doors.cookie)
    if former:
        doors.visits.end(former)
    token, _ = doors.visits.begin(who, how)
    response = RedirectResponse(local(fields.get("next", "")), 303)
    response.set_cookie(
        doors.cookie, token, max_age=int(ABSOLUTE), path="/", secure=doors.https, httponly=True, samesite="strict"
    )
    return response


def _form(
    request: Request,
    *,
    status: int = 200,
    link: str = "",
    problem: str = "",
    name: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    doors = _doors(request)
    text = (
        templates(request)
        .get_template("login.html")
        .render(
            link=link,
            problem=problem,
            name=name[:64],
            next=local(request.query_params.get("next", "")),
            passwords=doors.passwords is not None,
            command=doors.how_to_get_a_link,
        )
    )
    return HTMLResponse(text, status, headers)


def local(path: str) -> str:
    """Where to go after signing in: a path of this dashboard, whatever was asked for."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    inside = path.startswith("/") and path[1:2] not in {"/", "\\"} and not parts.scheme and not parts.netloc
    return path if inside and path.isascii() and path.isprintable() and not path.startswith("/live/") else "/"


def _doors(request: Request) -> Doors:
    return cast("Doors", request.app.state.doors)


routes = [
    Route("/login", ask, methods=["GET"]),
    Route("/login", login, methods=["POST"]),
    Route("/logout", logout, methods=["POST"]),
]
