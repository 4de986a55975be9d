"""The rounds of a manager."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from coatcheck import Lifetimes
from coatcheck.actors.jobs import Jobs
from coatcheck.actors.rounds import SYNC, Rounds
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.upkeep import ROUND
from coatcheck.testing import FakeClock
from tests.system.running import until

SHORT = Lifetimes(idle=10.0, absolute=None)


@pytest.fixture
def managed(home: Path, clock: FakeClock) -> LmdbStore:
    """A store as a manager has it."""
    return LmdbStore(Settings(home=home), clock=clock, background=False)


def test_what_has_expired_is_removed_in_small_steps(managed: LmdbStore, clock: FakeClock) -> None:
    """Each step takes a few milliseconds and says when to come again, soon as long as there is more."""
    for _ in range(2000):
        managed.create(lifetimes=SHORT)
    kept, _ = managed.create(lifetimes=Lifetimes(idle=1000.0, absolute=None))
    rounds, pauses = Rounds(managed, Jobs()), []
    assert rounds.step() > 0.5
    assert rounds.removed == 0

    clock.advance(11.0)
    while rounds.removed < 2000:
        pauses.append(rounds.step())
        assert len(pauses) < 2000

    assert len(pauses) > 1
    assert all(0.001 < each < 0.1 for each in pauses[:-1])
    assert rounds.on_duty
    assert not rounds.behind
    assert managed.load(kept) is not None
    assert managed.check().problems == ()
    rounds.leave()
    managed.close()


def test_without_the_duty_nothing_is_done(managed: LmdbStore, clock: FakeClock, home: Path) -> None:
    """Somebody else sweeps; when he has left, this one does."""
    managed.create(lifetimes=SHORT)
    clock.advance(11.0)
    rounds = Rounds(managed, Jobs())
    descriptor = os.open(home / "duty", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert rounds.step() == ROUND
    assert (rounds.on_duty, rounds.removed) == (False, 0)

    os.close(descriptor)
    rounds.step()
    assert (rounds.on_duty, rounds.removed) == (True, 1)
    rounds.leave()
    with (home / "duty").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    managed.close()


def test_another_writer_goes_first(managed: LmdbStore, clock: FakeClock, home: Path) -> None:
    """A taken gate is not waited for: the round comes again in a moment."""
    managed.create(lifetimes=SHORT)
    clock.advance(11.0)
    rounds = Rounds(managed, Jobs())
    with (home / "writer").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert rounds.step() < 0.1
        assert rounds.removed == 0
    rounds.step()
    assert rounds.removed == 1
    rounds.leave()
    managed.close()


def test_a_sync_is_for_a_thread(managed: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a second what was committed goes to the disk, and never two at a time; what fails is told."""
    jobs = Jobs()
    rounds = Rounds(managed, jobs)
    rounds.step()
    assert jobs.waiting(SYNC) == 0
    monkeypatch.setattr(rounds, "_next_sync", 0.0)
    rounds.step()
    monkeypatch.setattr(rounds, "_next_sync", 0.0)
    rounds.step()
    assert jobs.waiting(SYNC) == 1
    until(jobs.collect, "no sync")
    assert rounds.last_error is None

    def fail() -> None:
        msg = "disk"
        raise OSError(msg)

    monkeypatch.setattr(managed, "sync", fail)
    monkeypatch.setattr(rounds, "_next_sync", 0.0)
    rounds.step()
    until(jobs.collect, "no sync")
    assert isinstance(rounds.last_error, OSError)
    rounds.leave()
    assert jobs.stop(5.0)
    managed.close()
