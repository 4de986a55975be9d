"""What the follower asks of Redis: the beat of each log, and what was written since; as generators, like the verbs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from coatcheck.redis.calls import Ask, Call, Command, Flow, Many
from coatcheck.redis.draft import LOG_KEPT, LOG_LENGTH
from coatcheck.redis.layout import TAGS, Layout
from coatcheck.redis.positions import packed_position, text_of
from coatcheck.redis.scripts import BEAT
from coatcheck.redis.shared.hearing import Event

BEAT_EVERY: Final = 400
"""Milliseconds between two beats of a log, whichever host writes them."""

AT_ONCE: Final = 1000
"""Events of one tag that are read in one piece."""


class Beat(NamedTuple):
    """The state of a log."""

    incarnation: bytes
    """Which life of it this is."""
    first: bytes
    """Its first event."""
    last: bytes
    """Its last event."""
    now: int
    """The clock of Redis, in milliseconds."""


def beats(layout: Layout, now: int) -> Flow[list[Beat]]:
    """See that every log can be written, and how each is."""
    calls = [
        Call(
            BEAT,
            (layout.log(tag), layout.incarnation(tag)),
            (secrets.token_bytes(16), BEAT_EVERY, LOG_KEPT, LOG_LENGTH, now),
        )
        for tag in TAGS
    ]
    found = []
    for name, first, last, milliseconds in (yield Many(calls)):
        found.append(Beat(name, packed_position(first), packed_position(last), int(milliseconds)))
    return found


def masters() -> Flow[frozenset[bytes]]:
    """Names of the histories that the servers have; empty where they do not tell.

    A server that was started again, or a replica that has become the master, has another: it may lack what was written
    last.
    """
    known = set()
    for server in (yield Ask("INFO", ("replication",))):
        name = (server or {}).get("master_replid")
        if name:
            known.add(str(name).encode())
    return frozenset(known)


def written_since(layout: Layout, positions: Sequence[bytes], wait: int | None) -> Flow[list[list[Event]]]:
    """What each log has after these positions, at most :data:`AT_ONCE` events of each.

    ``wait``: milliseconds to wait for something to be there, which only one server for all can.
    """
    logs = [layout.log(tag) for tag in TAGS]
    if wait is None:
        calls = [
            Command("XRANGE", (log, b"(" + text_of(position), b"+", b"COUNT", AT_ONCE))
            for log, position in zip(logs, positions, strict=True)
        ]
        return [[_event(*each) for each in found] for found in (yield Many(calls))]
    blocking = (b"BLOCK", wait) if wait else ()
    reply = yield Command(
        "XREAD", (b"COUNT", AT_ONCE, *blocking, b"STREAMS", *logs, *(text_of(position) for position in positions))
    )
    found = dict(reply.items() if isinstance(reply, dict) else reply or ())
    return [[_event(*each) for each in _flat(found.get(log, ()))] for log in logs]


def _flat(entries: Any) -> Any:
    """The events of a log, in either protocol: the newer one has them in a list of their own."""
    return entries[0] if entries and isinstance(entries[0], list) else entries


def _event(name: bytes, fields: Mapping[bytes, bytes]) -> Event:
    return Event.read(packed_position(name), fields)
