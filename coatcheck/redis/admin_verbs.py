"""For the administrator: scan, stats, backup, compact, sync."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

from coatcheck.errors import StoreUnavailable
from coatcheck.redis.backup import into
from coatcheck.redis.base import Place
from coatcheck.redis.calls import Ask, Command, Flow, Many
from coatcheck.redis.check import CheckVerb
from coatcheck.redis.layout import TAGS, tag_of
from coatcheck.redis.rest import Session, view_of
from coatcheck.store.arguments import sid_bytes
from coatcheck.store.contract import SessionInfo, StoreStats

PAGE: Final = 100
SYNC_WITHIN: Final = 1500
"""How long a sync is waited for, in milliseconds: less than the usual deadline of a connection."""


class AdminVerbs(CheckVerb):
    """What looks at the whole store."""

    def sids(self, tag: str) -> Flow[list[bytes]]:
        """All sids of a tag, in order."""
        yield from self.opened()
        return [bytes.fromhex(each.decode()) for each in (yield from self.members(self.layout.expiry(tag)))]

    def pages(self, after: str | None) -> tuple[bytes, tuple[str, ...]]:
        """After which sid to begin, and the tags to go through."""
        start = b"" if after is None else sid_bytes(after)
        return start, TAGS if after is None else TAGS[TAGS.index(tag_of(start)) :]

    def sessions_at(self, sids: Sequence[bytes]) -> Flow[list[Session]]:
        """What is at rest of these, in order."""
        looks = yield Many([self.look(Place(tag_of(sid), sid=sid)) for sid in sids])
        views = [view_of(reply, sid) for sid, reply in zip(sids, looks, strict=True)]
        return [view.session for view in views if view.session is not None]

    def infos(self, sids: Sequence[bytes]) -> Flow[list[SessionInfo]]:
        """What others may know of the live ones of these."""
        return [each.info() for each in self.readable((yield from self.sessions_at(sids)))]

    def stats(self) -> Flow[StoreStats]:
        """Counts from the indexes, sizes as the servers tell them; see the contract."""
        yield from self.opened()
        now = self._now()
        layout = self.layout
        indexes = [name(tag) for name in (layout.expiry, layout.bound, layout.buried) for tag in TAGS]
        sizes = yield Many([Command("ZCARD", (key,)) for key in indexes])
        counts = [sum(sizes[start : start + len(TAGS)]) for start in range(0, len(sizes), len(TAGS))]
        due = sum((yield Many([Command("ZCOUNT", (layout.expiry(tag), "-inf", now)) for tag in TAGS])))
        first = yield Many([Command("ZRANGE", (layout.expiry(tag), 0, 0)) for tag in TAGS])
        firsts = [(layout.expiry(tag), each[0]) for tag, each in zip(TAGS, first, strict=True) if each]
        scores = (yield Many([Command("ZSCORE", each) for each in firsts])) if firsts else []
        events = sum((yield Many([Command("XLEN", (layout.log(tag),)) for tag in TAGS])))
        oldest = min([now, *(float(each) for each in scores if each is not None)])
        memory = _numbers((yield Ask("INFO", ("memory",))))
        clients = _numbers((yield Ask("INFO", ("clients",))))
        log = _numbers((yield Ask("INFO", ("persistence",))))
        used = int(memory.get("used_memory", 0))
        return StoreStats(
            sessions=counts[0],
            principals=counts[1],
            tokens=counts[0] + counts[2],
            due=due,
            oldest_due=(now - oldest) / 1e6,
            used_bytes=used,
            map_bytes=max(used, int(memory.get("maxmemory", 0) or memory.get("total_system_memory", 0))),
            file_bytes=int(log.get("aof_current_size", 0) or memory.get("used_memory_rss", 0)),
            readers=int(clients.get("connected_clients", 0)),
            audit_events=events,
            durability="commit" if (yield from self._always()) else "second",
            counters=dict(self.counters),
        )

    def _always(self) -> Flow[bool]:
        """Whether the servers sync each write before they confirm it."""
        replies = yield Ask("CONFIG", ("GET", "append*"))
        said = [_pairs(each) for each in replies if each is not None]
        return bool(said) and all(
            each.get("appendonly") == "yes" and each.get("appendfsync") == "always" for each in said
        )

    def backup(self, target: str | PathLike[str]) -> Flow[None]:
        """Write every live session into a new state directory; see the contract.

        Each session is as it was at one moment, not all of them at the same.
        """
        yield from self.opened()
        with into(target, self.settings, self.policy, self.clock) as keep:
            for tag in TAGS:
                sids = yield from self.sids(tag)
                for start in range(0, len(sids), PAGE):
                    there = yield from self.sessions_at(sids[start : start + PAGE])
                    keep(self.readable(there))

    def compact(self) -> Flow[tuple[int, int]]:
        """Have the servers give freed memory back; their resident bytes before and after."""
        before = _numbers((yield Ask("INFO", ("memory",))))
        yield Ask("MEMORY", ("PURGE",))
        after = _numbers((yield Ask("INFO", ("memory",))))
        return int(before.get("used_memory_rss", 0)), int(after.get("used_memory_rss", 0))

    def sync(self) -> Flow[None]:
        """Wait until what was confirmed is on the disk, where a server has an append-only file and can say so (7.2).

        Raises StoreUnavailable where that takes too long.
        """
        yield from self.opened()
        log = _numbers((yield Ask("INFO", ("persistence",))))
        if log.get("aof_enabled"):
            # It waits for what was written on its own connection before.
            mark = Command("HSET", (self.layout.meta, "synced", self._now()))
            for reply in (yield Ask("WAITAOF", (1, 0, SYNC_WITHIN), after=mark)):
                if reply is not None and reply[0] == 0:
                    msg = f"Redis has not written its log to the disk within {SYNC_WITHIN / 1000:g} s: look at its disk"
                    raise StoreUnavailable(msg)


def _pairs(reply: Any) -> dict[str, str]:
    """What CONFIG GET says, in either protocol."""
    items = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {_text(name): _text(value) for name, value in items}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _numbers(replies: list[Any]) -> dict[str, float]:
    """The numbers that INFO says, added up over all masters."""
    total: dict[str, float] = {}
    for reply in replies:
        for name, value in (reply or {}).items():
            if isinstance(value, (int, float)):
                total[name] = total.get(name, 0) + value
    return total
