"""What every page has: who is looking, where the pages are, and how an answer is made of a template."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

import coatcheck

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from coatcheck.admin.dashboard.desk import Desk
    from coatcheck.admin.dashboard.visits import Visit


class Said(NamedTuple):
    """What has become of a form, shown once on the next page."""

    text: str
    tone: str = "good"


PAGES: Final = (
    ("overview", "/", "Overview"),
    ("sessions", "/sessions", "Sessions"),
    ("users", "/users", "Users"),
    ("audit", "/audit", "Audit"),
    ("actors", "/actors", "Actors"),
    ("redis", "/redis", "Redis"),
)
"""Name, path and title, in the order in which they are shown."""


def desk_of(request: Request) -> Desk:
    """What pages read from."""
    return cast("Desk", request.app.state.desk)


def visit_of(request: Request) -> Visit:
    """Who is looking. Every request that gets here has one."""
    return cast("Visit", request.state.visit)


def render(request: Request, template: str, here: str, *, status: int = 200, **values: Any) -> Response:
    """A page. ``here``: its name among :data:`PAGES`."""
    visit = visit_of(request)
    said, visit.said = visit.said, None
    values = {
        "visit": visit,
        "pages": PAGES,
        "here": here,
        "home": str(desk_of(request).home),
        "version": coatcheck.__version__,
        "as_of": f"{datetime.now(timezone.utc):%H:%M:%S}",
        "said": said,
        **values,
    }
    return HTMLResponse(templates(request).get_template(template).render(values), status)


def part(request: Request, template: str, **values: Any) -> Response:
    """A piece of a page, for HTMX."""
    text = templates(request).get_template(template).render(visit=visit_of(request), **values)
    return HTMLResponse(text, headers={"Vary": "HX-Request"})


def templates(request: Request) -> Environment:
    """All templates."""
    return cast("Environment", request.app.state.templates)


def asked_by_htmx(request: Request) -> bool:
    """Whether a piece of the page is wanted, and not the page."""
    return request.headers.get("hx-request") == "true" and request.headers.get("hx-history-restore-request") != "true"


def back_to(request: Request, path: str, text: str, tone: str = "good") -> Response:
    """After a form: another page, which says what has become of it."""
    visit_of(request).said = Said(text, tone)
    return RedirectResponse(path, 303)


class Missing(HTTPException):
    """There is no such page, session or user."""

    def __init__(self, text: str) -> None:
        super().__init__(404, text)


def whole(text: str | None, lowest: int, highest: int) -> int | None:
    """A number of a query; None where there is none that can be."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    return value if lowest <= (value := int(text)) <= highest else None
