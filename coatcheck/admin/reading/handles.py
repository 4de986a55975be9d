"""Handles: a session is called by the first 8 or more hex digits of its sid, as many as no other one begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.contract import SessionInfo

SHORTEST: Final = 8
"""Hex digits of a handle; more where they fit several sessions."""

LONGEST: Final = 32
"""Hex digits of a sid."""

_NAMED: Final = 5


class HandleUnknown(CoatcheckError):
    """No session fits a handle, or it is none; ``handle`` is what was given."""

    def __init__(self, handle: str, message: str | None = None) -> None:
        super().__init__(
            message
            or f"no session fits {handle!r}: use {SHORTEST} to {LONGEST} hex digits of a sid, as lists of sessions show"
        )
        self.handle = handle


class HandleAmbiguous(HandleUnknown):
    """Several sessions fit a handle; ``fitting`` has longer ones that tell them apart, five at most."""

    def __init__(self, handle: str, fitting: Sequence[str]) -> None:
        super().__init__(handle, f"several sessions fit {handle!r}: say which of {', '.join(fitting)}")
        self.fitting = tuple(fitting)


def is_handle(text: str, shortest: int = SHORTEST) -> bool:
    """Whether this is 8 to 32 hex digits."""
    return shortest <= len(text) <= LONGEST and not set(text.lower()) - set("0123456789abcdef")


def resolve(client: SessionClient, handle: str, *, ended: Iterable[str] = ()) -> str:
    """The sid that a handle means: of a live session, or of one of the sids ``ended``.

    Raises HandleUnknown, HandleAmbiguous, and what the store raises.
    """
    if not is_handle(handle):
        raise HandleUnknown(handle)
    wanted = handle.lower()
    found = {info.sid for info in islice(beginning_with(client, wanted), _NAMED)}
    return _only(handle, found | {sid for sid in ended if sid.startswith(wanted)})


def live(client: SessionClient, handle: str) -> SessionInfo:
    """The live session that a handle means. Raises HandleUnknown, HandleAmbiguous."""
    if not is_handle(handle):
        raise HandleUnknown(handle)
    return among(islice(beginning_with(client, handle), _NAMED), handle)


def among(sessions: Iterable[SessionInfo], handle: str) -> SessionInfo:
    """The one of these sessions that a handle means. Raises HandleUnknown, HandleAmbiguous."""
    known = {info.sid: info for info in sessions if is_handle(handle) and info.sid.startswith(handle.lower())}
    return known[_only(handle, set(known))]


def beginning_with(client: SessionClient, digits: str) -> Iterable[SessionInfo]:
    """The live sessions whose sid begins so, in order: only these are read."""
    first = int(digits.lower().ljust(LONGEST, "0"), 16)
    # One before the first that can be meant, for the scan begins behind it.
    for info in client.scan(after=None if first == 0 else f"{first - 1:032x}"):
        if not info.sid.startswith(digits.lower()):
            return
        yield info


def shortened(sids: Iterable[str]) -> dict[str, str]:
    """Each of these sids with its shortest handle that fits no other of them."""
    ordered = sorted(set(sids))
    short: dict[str, str] = {}
    for place, sid in enumerate(ordered):
        beside = ordered[max(0, place - 1) : place] + ordered[place + 1 : place + 2]
        shared = max((_common(sid, each) for each in beside), default=0)
        short[sid] = sid[: max(SHORTEST, shared + 1)]
    return short


def _only(handle: str, sids: set[str]) -> str:
    if not sids:
        raise HandleUnknown(handle)
    if len(sids) > 1:
        raise HandleAmbiguous(handle, sorted(shortened(sids).values())[:_NAMED])
    return sids.pop()


def _common(one: str, other: str) -> int:
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), LONGEST)
