"""Many processes on one session at the same time: nothing is lost, nothing happens twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coatcheck.changes import Set
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.processes import Job

MANY = 20


@pytest.fixture
def shared(home: Path) -> Iterator[LmdbStore]:
    """A store by the machine's clock, for this process among others."""
    store = LmdbStore(Settings(home=home))
    yield store
    assert store.check().problems == ()
    store.close()


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """What is entered here ends with the test."""
    with ExitStack() as stack:
        yield stack


def test_twenty_processes_save_twenty_keys(home: Path, shared: LmdbStore, processes: ExitStack) -> None:
    """Twenty processes save keys of their own in one session at once: all keys are there, and the count is right."""
    token, _ = shared.create({})
    jobs = [processes.enter_context(Job("save_keys", home, token, f"p{number}", 5)) for number in range(MANY)]
    for job in jobs:
        job.expect("ready")
    for job in jobs:
        job.say("go")
    for job in jobs:
        assert job.finish() == ["done"]

    record = shared.load(token)

    assert record is not None
    assert record.data == {
        **{f"p{number}-{turn}": turn for number in range(MANY) for turn in range(5)},
        "total": 5 * MANY,
    }


def test_flashes_of_many_processes_are_taken_once(home: Path, shared: LmdbStore, processes: ExitStack) -> None:
    """Of twenty flashes added in parallel and taken by several takers each is shown once."""
    token, _ = shared.create({})
    adders = [processes.enter_context(Job("add_flashes", home, token, f"p{number}", 1)) for number in range(MANY)]
    takers = [processes.enter_context(Job("take_flashes", home, token)) for _ in range(4)]
    for job in (*adders, *takers):
        job.expect("ready")
    for job in (*takers, *adders):
        job.say("go")
    for job in adders:
        assert job.finish() == ["done"]
    for job in takers:
        job.say("stop")

    shown = [line for job in takers for line in job.finish()]

    assert sorted(shown) == sorted(f"p{number}-0" for number in range(MANY))
    assert shared.take_flashes(token)[1] == []


def test_a_slow_request_saves_after_a_logout(home: Path, shared: LmdbStore, processes: ExitStack) -> None:
    """A request of another process that has loaded the session before its logout cannot bring it back."""
    token, _ = shared.create({"a": 1}, principal="ann")
    slow = processes.enter_context(Job("late_save", home, token))
    slow.expect("ready")

    assert shared.delete(token)
    slow.say("go")

    assert slow.finish() == ["deleted"]
    assert shared.load(token) is None
    assert shared.sessions_of("ann") == []


def test_what_one_process_writes_the_others_see(home: Path, shared: LmdbStore, processes: ExitStack) -> None:
    """A write is seen by the next load in any process."""
    token, _ = shared.create({"n": 0})
    others = [processes.enter_context(Job("see", home, token)) for _ in range(2)]
    for number in range(1, 6):
        shared.save(token, [Set("n", number)])
        for job in others:
            job.say("look")
            job.expect(f'{{"n": {number}}}')
    shared.delete(token)
    for job in others:
        job.say("look")
        job.expect("deleted")


def test_many_processes_begin_a_store(home: Path, processes: ExitStack) -> None:
    """Twelve processes that find no store make one together: one secret, one data file, and everybody's session."""
    jobs = [processes.enter_context(Job("open_and_say", home, "{}")) for _ in range(12)]

    answers = [job.finish() for job in jobs]

    assert answers == [['["open", ""]']] * 12
    store = LmdbStore(Settings(home=home))
    assert store.stats().sessions == 12
    assert store.check().problems == ()
    store.close()
