"""The addresses of live updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from coatcheck.admin.dashboard.live import MOST

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.live import Live, Make


def live_of(request: Request) -> Live:
    """The task behind all streams."""
    return cast("Live", request.app.state.live)


def streamed(request: Request, topic: str, make: Make) -> StreamingResponse:
    """The stream of a topic, for this visit as long as it lasts."""
    live = live_of(request)
    if len(live) >= MOST:
        raise HTTPException(503, "Too many pages are live: close some.")
    visits, token = request.app.state.visits, request.state.token

    def lives() -> bool:
        return visits.find(token, used=False) is not None

    return StreamingResponse(
        live.stream(topic, make, lives), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )
