"""Sessions and events as all tools write them down for programs: no token, no data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from coatcheck.admin.reading.handles import shortened
from coatcheck.admin.reading.words import moment

if TYPE_CHECKING:
    from coatcheck.admin.reading.people import Device
    from coatcheck.admin.reading.story import Story
    from coatcheck.store.contract import SessionInfo


def session_rows(sessions: Iterable[SessionInfo]) -> list[dict[str, Any]]:
    """Each of these sessions, with handles that tell them apart."""
    listed = list(sessions)
    handles = shortened(info.sid for info in listed)
    return [session_row(info, handles[info.sid]) for info in listed]


def session_row(info: SessionInfo, handle: str | None = None) -> dict[str, Any]:
    """``handle``, ``sid``, ``user``, ``created_at``, ``last_seen_at``, ``expires_at``, ``size``, ``meta``."""
    return {
        "handle": handle or info.handle,
        "sid": info.sid,
        "user": info.principal,
        "created_at": moment(info.created_at),
        "last_seen_at": moment(info.last_seen_at),
        "expires_at": moment(info.expires_at),
        "size": info.size,
        "meta": dict(info.meta),
    }


def device_row(device: Device) -> dict[str, Any]:
    """``label``, ``ip``, ``user_agent``, ``sessions``, ``last_seen_at``."""
    return {
        "label": device.label,
        "ip": device.ip,
        "user_agent": device.user_agent,
        "sessions": device.sessions,
        "last_seen_at": moment(device.last_seen_at),
    }


def story_row(story: Story) -> dict[str, Any]:
    """``sid``, ``live``, ``ended``, ``why``, and ``steps``: ``at``, ``kind``, ``words``, ``user``, ``detail``."""
    return {
        "sid": story.sid,
        "live": story.live is not None,
        "ended": story.ended,
        "why": story.why,
        "steps": [
            {
                "at": moment(step.at),
                "kind": step.kind,
                "words": step.words,
                "user": step.principal,
                "detail": dict(step.detail),
            }
            for step in story.steps
        ],
    }
