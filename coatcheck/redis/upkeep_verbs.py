"""The sweep: Redis forgets what expires by itself; this tells of it, tidies the indexes, and goes by our clock."""

from __future__ import annotations

import time
from typing import Any, Final

from coatcheck.errors import CorruptRecord
from coatcheck.redis.base import Place
from coatcheck.redis.calls import SLACK, Command, Flow, Many, Write, was_done
from coatcheck.redis.changing import Changes, Done
from coatcheck.redis.draft import note
from coatcheck.redis.layout import TAGS
from coatcheck.redis.rest import View, view_of
from coatcheck.store.clock_guard import agrees
from coatcheck.store.contract import CleanupReport
from coatcheck.store.opener import boot_id
from coatcheck.store.tables import EXPIRED

BATCH: Final = 100
"""Sessions of one tag looked at in one round trip."""

_CLOCK_KEPT: Final = 30 * 24 * 3600 * 1000


class UpkeepVerbs(Changes):
    """``sweep``."""

    def sweep(self, limit: int = 1000) -> Flow[CleanupReport]:
        """Remove what is expired now; see the contract."""
        yield from self.opened()
        started = time.perf_counter()
        now = self._now()
        if not (yield from self._believed(now)):
            return CleanupReport(held=True)
        removed = forgotten = 0
        for tag in TAGS:
            while (left := limit - removed - forgotten) > 0:
                most = min(left, BATCH)
                due = yield Command("ZRANGEBYSCORE", (self.layout.expiry(tag), "-inf", now, "LIMIT", 0, most))
                removed += yield from self._remove(tag, [bytes.fromhex(each.decode()) for each in due], now)
                if len(due) < most:
                    break
            if (left := limit - removed - forgotten) > 0:
                forgotten += yield from self._forget(tag, left, now)
        counts = yield Many([Command("ZCOUNT", (self.layout.expiry(tag), "-inf", now)) for tag in TAGS])
        counts += yield Many([Command("ZCOUNT", (self.layout.buried(tag), "-inf", now)) for tag in TAGS])
        return CleanupReport(removed, 0, forgotten, more=any(counts), seconds=time.perf_counter() - started)

    def _remove(self, tag: str, sids: list[bytes], now: int) -> Flow[int]:
        """End what is due, or what Redis has forgotten already; how many."""
        if not sids:
            return 0
        replies = yield Many([self.look(Place(tag, sid=sid)) for sid in sids])
        writes = []
        for sid, reply in zip(sids, replies, strict=True):
            done = self._expired(tag, sid, view_of(reply, sid), now)
            assert done.write is not None
            writes.append(done.write.call())
        answers = yield Many(writes)
        self.counters["swept"] += sum(was_done(answer) for answer in answers)
        return len(sids)

    def _expired(self, tag: str, sid: bytes, view: View, now: int) -> Done:
        place = Place(tag, sid=sid)
        if view.session is None:
            write = Write(self.look(place))
            write.guard("absent", self.layout.session(sid))
            write.unfile(self.layout.expiry(tag), sid.hex().encode(), now)
            write.run("FILE", self.layout.bound(tag), now, SLACK)
            note(write, self.layout, tag, "expired", sid, now)
            return Done(None, write)
        try:
            draft = self.draft_of(view.session)
        except CorruptRecord:
            return Done(None, self.end_damaged(place, view.session, now, "expired"))
        write = self.writing(place, draft, ends=True)
        if draft.deadline <= now:
            self.end(write, draft, EXPIRED, now, "expired")
        else:
            draft.saved(write, self.layout, now, "filed")
        return Done(None, write)

    def _forget(self, tag: str, limit: int, now: int) -> Flow[int]:
        """Forget tokens whose time is over, which Redis does too."""
        buried = self.layout.buried(tag)
        due = yield Command("ZRANGEBYSCORE", (buried, "-inf", now, "LIMIT", 0, limit))
        if due:
            keys = [self.layout.token(tag, bytes.fromhex(each.decode())) for each in due]
            yield Many([Command("DEL", tuple(keys)), Command("ZREM", (buried, *due))])
        return len(due)

    def _believed(self, now: int) -> Flow[bool]:
        """Whether the clocks of this host have run side by side since the last sweep from it."""
        boot = boot_id()
        key = self.layout.of_tag("0") + b"clock:" + boot.hex().encode()
        kept = _Kept((yield Command("GET", (key,))))
        believed = agrees(kept, kept, now, self.clock.boottime())  # type: ignore[arg-type]
        if kept.changed:
            assert kept.value is not None
            yield Command("SET", (key, kept.value, "PX", _CLOCK_KEPT))
        return believed


class _Kept:
    """What :mod:`coatcheck.store.clock_guard` remembers: the one row of it, in the place of a table."""

    meta = None

    def __init__(self, value: bytes | None) -> None:
        self.value = value
        self.changed = False

    def get(self, key: bytes, default: Any = None, *, db: Any) -> bytes | None:  # noqa: ARG002 - there is one row
        return self.value

    def put(self, key: bytes, value: bytes, *, db: Any) -> bool:  # noqa: ARG002 - there is one row
        self.value, self.changed = value, True
        return True
