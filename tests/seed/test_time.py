"""Expiry and cleanup: rows B1 to B5, B7, B20, B22 of the table in this package."""

from __future__ import annotations

from pathlib import Path

from coatcheck.changes import Set
from coatcheck.clock import SECOND
from coatcheck.lifetimes import DAY, HOUR, Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.support.processes import await_that

A_DAY = Lifetimes(idle=DAY, absolute=None)


def test_b1_a_touch_through_load_is_stored(store: LmdbStore, clock: FakeClock) -> None:
    """Loaded at 23 hours, a session of 24 hours is there at 25 hours, and nobody had to save it."""
    token, _ = store.create({"a": 1}, lifetimes=A_DAY)
    clock.advance(23 * HOUR)
    assert store.load(token) is not None
    clock.advance(2 * HOUR)

    assert store.load(token) is not None


def test_b2_cleanup_removes_no_live_session(store: LmdbStore, clock: FakeClock) -> None:
    """Saved, saved again later, and swept at its first deadline: it is still there."""
    token, first = store.create({"a": 1}, lifetimes=A_DAY)
    clock.advance(23 * HOUR)
    store.save(token, [Set("a", 2)])
    clock.until(first.expires_at)

    report = store.sweep()

    assert (report.removed, report.refiled) == (0, 1)
    record = store.load(token)
    assert record is not None
    assert record.data == {"a": 2}


def test_b3_cleanup_removes_nothing_that_came_after_a_delete(store: LmdbStore, clock: FakeClock) -> None:
    """A session made after a delete is not swept at the time of the deleted one."""
    token, first = store.create({"n": 1}, lifetimes=A_DAY)
    clock.advance(HOUR)
    store.delete(token)
    again, _ = store.create({"n": 2}, lifetimes=A_DAY)
    clock.until(first.expires_at)

    assert store.sweep().removed == 0

    assert store.load(again) is not None


def test_b4_the_index_has_one_entry_a_session(store: LmdbStore, clock: FakeClock) -> None:
    """However often a session is saved, touched and extended, the indexes stay as large as they were."""
    token, _ = store.create({}, lifetimes=A_DAY)
    before = store.check().entries

    for number in range(500):
        clock.advance(60)
        store.save(token, [Set("n", number)])
        store.load(token)

    assert store.check().entries == before
    with store._read() as transaction:
        assert transaction.stat(store._tables.expiry)["entries"] == 1


def test_b5_expired_sessions_go_by_themselves(home: Path, clock: FakeClock) -> None:
    """Nobody calls sweep, no actor system runs: a process that writes removes what has expired."""
    store = LmdbStore(Settings(home=home), clock=clock)
    for number in range(20):
        store.create({"n": number}, lifetimes=A_DAY)
    clock.advance(DAY)

    await_that(lambda: store.stats().sessions == 0, "the expired sessions are gone", timeout=15)

    assert store.check().problems == ()
    store.close()


def test_b7_a_session_keeps_its_own_lifetime(store: LmdbStore, clock: FakeClock) -> None:
    """Fifteen minutes stay fifteen minutes after a load, and thirty days stay thirty days."""
    short, _ = store.create({}, lifetimes=Lifetimes(idle=900, absolute=None))
    long, _ = store.create({}, lifetimes=Lifetimes(idle=30 * DAY, absolute=None))
    clock.advance(600)
    for token, idle in ((short, 900.0), (long, 30 * DAY)):
        record = store.load(token)
        assert record is not None
        assert record.expires_at == clock.now() + round(idle) * SECOND
    clock.advance(900)

    assert store.load(short) is None
    assert store.load(long) is not None


def test_b20_load_and_sweep_agree_on_the_deadline(store: LmdbStore, clock: FakeClock) -> None:
    """A microsecond before the deadline both leave the session alone, at the deadline both say that it is over."""
    token, record = store.create({}, lifetimes=A_DAY)
    clock.until(record.expires_at - 1)
    assert store.load(token, touch=False) is not None
    assert store.sweep().removed == 0
    clock.until(record.expires_at)

    assert store.load(token) is None
    assert store.sweep().removed == 1


def test_b22_a_wall_clock_that_jumps_ends_nothing(store: LmdbStore, clock: FakeClock) -> None:
    """The clock can be held by a test; one that jumps forward sweeps nothing, one that goes back revives nothing."""
    kept, _ = store.create({}, lifetimes=A_DAY)
    short, _ = store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)
    assert store.sweep().removed == 1

    clock.step(365 * DAY)
    assert store.sweep().held
    clock.step(-366 * DAY)

    assert store.load(short) is None
    clock.step(DAY)
    assert store.load(kept) is not None
