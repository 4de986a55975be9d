"""The follower: hears what all hosts do, and keeps the copies of this one fresh.

One process of a host follows at a time. What it hears it applies together with its position; what it may have missed,
as after a long absence, or because Redis has lost it, makes all copies of a tag dirty until they are read again.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from coatcheck.clock import SystemClock
from coatcheck.errors import CoatcheckError, StoreUnavailable
from coatcheck.redis.base import Place, told
from coatcheck.redis.calls import Flow, Keep, Many
from coatcheck.redis.layout import TAGS, tag_of
from coatcheck.redis.positions import NOWHERE, milliseconds_of
from coatcheck.redis.rest import view_of
from coatcheck.redis.shared.beats import AT_ONCE, Beat, beats, masters, written_since
from coatcheck.redis.shared.hearing import BEAT, Event, begin_epoch, hear, stale_copies
from coatcheck.redis.shared.pulse import LIVE_FOR
from coatcheck.redis.shared.rows import tag_at
from coatcheck.store.transactions import Read, Write

if TYPE_CHECKING:
    from coatcheck.redis.driver import Driver
    from coatcheck.redis.shared.copies import Copies
    from coatcheck.redis.verbs import Verbs

BEAT_WITHIN: Final = 0.2
"""Seconds after which the logs are looked at again. Together with this what was heard is less than a second old."""

READ_AT_ONCE: Final = 200
"""Copies read again in one step."""

_WITHIN: Final = 1.0
_MASTERS: Final = b"heard:masters"
_LAGS: Final = 512

_boottime = SystemClock.boottime


@dataclass
class Step:
    """What one step has done."""

    events: int = 0
    """Events that were heard."""
    behind: bool = False
    """Whether there is more to be heard or read at once."""
    missed: int = 0
    """Tags of which something may have been missed."""
    read: int = 0
    """Copies that were read again."""
    lags: list[float] = field(default_factory=list)
    """Seconds from each event to its being heard, by the clock of Redis."""


class Follower:
    """Follows the logs for one host, step by step. For one thread at a time."""

    def __init__(self, copies: Copies, verbs: Verbs, driver: Driver) -> None:
        """``driver`` reaches Redis, ``verbs`` know where things lie there, ``copies`` are kept fresh."""
        self._copies, self._verbs, self._driver = copies, verbs, driver
        self._positions: list[bytes] = [NOWHERE] * len(TAGS)
        self._begun = False
        self._next_beat = 0.0
        self._beaten = 0
        self._offset = 0.0
        self._dirty: OrderedDict[bytes, None] = OrderedDict()
        self._walk: bytes | None = b""
        self._lags: list[float] = []
        self.counters: Counter[str] = Counter()
        """What it has done: ``events``, ``marked_dirty``, ``ended``, ``read_again``, ``missed``."""
        self.last_error: CoatcheckError | None = None
        """Why the last step failed, if it did."""

    # Steps -----------------------------------------------------------------------------------------------------

    def step(self, wait: float = 0.0) -> Step:
        """Hear what there is, waiting up to ``wait`` seconds for something; then read dirty copies again.

        Raises StoreUnavailable; the next step tries again, from where this one was.
        """
        done = Step()
        try:
            if not self._begun:
                self._begin()
            if time.monotonic() >= self._next_beat:
                self._beat(done)
            self._hear(done, wait)
            self._read_again(done)
        except CoatcheckError as error:
            self.last_error = error
            self._next_beat = 0.0
            raise
        self.last_error = None
        return done

    def _begin(self) -> None:
        """Go on from where the last follower of this host was."""
        copies = self._copies
        with Read(copies.environment) as transaction:
            tags = [tag_at(transaction, copies.environment.tables, tag) for tag in range(len(TAGS))]
        copies.pulse.begin()
        for number, tag in enumerate(tags):
            self._positions[number] = tag.position
            copies.pulse.set_epoch(number, tag.epoch)
        self._walk, self._next_beat, self._begun = b"", 0.0, True

    def _beat(self, done: Step) -> None:
        began, started = _boottime(), time.time()
        found = self._driver.run(beats(self._verbs.layout, self._verbs.clock.now()))
        self._offset = found[0].now / 1000 - (started + time.time()) / 2
        named = b" ".join(sorted(self._driver.run(masters())))
        copies = self._copies
        with Read(copies.environment) as transaction:
            tables = copies.environment.tables
            tags = [tag_at(transaction, tables, tag) for tag in range(len(TAGS))]
            known = transaction.get(_MASTERS, db=tables.meta)
        fresh = known is not None and not set(named.split()) <= set(known.split())
        missed = [
            number
            for number, beat in enumerate(found)
            if fresh or self._has_missed(number, beat, tags[number].incarnation)
        ]
        if missed or named != known:
            self._begin_epochs(missed, found, named)
            done.missed = len(missed)
        self._next_beat, self._beaten = time.monotonic() + BEAT_WITHIN, began

    def _has_missed(self, number: int, beat: Beat, incarnation: bytes) -> bool:
        position = self._positions[number]
        return beat.incarnation != incarnation or position < beat.first or position > beat.last

    def _begin_epochs(self, missed: list[int], found: list[Beat], named: bytes) -> None:
        copies = self._copies
        with Write(copies.environment, _WITHIN) as transaction:
            tables = copies.environment.tables
            transaction.put(_MASTERS, named, db=tables.meta)
            epochs = {
                number: begin_epoch(transaction, tables, number, found[number].last, found[number].incarnation)
                for number in missed
            }
        for number, epoch in epochs.items():
            copies.pulse.set_epoch(number, epoch)
            copies.pulse.add_news(number)
            self._positions[number] = found[number].last
        if missed:
            # What was settled with a Redis that has lost its data is settled anew.
            self._verbs.forget()
            self._driver.run(self._verbs.opened())
            self._walk = b""
            self._dirty.clear()
            self.counters["missed"] += len(missed)

    def _hear(self, done: Step, wait: float) -> None:
        milliseconds = None if self._driver.is_cluster else int(wait * 1000)
        asked = _boottime()
        found = self._driver.run(written_since(self._verbs.layout, self._positions, milliseconds))
        if _boottime() - self._beaten > LIVE_FOR:
            # Stopped in between: events may have fallen out of the logs since it was looked whether they have.
            self._next_beat, done.behind = 0.0, True
            return
        if milliseconds and not any(found):
            # Nothing until now: while it waited, it would have heard. But an answer may have been on its way.
            asked = max(asked, _boottime() - 1000 * milliseconds)
        if any(event.kind != BEAT for events in found for event in events):
            self._apply(found, done)
        for number, events in enumerate(found):
            if events:
                self._positions[number] = events[-1].position
            if len(events) < AT_ONCE:
                self._copies.pulse.heard(number, asked)
            else:
                done.behind = True

    def _apply(self, found: list[list[Event]], done: Step) -> None:
        copies = self._copies
        with Write(copies.environment, _WITHIN) as transaction:
            heard = {
                number: hear(transaction, copies.environment.tables, number, events)
                for number, events in enumerate(found)
                if events
            }
        now = time.time() + self._offset
        for number, each in heard.items():
            if each.news:
                copies.pulse.add_news(number)
            self._dirty.update(dict.fromkeys(each.dirty))
            self.counters["marked_dirty"] += len(each.dirty)
            self.counters["ended"] += each.ended
            events = [event for event in found[number] if event.kind != BEAT]
            done.events += len(events)
            done.lags += [max(0.0, now - milliseconds_of(event.position) / 1000) for event in events]
        self.counters["events"] += done.events
        self._lags = (self._lags + done.lags)[-_LAGS:]

    # Reading again ---------------------------------------------------------------------------------------------

    def _read_again(self, done: Step) -> None:
        """Read dirty copies, those first that have just changed."""
        sids = [self._dirty.popitem(last=False)[0] for _ in range(min(len(self._dirty), READ_AT_ONCE))]
        if not sids and self._walk is not None:
            with Read(self._copies.environment) as transaction:
                tables = self._copies.environment.tables
                sids, self._walk = stale_copies(transaction, tables, self._walk, READ_AT_ONCE)
        if sids:
            epochs = self._copies.epochs()
            try:
                said = self._driver.run(self._look(sids))
            except StoreUnavailable:
                self._walk = b""
                raise
            self._copies.keep(said, epochs)
            self.counters["read_again"] += len(sids)
            done.read = len(sids)
        done.behind = done.behind or bool(self._dirty) or self._walk is not None

    def _look(self, sids: list[bytes]) -> Flow[list[Keep]]:
        places = [Place(tag_of(sid), sid=sid) for sid in sids]
        replies = yield Many([self._verbs.look(place) for place in places])
        return [told(place, view_of(reply, place.sid)) for place, reply in zip(places, replies, strict=True)]

    # What is told of it ----------------------------------------------------------------------------------------

    @property
    def lag(self) -> tuple[float, float]:
        """Of the last events the median and the worst seconds from their being written to being heard."""
        lags = sorted(self._lags)
        return (lags[len(lags) // 2], lags[-1]) if lags else (0.0, 0.0)

    def leave(self) -> None:
        """Follow no more: what is kept ages from now on, and the next step begins anew."""
        self._begun = False
