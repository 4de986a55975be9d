"""The actor tree: which processes run, for how long, what they have handled, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.admin.dashboard.page import desk_of, render, templates
from coatcheck.admin.dashboard.rendering import facts
from coatcheck.admin.dashboard.streams import streamed

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.live import Event

_ROLES: Final = {
    "runner": "the process that runs the system, and starts it again",
    "admin": "Thespian's own, which starts actors",
    "SystemSupervisor": "starts the others, again when they end or hang",
    "SessionManager": "answers for the store, sweeps and syncs it",
    "RedisPersistence": "carries changes to Redis and back",
}


async def actors(request: Request) -> Response:
    """The tree."""
    values = await run_in_threadpool(_values, request)
    return render(request, "actors.html", "actors", live="/live/actors", **values)


def _values(request: Request) -> dict[str, Any]:
    found = desk_of(request).health()
    return {"health": found, "tree": tree_of(found.actors)}


def tree_of(actors: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The actors, each behind its parent and with its depth."""
    known = {each["actor"] for each in actors}
    rows: list[dict[str, Any]] = []

    def add(parent: str | None, depth: int) -> None:
        for each in actors:
            above = each["parent"] if each["parent"] in known else None
            if above == parent:
                rows.append(_row(each, depth))
                add(each["actor"], depth + 1)

    add(None, 0)
    return rows


def _row(actor: dict[str, Any], depth: int) -> dict[str, Any]:
    handled, failed = actor.get("handled") or {}, actor.get("failed") or {}
    return {
        **actor,
        "depth": min(depth, 4),
        "role": _ROLES.get(actor["actor"], ""),
        "handled_total": sum(handled.values()) if handled else None,
        "failed_total": sum(failed.values()) if actor.get("failed") is not None else None,
        "by_message": sorted(handled.items(), key=lambda each: -each[1]),
        "failures": sorted(failed.items(), key=lambda each: -each[1]),
        "facts": facts(actor.get("details") or {}),
    }


async def stream(request: Request) -> Response:
    """What changes in the tree."""

    def make() -> list[Event]:
        values = _values(request)
        shown: Any = templates(request).get_template("actors_live.html").module
        regions = {"tree": shown.tree(values["tree"]), "verdict": shown.verdict(values["health"])}
        for index, each in enumerate(values["tree"]):
            regions[f"facts-{index}"] = shown.details(each)
        return [("regions", {name: str(html).strip() for name, html in regions.items()})]

    return streamed(request, "actors", make)


routes = [Route("/actors", actors), Route("/live/actors", stream)]
