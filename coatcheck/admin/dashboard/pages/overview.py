"""The overview: whether all is well, the figures, the charts, what happened last; and the sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.admin.dashboard.charts import Chart, Series, chart
from coatcheck.admin.dashboard.csrf import form_of
from coatcheck.admin.dashboard.page import back_to, desk_of, render, templates, visit_of
from coatcheck.admin.dashboard.rendering import decimal, number
from coatcheck.admin.dashboard.streams import streamed

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.history import History
    from coatcheck.admin.dashboard.live import Event
    from coatcheck.admin.dashboard.sampling import Sampler

SWEEP_FOR: Final = 2.0
"""Seconds that one press of the button sweeps; what is left is the manager's, or the next press'."""

_EVENTS: Final = 8


async def overview(request: Request) -> Response:
    """Everything at a glance."""
    sampler = _sampler(request)
    if not sampler.history.moments:
        await run_in_threadpool(sampler.take)
    values = await run_in_threadpool(_values, request)
    return render(request, "overview.html", "overview", live="/live/overview", **values)


def _values(request: Request) -> dict[str, Any]:
    desk, sampler = desk_of(request), _sampler(request)
    reachable = sampler.stats is not None
    return {
        "stats": sampler.stats,
        "latest": sampler.history.latest,
        "problem": sampler.problem,
        "health": desk.health(),
        "charts": charts_of(sampler.history),
        "events": desk.latest(_EVENTS) if reachable else [],
    }


def charts_of(history: History) -> list[Chart]:
    """The charts of the overview."""
    moments = history.moments

    def series(**names: str) -> list[Series]:
        return [Series(title.replace("_", " "), history.of(name)) for title, name in names.items()]

    return [
        chart(
            "sessions", "Sessions", moments, series(all="sessions", signed_in="signed_in"), text=number, smallest_top=4,
        ),
        chart(
            "rates", "Operations per second", moments, series(loads="loads", writes="writes", refused="refused"),
            text=decimal,
        ),
        chart("latency", "Latency in microseconds", moments, series(lookup="read"), text=decimal, smallest_top=10),
        chart("sweep", "Sweep", moments, series(removed_per_second="swept", due="due"), text=decimal, smallest_top=4),
    ]  # fmt: skip


async def stream(request: Request) -> Response:
    """What changes on the overview."""

    def make() -> list[Event]:
        values = _values(request)
        parts = templates(request).get_template("overview_live.html").module
        regions = {"health": parts.health(values["health"])}  # type: ignore[attr-defined]
        if values["stats"] is not None:
            regions["tiles"] = parts.tiles(values["stats"], values["latest"])  # type: ignore[attr-defined]
            regions["recent"] = parts.recent(values["events"])  # type: ignore[attr-defined]
        pieces = templates(request).get_template("parts.html").module
        for each in values["charts"]:
            for piece, macro in (("plot", "plot"), ("legend", "legend"), ("rows", "rows")):
                regions[f"{each.name}-{piece}"] = getattr(pieces, macro)(each)
        return [("regions", {name: str(html).strip() for name, html in regions.items()})]

    return streamed(request, "overview", make)


async def sweep(request: Request) -> Response:
    """Remove what has expired, now."""
    visit, desk = visit_of(request), desk_of(request)
    await form_of(request, visit)
    removed, more = await run_in_threadpool(desk.sweep, visit.by, SWEEP_FOR)
    text = f"{removed:,} expired {'session is' if removed == 1 else 'sessions are'} removed."
    return back_to(request, "/", text + (" More are due: sweep again, or wait for the manager." if more else ""))


def _sampler(request: Request) -> Sampler:
    return cast("Sampler", request.app.state.sampler)


routes = [
    Route("/", overview),
    Route("/live/overview", stream),
    Route("/sweep", sweep, methods=["POST"]),
]
