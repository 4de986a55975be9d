"""What the probing applications do with their sessions, whatever framework they are written for.

An action is a generator, so that each application can wait in its own way: it yields seconds to be slept, or
:data:`TAKE`, for which it is sent the flashes. It returns what the page shows; a number is a status.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from coatcheck.session import Session

TAKE = "take"
Query = dict[str, str]
Action = Generator[Any, Any, Any]


def nothing(session: Callable[[], Session], query: Query) -> Action:
    """Does not use the session."""
    yield 0
    return "untouched"


def read(session: Callable[[], Session], query: Query) -> Action:
    """All of it."""
    yield 0
    found = session()
    return {"data": dict(found), "sid": found.sid, "principal": found.principal, "pid": os.getpid()}


def look(session: Callable[[], Session], query: Query) -> Action:
    """Reads one key, or only whether it is there, or how many there are."""
    yield 0
    found = session()
    how = query.get("how", "get")
    return {"value": query["key"] in found if how == "in" else len(found) if how == "len" else found.get(query["key"])}


def put(session: Callable[[], Session], query: Query) -> Action:
    """Sets what the query says, as texts; with a pause between reading and writing."""
    found = session()
    len(found)
    yield float(query.get("pause", 0))
    for key, value in query.items():
        if key != "pause":
            found[key] = value
    return "stored"


def count(session: Callable[[], Session], query: Query) -> Action:
    """Increments a key, appends to another."""
    yield 0
    session().increment("count")
    session().append("seen", query["item"])
    return "counted"


def flash(session: Callable[[], Session], query: Query) -> Action:
    """Flashes."""
    yield float(query.get("pause", 0))
    session().flash(query["text"])
    return "flashed"


def show(session: Callable[[], Session], query: Query) -> Action:
    """Shows flashes."""
    session()
    taken = yield TAKE
    return {"flashes": [each.message for each in taken]}


def login(session: Callable[[], Session], query: Query) -> Action:
    """Binds the session; with a pause before its answer."""
    session().login(query["name"])
    yield float(query.get("pause", 0))
    return "welcome"


def renew(session: Callable[[], Session], query: Query) -> Action:
    """A new token, with a grace for those that are under way."""
    session().rotate(grace=float(query["grace"]))
    yield float(query.get("pause", 0))
    return "renewed"


def logout(session: Callable[[], Session], query: Query) -> Action:
    """Ends it."""
    yield 0
    session().logout()
    return "bye"


def slow(session: Callable[[], Session], query: Query) -> Action:
    """Has used the session, waits for a file to appear, and ends; ``write`` makes it write then."""
    found = session()
    len(found)
    Path(query["began"]).touch()
    for _ in range(4000):
        if Path(query["go"]).exists():
            break
        yield 0.005
    if "write" in query:
        found["late"] = "written"
        found.flash("late")
    return "slow"


def fail(session: Callable[[], Session], query: Query) -> Action:
    """Takes flashes and writes, then fails: by an exception, or with the status that the query names."""
    found = session()
    yield TAKE
    found["failed"] = 1
    found.flash("own")
    if "status" in query:
        return int(query["status"])
    msg = "as it was told to"
    raise LookupError(msg)


ACTIONS: dict[str, Callable[[Callable[[], Session], Query], Action]] = {
    each.__name__: each for each in (read, look, put, count, flash, show, login, renew, logout, slow, fail)
}
ACTIONS["untouched"] = nothing
