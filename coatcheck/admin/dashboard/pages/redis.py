"""Redis: whatever signals the actors give of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.admin.dashboard.page import desk_of, render, templates
from coatcheck.admin.dashboard.rendering import facts
from coatcheck.admin.dashboard.streams import streamed

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.live import Event


async def redis(request: Request) -> Response:
    """How the way to Redis is."""
    values = await run_in_threadpool(_values, request)
    return render(request, "redis.html", "redis", live="/live/redis", **values)


def _values(request: Request) -> dict[str, Any]:
    found = desk_of(request).health()
    groups = []
    for actor in found.actors:
        details = actor.get("details") or {}
        if "redis" in actor["actor"].lower():
            groups.append({"title": actor["actor"], "state": actor["state"], "facts": facts(details), "actor": actor})
        else:
            told = {name: value for name, value in details.items() if _is_about_redis(name)}
            if told:
                groups.append({"title": actor["actor"], "state": actor["state"], "facts": facts(told), "actor": actor})
    if found.outbox is not None:
        groups.insert(0, {"title": "Outbox", "state": "", "facts": facts(found.outbox), "actor": {}})
    return {"groups": groups, "health": found}


def _is_about_redis(name: str) -> bool:
    return any(word in name.lower() for word in ("redis", "outbox", "lease", "follower"))


async def stream(request: Request) -> Response:
    """What changes."""

    def make() -> list[Event]:
        shown: Any = templates(request).get_template("redis_live.html").module
        return [("regions", {"redis": str(shown.groups(**_values(request))).strip()})]

    return streamed(request, "redis", make)


routes = [Route("/redis", redis), Route("/live/redis", stream)]
