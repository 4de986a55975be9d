"""The life of one session as a timeline, and why it ended, in words. Told from the audit rings; no token, no data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from coatcheck.admin.reading.handles import is_handle, resolve, shortened
from coatcheck.admin.reading.rings import store_of
from coatcheck.admin.reading.words import duration, printable
from coatcheck.clock import SECOND

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.audit import AuditEvent
    from coatcheck.store.contract import SessionInfo

_BEGAN: Final = "began"
_ENDED: Final = {
    "deleted": "it was ended by the application: its user signed out, or nothing was left in it",
    "revoked": "it was revoked",
    "evicted": "it was the oldest of its user's sessions when a further one began, and there is a limit",
    "expired": "its lifetime was over",
    "unreadable": "it could not be read any more: its encryption key is lost",
}
_STEPS: Final = {
    "created": "began",
    "login": "signed in",
    "rotated": "got a new token",
}


@dataclass(frozen=True)
class Step:
    """One moment in the life of a session."""

    at: int
    """Microseconds UTC."""

    kind: str
    """The kind of the audit event; ``began`` where only the session itself says so."""

    words: str
    """What happened."""

    principal: str | None = None
    """Whom it was bound to then."""

    detail: Mapping[str, Any] = field(default_factory=dict)
    """What the event has beside: numbers and names."""


@dataclass(frozen=True)
class Story:
    """What is known of a session, which may have ended."""

    sid: str
    """32 hex digits."""

    live: SessionInfo | None
    """The session as it is; None when it has ended."""

    steps: tuple[Step, ...]
    """Oldest first. What is older than the ring has fallen out of it."""

    ended: str | None
    """The kind of its end; None while it is live, and where the ring does not know."""

    why: str
    """Why it ended, or how long it has to live, as a sentence."""


def tell(client: SessionClient, sid: str, *, live: SessionInfo | None = None) -> Story:
    """The story of a session. ``live``: the session, where the caller has it already.

    Raises ConfigurationError on the actor lane.
    """
    store = store_of(client)
    if live is None:
        record = store.session(sid)
        live = None if record is None else record.info()
    events = [event for _, event in store.history(sid=sid)]
    steps = [_step(event) for event in events]
    if live is not None and not any(each.kind == "created" for each in steps):
        steps.insert(0, Step(live.created_at, _BEGAN, "began, signed in as nobody"))
    end = _end_of(events) if live is None else None
    return Story(
        sid=sid,
        live=live,
        steps=tuple(sorted(steps, key=lambda each: each.at)),
        ended=None if end is None else end.kind,
        why=_why(end, live, client.clock.now()),
    )


def sid_of(client: SessionClient, handle: str) -> str:
    """The sid that a handle means, of a live session, or of one that the rings know.

    Raises HandleUnknown, HandleAmbiguous, what the store raises, and ConfigurationError on the actor lane.
    """
    return resolve(client, handle, ended=ended_sids(client, handle) if is_handle(handle) else ())


def ended_sids(client: SessionClient, digits: str) -> list[str]:
    """The sids in the rings that begin so, of sessions that have ended, too: for handles of what is not live."""
    return list(dict.fromkeys(event.sid for _, event in store_of(client).history(sid=digits.lower())))


@dataclass(frozen=True)
class Ended:
    """A session of somebody that has ended."""

    sid: str
    """32 hex digits."""

    handle: str
    """Its shortest handle among those that ended."""

    at: int
    """When, microseconds UTC."""

    kind: str
    """``deleted``, ``revoked``, ``evicted``, ``expired``, ..."""

    why: str
    """Why, as half a sentence."""


def ended_of(client: SessionClient, user: str) -> list[Ended]:
    """The sessions of a user that have ended, the last one first, as far as the ring remembers."""
    ends = {event.sid: event for _, event in store_of(client).history(principal=user) if is_end(event.kind)}
    handles = shortened(ends)
    found = [Ended(sid, handles[sid], event.at, event.kind, why_ended(event)) for sid, event in ends.items()]
    return sorted(found, key=lambda each: -each.at)


def why_ended(event: AuditEvent) -> str:
    """The reason that an event of an end tells of, as half a sentence."""
    told = _ENDED.get(event.kind, f"of {event.kind!r}")
    by = event.detail.get("by")
    reason = event.detail.get("why")
    return told + (f" by {printable(str(by))}" if by else "") + (f" ({printable(str(reason))})" if reason else "")


def is_end(kind: str) -> bool:
    """Whether events of this kind tell of the end of a session."""
    return kind in _ENDED


def _end_of(events: Iterable[AuditEvent]) -> AuditEvent | None:
    ends = [each for each in events if is_end(each.kind)]
    return ends[-1] if ends else None


def _step(event: AuditEvent) -> Step:
    words = _STEPS.get(event.kind) or (f"ended: {why_ended(event)}" if is_end(event.kind) else event.kind)
    if event.kind in {"created", "login"}:
        words += f" as {printable(event.principal)}" if event.principal else ""
    return Step(event.at, event.kind, words, event.principal, event.detail)


def _why(end: AuditEvent | None, live: SessionInfo | None, now: int) -> str:
    if live is not None:
        return f"it is live, and ends in {duration((live.expires_at - now) / SECOND)} if it is not used"
    if end is None:
        return (
            "it has ended, and the audit ring does not say why: nobody was signed in and its lifetime was over, or it "
            "is longer ago than the ring remembers"
        )
    ago = duration((now - end.at) / SECOND)
    return f"it ended {ago} ago: {why_ended(end)}"
