"""The audit log: what happened, newest first, new events on top as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.admin.dashboard import wording
from coatcheck.admin.dashboard.page import asked_by_htmx, desk_of, part, render, templates, whole
from coatcheck.admin.dashboard.streams import streamed
from coatcheck.store import audit

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.desk import Desk
    from coatcheck.admin.dashboard.live import Event
    from coatcheck.store.audit import AuditEvent

LIMIT: Final = 50
"""Events on a page."""

SLICE: Final = 5000
"""Events that are looked at for one page; then it says where it stopped."""

MOST: Final = 200
"""Rows that a live page keeps."""

RINGS: Final = {"life": audit.LIFE, "guests": audit.ANONYMOUS, "refused": audit.REFUSED}

_HIGHEST: Final = 2**62


async def listing(request: Request) -> Response:
    """Events, or the next piece of them."""
    desk, chosen = desk_of(request), _chosen(request.query_params)
    before = whole(request.query_params.get("before"), 0, _HIGHEST)
    values = await run_in_threadpool(_read, desk, chosen, before)
    if asked_by_htmx(request):
        return part(request, "audit_list.html" if before is None else "audit_more.html", **values)
    live = None if before is not None else "/live/audit?" + urlencode(chosen)
    return render(request, "audit.html", "audit", live=live, **values)


def _chosen(query: Mapping[str, str]) -> dict[str, str]:
    """Ring, kind, user and session that are asked for."""
    chosen = {name: query.get(name, "").strip()[:600] for name in ("ring", "kind", "user", "session")}
    if chosen["ring"] not in RINGS:
        chosen["ring"] = "life"
    return {name: value for name, value in chosen.items() if value}


def _read(desk: Desk, chosen: Mapping[str, str], before: int | None) -> dict[str, Any]:
    ring = RINGS[chosen["ring"]]
    found: list[AuditEvent] = []
    looked, more = 0, True
    position = before
    while len(found) < LIMIT and looked < SLICE and more:
        some = desk.newest(500, position, ring)
        more = len(some) == 500
        for event in some:
            looked += 1
            position = event.sequence
            if fits(event, chosen):
                found.append(event)
                if len(found) == LIMIT:
                    more = True
                    break
    newest = desk.newest(1, ring=ring)
    return {
        "events": found,
        "chosen": chosen,
        "looked": looked,
        "kinds": wording.kinds(refused=chosen["ring"] == "refused"),
        "first": "/audit?" + urlencode(chosen),
        "older": "/audit?" + urlencode({**chosen, "before": position}) if more and position else None,
        "position": position,
        "full": len(found) == LIMIT,
        "before": before,
        "newest": newest[0].sequence if newest else -1,
        "most": MOST,
    }


def fits(event: AuditEvent, chosen: Mapping[str, str]) -> bool:
    """Whether an event is asked for."""
    return (
        event.kind == chosen.get("kind", event.kind)
        and (event.principal or "") == chosen.get("user", event.principal or "")
        and event.sid.startswith(chosen.get("session", "").lower())
    )


async def stream(request: Request) -> Response:
    """Events as they come."""
    desk, chosen = desk_of(request), _chosen(request.query_params)
    ring = RINGS[chosen["ring"]]
    start = whole(request.query_params.get("from"), 0, _HIGHEST)
    position = -1 if start is None else start

    def make() -> list[Event]:
        nonlocal position
        events = desk.events(position, 500, ring)
        if not events:
            return []
        position = events[-1].sequence
        return _rows(request, [each for each in reversed(events) if fits(each, chosen)][:MOST], position)

    return streamed(request, f"audit/{id(make)}", make)


def _rows(request: Request, events: Sequence[AuditEvent], position: int) -> list[Event]:
    shown: Any = templates(request).get_template("events_rows.html").module
    html = str(shown.rows(events)).strip()
    return [("rows", {"id": "events", "html": html, "from": position, "most": MOST})]


routes = [Route("/audit", listing), Route("/live/audit", stream)]
