"""What a response says about its session: whether it brings a token, until when, and what it varies by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal

from coatcheck.clock import NEVER, SECOND
from coatcheck.cookies import LONGEST

if TYPE_CHECKING:
    from coatcheck.session import Session

RETRY_AFTER: Final = 5
"""Seconds after which a client may ask again, in the answer to an outage of the store."""


def token_action(session: Session, refreshes: Callable[[], bool]) -> Literal["set", "remove", "leave"]:
    """What the response does with the browser's token, once the session is committed.

    ``refreshes`` says whether to send a token again that has not changed; it is asked only where that is possible.
    """
    action = session.cookie
    # Only a response that owns the token may repeat it: another one may have brought a newer one meanwhile.
    if action == "leave" and session.is_stored and refreshes() and session.owns_token():
        return "set"
    if action == "set" and session.token is None:
        return "remove"
    return action


def ends_at(session: Session, now: int) -> int:
    """When the session ends however much it is used, microseconds UTC; at most as far away as a cookie may live."""
    ends = session.absolute_expires_at
    return min(NEVER if ends is None else ends, now + LONGEST * SECOND)


def outlives_its_cookie(session: Session, now: int) -> bool:
    """Whether the session may live longer than browsers keep a cookie."""
    ends = session.absolute_expires_at
    return ends is None or ends > now + LONGEST * SECOND


def max_age(session: Session, now: int) -> int:
    """The same as seconds from now, rounded up: a cookie does not end before its session."""
    return math.ceil((ends_at(session, now) - now) / SECOND)


def vary_by(name: str, present: Iterable[str]) -> str | None:
    """The value of one ``Vary`` header: what those ``present`` have, and ``name``; None: they have it already."""
    names = [each.strip() for value in present for each in value.split(",") if each.strip()]
    if "*" in names or name.lower() in {each.lower() for each in names}:
        return None
    return ", ".join([*names, name])
