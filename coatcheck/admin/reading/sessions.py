"""Pages of live sessions, in the order of their sid: a page begins behind a session, never at a number."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, Literal

from coatcheck.admin.reading.words import DEVICE
from coatcheck.clock import microseconds

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.contract import SessionInfo

State = Literal["signed-in", "anonymous"]

BUDGET: Final = 0.5
"""Seconds that a page may look for sessions that fit."""

_LOOK_EVERY: Final = 64


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which sessions to list. All that are given have to fit; times are microseconds UTC, durations seconds."""

    user: str | None = None
    """Bound to this principal. The only one with an index: nothing else is read then."""

    state: State | None = None
    """``signed-in``: bound to somebody; ``anonymous``: to nobody."""

    idle_for: float | None = None
    """Not used for at least so long (known to one touch interval)."""

    used_within: float | None = None
    """Used within so long."""

    created_after: int | None = None
    """Created at this moment or later."""

    created_before: int | None = None
    """Created before this moment."""

    ends_within: float | None = None
    """To end within so long if they are not used."""

    size_over: int | None = None
    """With more bytes of data and flashes than that."""

    device: str | None = None
    """With this text in label, ip or user agent, in whatever case."""

    meta: Mapping[str, str] = field(default_factory=dict)
    """For each name a text that the value in ``meta`` has in it, in whatever case; ``ip`` may be a network, such as
    ``10.0.0.0/8``."""

    def __post_init__(self) -> None:
        """Raise ValueError for a network that is none."""
        if "/" in self.meta.get("ip", ""):
            ip_network(self.meta["ip"], strict=False)

    def fit(self, info: SessionInfo, now: int) -> bool:
        """Whether a session fits at this moment."""
        return all(
            (
                self.user is None or info.principal == self.user,
                self.state is None or (info.principal is None) == (self.state == "anonymous"),
                self.idle_for is None or now - info.last_seen_at >= microseconds(self.idle_for),
                self.used_within is None or now - info.last_seen_at <= microseconds(self.used_within),
                self.created_after is None or info.created_at >= self.created_after,
                self.created_before is None or info.created_at < self.created_before,
                self.ends_within is None or info.expires_at - now <= microseconds(self.ends_within),
                self.size_over is None or info.size > self.size_over,
                self.device is None or any(_has(info.meta.get(name), self.device) for name in DEVICE),
                all(_fits(name, info.meta.get(name), text) for name, text in self.meta.items()),
            )
        )


EVERYTHING: Final = Filters()


@dataclass(frozen=True)
class Page:
    """Some sessions, and where the next page begins."""

    sessions: tuple[SessionInfo, ...]
    """In the order of their sid."""

    next_cursor: str | None
    """What the next page is asked for with; None when this was the last."""

    scanned: int
    """How many sessions were looked at."""

    stopped_at: str | None = None
    """Where the time was over before the page was full (a sid): go on with ``next_cursor``, or filter less."""


def page(
    client: SessionClient,
    *,
    cursor: str | None = None,
    limit: int = 50,
    filters: Filters = EVERYTHING,
    budget: float = BUDGET,
) -> Page:
    """At most ``limit`` live sessions behind ``cursor`` that fit.

    Filters other than ``user`` have no index: sessions are looked at one after the other, for at most ``budget``
    seconds, and then the page says where it stopped. Raises ValueError for a cursor or limit that cannot be, and what
    the store raises.
    """
    if limit < 1:
        msg = f"limit is {limit}: use 1 or more"
        raise ValueError(msg)
    if cursor is not None and (len(cursor) != 32 or set(cursor) - set("0123456789abcdef")):
        msg = f"{cursor!r} is no cursor: use the one of the page before, 32 hex digits"
        raise ValueError(msg)
    now, ends = client.clock.now(), time.monotonic() + budget
    found: list[SessionInfo] = []
    scanned = 0
    last = cursor
    for info in _candidates(client, filters.user, cursor):
        if len(found) == limit:
            return Page(tuple(found), last, scanned)
        if scanned and scanned % _LOOK_EVERY == 0 and time.monotonic() > ends:
            return Page(tuple(found), last, scanned, stopped_at=last)
        scanned += 1
        last = info.sid
        if filters.fit(info, now):
            found.append(info)
    return Page(tuple(found), None, scanned)


def every(client: SessionClient, filters: Filters = EVERYTHING) -> Iterator[SessionInfo]:
    """All live sessions that fit, however long that takes; no transaction is open between two of them."""
    now = client.clock.now()
    return (info for info in _candidates(client, filters.user, None) if filters.fit(info, now))


def _candidates(client: SessionClient, user: str | None, cursor: str | None) -> Iterator[SessionInfo]:
    if user is None:
        return client.scan(after=cursor)
    ordered = sorted(client.sessions_of(user), key=lambda info: info.sid)
    return (info for info in ordered if cursor is None or info.sid > cursor)


def _has(value: Any, text: str) -> bool:
    return value is not None and text.casefold() in str(value).casefold()


def _fits(name: str, value: Any, text: str) -> bool:
    if name == "ip" and "/" in text:
        try:
            return ip_address(str(value)) in ip_network(text, strict=False)
        except ValueError:
            return False
    return _has(value, text)
