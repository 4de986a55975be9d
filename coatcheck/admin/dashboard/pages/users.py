"""Users: who signed in lately, and the devices and sessions of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coatcheck.admin.dashboard.csrf import form_of
from coatcheck.admin.dashboard.page import Missing, back_to, desk_of, render, visit_of
from coatcheck.admin.reading import handles, people

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.desk import Desk

SHOWN: Final = 200
"""Sessions of one user on a page; a user with more has them behind the filter."""

_LONGEST: Final = 1000


async def users(request: Request) -> Response:
    """One user, or who signed in lately."""
    desk = desk_of(request)
    name = request.query_params.get("name", "")[:_LONGEST]
    if name:
        return render(request, "user.html", "users", **await run_in_threadpool(_person, desk, name))
    return render(request, "users.html", "users", recent=await run_in_threadpool(desk.recent_users))


def _person(desk: Desk, name: str) -> dict[str, Any]:
    person = people.person(desk.client, name)
    newest = tuple(reversed(person.sessions))
    return {
        "person": person,
        "newest": newest[:SHOWN],
        "hidden": max(0, len(newest) - SHOWN),
        "short": handles.shortened(info.sid for info in newest[:SHOWN]),
        "query": urlencode({"name": name}),
        "all_of_them": "/sessions?" + urlencode({"user": name}),
    }


async def ask_to_end(request: Request) -> Response:
    """Are you sure?"""
    name = request.query_params.get("name", "")[:_LONGEST]
    if not name:
        return RedirectResponse("/users", 303)
    return render(request, "user_end.html", "users", **await run_in_threadpool(_person, desk_of(request), name))


async def end(request: Request) -> Response:
    """End all sessions of a user."""
    visit, desk = visit_of(request), desk_of(request)
    fields = await form_of(request, visit)
    name = fields.get("name", "")
    if not name or len(name) > _LONGEST:
        msg = "Whose sessions? The form has no name."
        raise Missing(msg)
    ended = await run_in_threadpool(desk.end_user, name, visit.by)
    text = f"{ended} sessions of {name} are ended." if ended != 1 else f"One session of {name} is ended."
    return back_to(request, f"/users?{urlencode({'name': name})}", text, "good" if ended else "warn")


routes = [
    Route("/users", users),
    Route("/users/end", ask_to_end, methods=["GET"]),
    Route("/users/end", end, methods=["POST"]),
]
