"""Words for people: what an event means, and what a browser calls itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Meaning(NamedTuple):
    """How an event is shown."""

    title: str
    tone: str
    """``good``, ``plain``, ``warn`` or ``bad``: a class of the style sheet; the title says the same in words."""
    sign: str
    """One character, for those who look at the shape before they read."""
    why: str
    """A sentence about what has happened."""


_KINDS: Final = {
    "created": Meaning("Began", "plain", "+", "The browser had no session yet, and the application stored something."),
    "login": Meaning("Signed in", "good", "→", "The session was bound to a user and got a new token."),
    "rotated": Meaning("New token", "plain", "↻", "The same session under a new token; the old one opens nothing."),
    "deleted": Meaning("Ended by the application", "plain", "■", "A logout, or the application deleted the session."),
    "revoked": Meaning("Revoked", "warn", "✕", "Ended from outside: by an operator, or by the user on another device."),
    "evicted": Meaning("Evicted", "warn", "⇥", "The user had too many sessions; the oldest made room for a new one."),
    "expired": Meaning("Expired", "plain", "○", "Not used for longer than its idle lifetime, or older than allowed."),
    "refused": Meaning(
        "Tokens refused", "warn", "?", "Forged, replaced or of sessions long gone; counted by the minute."
    ),
    "write_dropped": Meaning("Write dropped", "warn", "↓", "A request was late: its session had ended."),
    "limit": Meaning("Limit hit", "warn", "≥", "A limit of the store, such as the size of a session, was reached."),
    "policy_changed": Meaning("Limits changed", "plain", "✎", "An operator gave the store other limits."),
    "backed_up": Meaning("Backed up", "plain", "⇩", "The store was copied."),
    "restored": Meaning("Restored", "warn", "⇧", "A backup took the place of the store."),
    "compacted": Meaning("Compacted", "plain", "⇲", "The data file was written anew, without its free pages."),
    "swept": Meaning("Swept by hand", "plain", "~", "An operator had expired sessions removed."),
    "data_viewed": Meaning("Data viewed", "warn", "◉", "An operator looked at the data of a session."),
}
_REFUSED: Final = ("refused", "write_dropped", "limit")
_BROWSERS: Final = (
    ("Edge", "Edg"), ("Opera", "OPR/"), ("Samsung Internet", "SamsungBrowser"), ("Firefox", "Firefox/"),
    ("Firefox", "FxiOS"), ("Chrome", "CriOS"), ("Chromium", "Chromium"), ("Chrome", "Chrome/"), ("Safari", "Safari/"),
    ("curl", "curl/"), ("wget", "Wget"), ("Python", "python-"), ("Python", "Python-"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("macOS", "Mac OS X"),
    ("ChromeOS", "CrOS"), ("Linux", "Linux"),
)  # fmt: skip
_WORDS: Final = re.compile(r"[-_]+")


def event(kind: str) -> Meaning:
    """What an event of this kind means; a kind that is not known here is shown by its name."""
    known = _KINDS.get(kind)
    return known or Meaning(_WORDS.sub(" ", kind).strip().capitalize() or "Event", "plain", "•", "")


def device(meta: Mapping[str, Any]) -> str:
    """The label that the application gave, or what the user agent says: ``Firefox on Linux``; empty: nothing known."""
    label = meta.get("label")
    if isinstance(label, str) and label:
        return label
    agent = meta.get("user_agent")
    if not isinstance(agent, str) or not agent:
        return ""
    browser = next((name for name, mark in _BROWSERS if mark in agent), "")
    system = next((name for name, mark in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if browser and system else browser or system or agent[:40]


def address(meta: Mapping[str, Any]) -> str:
    """The address that the application noted; empty: none."""
    ip = meta.get("ip")
    return ip if isinstance(ip, str) else ""


def kinds(*, refused: bool) -> dict[str, str]:
    """The kinds of one ring, and what they are called."""
    return {kind: each.title for kind, each in _KINDS.items() if (kind in _REFUSED) == refused}
