"""One session: what it is, its life as a timeline, why it ended, and how to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coatcheck.admin.dashboard.csrf import form_of
from coatcheck.admin.dashboard.page import Missing, asked_by_htmx, back_to, desk_of, part, render, visit_of
from coatcheck.admin.dashboard.pages.audit import RINGS
from coatcheck.admin.dashboard.streams import streamed
from coatcheck.admin.reading import handles, story

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.desk import Desk
    from coatcheck.admin.dashboard.live import Event


async def life(request: Request) -> Response:
    """Everything that is known of a session. A handle leads to the page of its session."""
    desk, text = desk_of(request), request.path_params["sid"]
    if not is_sid(text):
        return await _by_handle(request, desk, text)
    values = await run_in_threadpool(_read, desk, text)
    if asked_by_htmx(request):
        return part(request, "session_life.html", **values)
    return render(request, "session.html", "sessions", live=f"/live/sessions/{text}", **values)


async def _by_handle(request: Request, desk: Desk, text: str) -> Response:
    try:
        return RedirectResponse(f"/sessions/{await run_in_threadpool(story.sid_of, desk.client, text)}", 303)
    except handles.HandleAmbiguous as error:
        return render(request, "handles.html", "sessions", handle=text, fitting=error.fitting)
    except handles.HandleUnknown:
        msg = f"No session is called {text[:40]!r}. A handle has 8 or more digits from 0 to f."
        raise Missing(msg) from None


def _read(desk: Desk, sid: str) -> dict[str, Any]:
    told = story.tell(desk.client, sid)
    if told.live is None and not told.steps:
        msg = f"No session is called {sid[:8]}, and the audit log knows of none that was."
        raise Missing(msg)
    last = [each.principal for each in told.steps if each.principal]
    user = told.live.principal if told.live else last[-1] if last else None
    return {"story": told, "info": told.live, "sid": sid, "user": user, "now_us": desk.client.clock.now()}


async def ask_to_end(request: Request) -> Response:
    """Are you sure?"""
    desk, sid = desk_of(request), request.path_params["sid"]
    if not is_sid(sid):
        return await _by_handle(request, desk, sid)
    values = await run_in_threadpool(_read, desk, sid)
    if values["info"] is None:
        return back_to(request, f"/sessions/{sid}", "This session has ended already.", "warn")
    return render(request, "session_end.html", "sessions", **values)


async def end(request: Request) -> Response:
    """End it, and say so."""
    visit, desk, sid = visit_of(request), desk_of(request), request.path_params["sid"]
    await form_of(request, visit)
    if not is_sid(sid):
        msg = "A session is ended by its whole id."
        raise Missing(msg)
    if await run_in_threadpool(desk.end_session, sid, visit.by):
        return back_to(request, f"/sessions/{sid}", f"Session {sid[:8]} is ended: its next request finds nothing.")
    return back_to(request, f"/sessions/{sid}", "This session had ended already.", "warn")


async def stream(request: Request) -> Response:
    """Says when something has happened to the session: the page then asks for its life anew."""
    desk, sid = desk_of(request), request.path_params["sid"]
    if not is_sid(sid):
        msg = "A session is followed by its whole id."
        raise Missing(msg)
    position = {ring: desk.last_event(ring) for ring in RINGS.values()}

    def make() -> list[Event]:
        happened = False
        for ring, after in position.items():
            events = desk.events(after, 1000, ring)
            if events:
                position[ring] = events[-1].sequence
                happened = happened or any(each.sid == sid for each in events)
        return [("changed", None)] if happened else []

    return streamed(request, f"session/{id(make)}", make)


def is_sid(text: str) -> bool:
    """Whether it is a whole sid, in the one way that it is written."""
    return len(text) == handles.LONGEST and handles.is_handle(text) and text == text.lower()


routes = [
    Route("/live/sessions/{sid}", stream),
    Route("/sessions/{sid}", life),
    Route("/sessions/{sid}/end", ask_to_end, methods=["GET"]),
    Route("/sessions/{sid}/end", end, methods=["POST"]),
]
