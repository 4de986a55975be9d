"""The duties: one process at a time has them, and takes them over from one that died."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from coatcheck.changes import Increment
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.synced import read_synced
from coatcheck.testing import FakeClock
from tests.support.processes import Job, await_that

SHORT = Lifetimes(idle=60, absolute=None)
THREAD = "coatcheck-upkeep"


def upkeep_threads() -> int:
    """How many upkeep threads this process has."""
    return sum(each.name == THREAD for each in threading.enumerate())


def test_the_duty_is_one_processs(home: Path, store: LmdbStore) -> None:
    """While another process has the duty nobody else gets it; when that one is killed the next one does."""
    with Job("hold_duty", home) as job:
        job.expect("True")
        assert store.upkeep.acquire() is False
        assert store.upkeep.acquire() is False
        job.kill()

    assert store.upkeep.acquire() is True
    assert store.upkeep.acquire() is True
    with Job("hold_duty", home) as job:
        job.expect("False")
    store.upkeep.release()
    store.upkeep.release()
    with Job("hold_duty", home) as job:
        job.expect("True")


def test_a_process_takes_over_the_sweep(home: Path, tmp_path: Path) -> None:
    """The process that swept is killed: another one that writes goes on with it, and nobody has to do anything."""
    clock = FakeClock(tmp_path / "clock")
    store = LmdbStore(Settings(home=home, clock=clock.setting))
    with Job("hold_duty", home) as job:
        job.expect("True")
        store.create({}, lifetimes=SHORT)
        clock.advance(60)
        assert store.upkeep.acquire() is False
        job.kill()

        await_that(lambda: store.stats().sessions == 0, "the sweep has been taken over", timeout=15)

    assert store.check().problems == ()
    store.close()


def test_the_thread_comes_with_a_write_and_goes_with_close(home: Path, clock: FakeClock) -> None:
    """The process that holds the sync point has a thread, and one that has written; a closed store has none."""
    before = upkeep_threads()
    store = LmdbStore(Settings(home=home), clock=clock)
    assert store.stats().sessions == 0
    assert upkeep_threads() == before + 1

    store.create({})
    store.create({})
    assert upkeep_threads() == before + 1
    store.close()
    assert upkeep_threads() == before

    store.create({})
    assert upkeep_threads() == before + 1
    store.close()
    assert upkeep_threads() == before


def test_no_thread_where_none_is_wanted(home: Path, clock: FakeClock) -> None:
    """With ``background=False`` somebody else drives the upkeep."""
    before = upkeep_threads()
    store = LmdbStore(Settings(home=home), clock=clock, background=False)
    store.create({}, lifetimes=SHORT)
    clock.advance(60)

    assert upkeep_threads() == before
    assert store.upkeep.acquire()
    store.upkeep.round()

    assert store.stats().sessions == 0
    store.close()
    with Job("hold_duty", home) as job:
        job.expect("True")


def test_dead_readers_are_found(home: Path, store: LmdbStore) -> None:
    """The slot of a process that was killed while it read is given back; that of a living one is not."""
    token, _ = store.create({})
    pins = store.stats().readers
    with Job("hold_read", home, token) as dead, Job("hold_read", home, token) as living:
        for job in (dead, living):
            job.expect("reading")
        assert store.stats().readers == pins + 2
        dead.kill()

        assert store.reader_check() == 1

        assert store.reader_check() == 0
        assert store.stats().readers == pins + 1
        living.say("leave")
        assert living.finish() == []
    assert store.stats().readers == pins


def test_sync_when_there_is_something(store: LmdbStore) -> None:
    """A sync is done after a commit, and skipped when there was none since."""
    store.create({})

    assert store.upkeep.sync() is True
    assert store.upkeep.sync() is False
    store.create({})
    assert store.upkeep.sync() is True


def test_writers_get_their_turn_during_a_sweep(home: Path, clock: FakeClock) -> None:
    """A mass expiry is swept in small batches: somebody else's save never waits long for its turn."""
    store = LmdbStore(Settings(home=home), clock=clock, background=False)
    for number in range(4000):
        store.create({"n": number}, lifetimes=SHORT)
    token, _ = store.create({}, lifetimes=Lifetimes(idle=3600, absolute=None))
    clock.advance(60)
    done = threading.Event()
    removed = []

    def sweep() -> None:
        report = store.sweep(limit=100_000)
        removed.append(report.removed)
        done.set()

    thread = threading.Thread(target=sweep)
    thread.start()
    waits = []
    while not done.is_set():
        began = time.monotonic()
        store.save(token, [Increment("n")])
        waits.append(time.monotonic() - began)
    thread.join()

    assert removed == [4000]
    assert len(waits) > 10
    assert sorted(waits)[len(waits) // 2] < 0.05
    assert max(waits) < 1.0
    assert store.check().problems == ()
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_no_duty(home: Path, store: LmdbStore) -> None:
    """The duty stays with the parent, through the child's life and its end."""
    store.create({})
    assert store.upkeep.acquire()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, b"yes" if store.upkeep.acquire() else b"no")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reader, 10) == b"no"
    with Job("hold_duty", home) as job:
        job.expect("False")
    for each in (reader, writer):
        os.close(each)


def test_a_process_that_can_have_no_thread_writes_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has as many as it may have, or it ends (from Python 3.12 on): no write is refused for the upkeep's sake."""

    def refused(_: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    before = upkeep_threads()
    monkeypatch.setattr(threading.Thread, "start", refused)
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({"n": 0})
    store.save(token, [Increment("n")])
    written = store.environment.last_transaction()

    store.close()

    synced = read_synced(home)
    assert synced is not None
    assert synced.transaction >= written
    monkeypatch.undo()
    record = store.load(token)
    assert record is not None
    assert record.data == {"n": 1}
    assert upkeep_threads() == before + 1
    store.close()
