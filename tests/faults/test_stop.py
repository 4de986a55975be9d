"""A writer that is stopped inside its transaction: others are told within their deadline, and reading goes on."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coatcheck.changes import Set
from coatcheck.errors import StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.gate import GateBusy
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock, together
from tests.support.processes import Job

TIMEOUT = 0.5


@pytest.fixture
def clock() -> FakeClock:
    """Near the machine's time, which the other process goes by."""
    return FakeClock(now=time.time_ns() // 1000)


@pytest.fixture
def waiting(home: Path, clock: FakeClock) -> Iterator[LmdbStore]:
    """A store that waits half a second for its turn."""
    store = LmdbStore(Settings(home=home, gate_timeout=TIMEOUT), clock=clock, background=False)
    yield store
    assert store.check().problems == ()
    store.close()


@pytest.fixture
def token(waiting: LmdbStore) -> str:
    """A session whose touches are due after a second, and whose last flash was shown just now."""
    token, _ = waiting.create(
        {"a": 1},
        lifetimes=Lifetimes(idle=3600, absolute=None, touch_interval=1),
        flashes=[FlashMessage.info("shown")],
    )
    assert len(waiting.take_flashes(token)[1]) == 1
    return token


@pytest.fixture
def stopped(home: Path, waiting: LmdbStore, token: str) -> Iterator[Job]:
    """Another process that stands still in the middle of a write."""
    with Job("pause_inside", home, token, "late") as job:
        job.expect("ready")
        job.say("go")
        job.expect("inside")
        job.stop()
        yield job


def test_writers_are_told_who_holds_the_gate(waiting: LmdbStore, token: str, stopped: Job) -> None:
    """Every writing verb gets StoreUnavailable within its deadline, with the pid that holds the gate and since when."""
    verbs: list[Callable[[], object]] = [
        lambda: waiting.create({}),
        lambda: waiting.save(token, [Set("b", 2)]),
        lambda: waiting.rotate(token),
        lambda: waiting.add_flash(token, FlashMessage.info("hi")),
        lambda: waiting.delete(token),
        lambda: waiting.revoke("ann"),
    ]
    for verb in verbs:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            verb()
        took = time.monotonic() - began

        assert TIMEOUT * 0.9 < took < TIMEOUT + 0.5
        assert caught.value.holder_pid == stopped.pid
        assert caught.value.held_for is not None
        assert 0 < caught.value.held_for < 60
        assert str(stopped.pid) in str(caught.value)
        assert re.search(r"kill -CONT", str(caught.value))


def test_loads_go_on(waiting: LmdbStore, token: str, stopped: Job, clock: FakeClock) -> None:
    """A load never waits for a writer: not even when its touch is due, which is left to the next request.

    Nor does a page that looks for flashes where there are none, whatever was shown before.
    """
    clock.advance(60)
    slowest = 0.0
    for _ in range(50):
        began = time.monotonic()
        record = waiting.load(token)
        slowest = max(slowest, time.monotonic() - began)
        assert record is not None
        assert record.data == {"a": 1}
    assert waiting.find(token)
    assert waiting.take_flashes(token)[1] == []
    assert waiting.sessions_of("ann") == []
    assert waiting.stats().sessions == 1

    assert slowest < TIMEOUT / 2


def test_all_is_well_after_it_goes_on(waiting: LmdbStore, token: str, stopped: Job, clock: FakeClock) -> None:
    """After SIGCONT the stopped writer ends its write, and everybody writes as before."""
    with pytest.raises(StoreUnavailable):
        waiting.save(token, [Set("b", 2)])

    stopped.signal(signal.SIGCONT)
    stopped.say("go on")
    stopped.expect("saved")

    assert waiting.save(token, [Set("b", 3)]).data == {"a": 1, "late": "after the pause", "b": 3}
    clock.advance(60)
    record = waiting.load(token)
    assert record is not None
    assert record.last_seen_at == clock.now()


def test_a_writer_waits_its_turn(home: Path, waiting: LmdbStore, token: str) -> None:
    """A gate that opens within the deadline costs a wait, no error."""
    with Job("pause_inside", home, token, "late") as job:
        job.expect("ready")
        job.say("go")
        job.expect("inside")

        def work(number: int) -> object:
            if number:
                return waiting.save(token, [Set("b", 2)])
            job.say("go on")
            return job.line()

        assert together(2, work)[0] == "saved"

    record = waiting.load(token)
    assert record is not None
    assert record.data == {"a": 1, "late": "after the pause", "b": 2}


def test_no_wait_means_no_wait(waiting: LmdbStore, token: str, stopped: Job) -> None:
    """Inside ``no_wait`` a write that would have to wait is refused at once; that is what an event loop needs."""
    began = time.monotonic()
    with waiting.no_wait():
        with pytest.raises(GateBusy):
            waiting.save(token, [Set("b", 2)])
        assert waiting.load(token) is not None
    assert time.monotonic() - began < TIMEOUT / 2

    with pytest.raises(StoreUnavailable) as caught:
        waiting.save(token, [Set("b", 2)])
    assert not isinstance(caught.value, GateBusy)


def test_threads_of_one_process_wait_too(waiting: LmdbStore, token: str, stopped: Job) -> None:
    """Several threads that wait at once are all told within the deadline, not one after the other."""

    def work(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            waiting.save(token, [Set("b", 2)])
        return time.monotonic() - began

    assert max(together(5, work)) < TIMEOUT + 0.5


def test_a_process_that_starts_now_is_told_too(home: Path, stopped: Job) -> None:
    """A process that opens the store meanwhile hears who is in the way, instead of hanging."""
    with Job("open_and_say", home, json.dumps({"gate_timeout": TIMEOUT})) as job:
        kind, text = json.loads(job.line(10))

    assert kind == "StoreUnavailable"
    assert str(stopped.pid) in text


def test_closing_waits_for_no_stopped_writer(home: Path, waiting: LmdbStore) -> None:
    """A program ends while another one stands still inside: it is not held up for long, and gets no error."""
    token, _ = waiting.create({})
    with Job("pause_inside", home, token, "key") as job:
        job.expect("ready")
        job.say("save")
        job.expect("inside")

        waiting.close()

        job.say("go on")
        job.expect("saved")
