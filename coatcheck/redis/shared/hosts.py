"""What each host tells of itself, in Redis, so that every one can say how all are doing."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack

from coatcheck.redis.calls import Command, Flow

if TYPE_CHECKING:
    from coatcheck.redis.shared.follower import Follower
    from coatcheck.redis.shared.store import CachedStore

FORGOTTEN_AFTER: Final = 24 * 3600
"""Seconds after which a host that is silent is not spoken of any more."""


@dataclass(frozen=True)
class HostReport:
    """How a host was doing when it last said so."""

    name: str
    """The host, and its state directory."""
    at: float
    """When it said so, seconds UTC by its own clock."""
    pid: int
    """The process that follows."""
    lag: float
    """Of the last events: the median of the seconds from their being written to being heard."""
    worst_lag: float
    """The longest of them."""
    events: int
    """Events heard since that process follows."""
    marked_dirty: int
    """Copies that others have changed."""
    read_again: int
    """Copies that were read again."""
    missed: int
    """How often something may have been missed, each tag by itself."""
    copies: int
    """Copies it has."""

    @property
    def silent_for(self) -> float:
        """Seconds since it said so."""
        return max(0.0, time.time() - self.at)


def name_of(store: CachedStore) -> str:
    """What names this host among the others."""
    return f"{socket.gethostname()}:{store.settings.home}"


def report_of(store: CachedStore, follower: Follower) -> HostReport:
    """How this host is doing."""
    lag, worst = follower.lag
    counters = follower.counters
    return HostReport(
        name=name_of(store),
        at=time.time(),
        pid=os.getpid(),
        lag=round(lag, 4),
        worst_lag=round(worst, 4),
        events=counters["events"],
        marked_dirty=counters["marked_dirty"],
        read_again=counters["read_again"],
        missed=counters["missed"],
        copies=store.local.count(),
    )


def report(store: CachedStore, follower: Follower) -> Flow[None]:
    """Say so."""
    mine = report_of(store, follower)
    yield Command("HSET", (store.verbs.layout.hosts, mine.name, msgpack.packb(asdict(mine))))


def reports(store: CachedStore) -> Flow[list[HostReport]]:
    """What all hosts have said, by name; those that are gone for a day are forgotten."""
    stored = yield Command("HGETALL", (store.verbs.layout.hosts,))
    found = dict(zip(stored[::2], stored[1::2], strict=True)) if isinstance(stored, list) else stored
    known: list[HostReport] = []
    for name, packed in found.items():
        told: dict[str, Any] = msgpack.unpackb(packed)
        each = HostReport(**{field: told.get(field, 0) for field in HostReport.__dataclass_fields__})
        if each.silent_for > FORGOTTEN_AFTER:
            yield Command("HDEL", (store.verbs.layout.hosts, name))
        else:
            known.append(each)
    return sorted(known, key=lambda each: each.name)
