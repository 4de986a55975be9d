"""Sessions: found by handle or user at once, or filtered by looking at one after the other, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coatcheck.admin.dashboard.page import asked_by_htmx, desk_of, part, render, whole
from coatcheck.admin.reading import handles, sessions, story
from coatcheck.admin.reading.sessions import Filters, Page

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.desk import Desk

LIMIT: Final = 50
"""Sessions on a page."""

BUDGET: Final = 0.15
"""Seconds that one page looks for sessions that fit; then it says where it stopped."""

SPANS: Final = {"5": "5 minutes", "60": "1 hour", "360": "6 hours", "1440": "1 day", "10080": "7 days"}
"""Minutes, and what they are called."""

SIZES: Final = {"1000": "1 kB", "10000": "10 kB", "30000": "30 kB"}

FIELDS: Final = ("user", "state", "used", "idle", "created", "ends", "size", "device", "ip")
_LONGEST: Final = 200


async def listing(request: Request) -> Response:
    """A page of sessions, or the next piece of it."""
    query = {name: request.query_params.get(name, "").strip()[:_LONGEST] for name in (*FIELDS, "find", "cursor")}
    desk = desk_of(request)
    if asked_by_htmx(request):
        query["find"] = ""  # that leads to another page
    if query["find"]:
        target = await run_in_threadpool(_found, desk, query["find"])
        if target is not None:
            return RedirectResponse(target, 303)
    values = await run_in_threadpool(_read, desk, query)
    if asked_by_htmx(request):
        whole_list = not query["cursor"]
        return part(request, "sessions_list.html" if whole_list else "sessions_more.html", **values)
    return render(request, "sessions.html", "sessions", **values)


def _found(desk: Desk, text: str) -> str | None:
    """Where to go for what somebody typed: a session's page, a user's page, or None."""
    if handles.is_handle(text):
        try:
            return f"/sessions/{story.sid_of(desk.client, text)}"
        except handles.HandleAmbiguous:
            return f"/sessions/{text.lower()}"
        except handles.HandleUnknown:
            pass
    if desk.client.sessions_of(text):
        return f"/users?{urlencode({'name': text})}"
    return None


def _read(desk: Desk, query: Mapping[str, str]) -> dict[str, Any]:
    problem = f"Nobody is called {query['find']!r}, and no session." if query["find"] else None
    found = Page((), None, 0)
    try:
        filters = filters_of(query, desk.client.clock.now())
        found = sessions.page(desk.client, cursor=query["cursor"] or None, limit=LIMIT, filters=filters, budget=BUDGET)
    except ValueError as error:
        problem = str(error)
    chosen = {name: query[name] for name in FIELDS if query[name]}
    more = None
    if found.next_cursor is not None:
        more = "/sessions?" + urlencode({**chosen, "cursor": found.next_cursor})
    return {
        "found": found,
        "short": handles.shortened(info.sid for info in found.sessions),
        "query": query,
        "chosen": chosen,
        "scans": any(name != "user" for name in chosen),
        "more": more,
        "first": "/sessions" + (f"?{urlencode(chosen)}" if chosen else ""),
        "total": desk.total(),
        "problem": problem,
        "spans": SPANS,
        "sizes": SIZES,
    }


def filters_of(query: Mapping[str, str], now: int) -> Filters:
    """The filters of a query. Raises ValueError, with words for people, for what cannot be."""
    if query["state"] not in {"", "signed-in", "anonymous"}:
        msg = "State is signed in, guest, or both."
        raise ValueError(msg)
    minutes = {name: _minutes(query[name]) for name in ("used", "idle", "created", "ends")}
    size = whole(query["size"], 0, 10**9)
    if query["size"] and size is None:
        msg = "Size is a number of bytes."
        raise ValueError(msg)
    created = minutes["created"]
    try:
        return Filters(
            user=query["user"] or None,
            state=query["state"] or None,  # type: ignore[arg-type]
            used_within=minutes["used"],
            idle_for=minutes["idle"],
            created_after=None if created is None else now - round(created * 1_000_000),
            ends_within=minutes["ends"],
            size_over=size,
            device=query["device"] or None,
            meta={"ip": query["ip"]} if query["ip"] else {},
        )
    except ValueError:
        msg = f"{query['ip']!r} is no network: use an address, a piece of one, or a network such as 10.0.0.0/8."
        raise ValueError(msg) from None


def _minutes(text: str) -> float | None:
    """Minutes as seconds."""
    if not text:
        return None
    minutes = whole(text, 1, 60 * 24 * 365)
    if minutes is None:
        msg = "A span of time is a number of minutes."
        raise ValueError(msg)
    return minutes * 60.0


routes = [Route("/sessions", listing)]
