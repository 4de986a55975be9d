"""The pin of a sync point: there as long as anybody writes, and no longer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.settings import Settings
from coatcheck.store import upkeep
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.synced import read_synced
from tests.support.processes import Job, await_that


@pytest.fixture
def quiet(home: Path) -> Iterator[LmdbStore]:
    """A store whose process does no upkeep."""
    store = LmdbStore(Settings(home=home), background=False)
    yield store
    assert store.check().problems == ()
    store.close()


def synced(home: Path) -> int:
    """The transaction of the last sync point."""
    found = read_synced(home)
    assert found is not None
    return found.transaction


def pinners(store: LmdbStore, transaction: int) -> list[int]:
    """The processes with a slot for that transaction."""
    handle = store.environment.outside_transactions()
    try:
        lines = [line.split() for line in handle.readers().splitlines()]
    finally:
        store.environment.leave()
    return [int(fields[0]) for fields in lines if len(fields) == 3 and fields[2] == str(transaction)]


def test_a_pin_goes_with_a_writer_that_is_killed_inside(home: Path, quiet: LmdbStore) -> None:
    """LMDB takes the slots of dead readers when a writer dies inside: the next writer pins a sync point first."""
    with Job("pin_and_die_inside", home) as job:
        job.expect("pinned")
        token, _ = quiet.create({"n": 0})
        job.say("die")
        job.rest()

    quiet.save(token, [Increment("n")])

    assert pinners(quiet, synced(home)) == [os.getpid()]


def test_a_closed_store_lets_go_of_its_pin(home: Path) -> None:
    """Who closed while others needed its pin closes for good as soon as there is a later sync point."""
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({"n": 0})
    environment = store.environment
    with Job("sync_when_told", home, token) as job:
        job.expect("open")
        store.close()
        job.say("sync")
        job.expect("synced")

        await_that(lambda: environment._handle is None, "the pin is not needed any more")

        job.say("")


def test_a_slow_sync_does_not_take_a_later_one_back(home: Path, quiet: LmdbStore) -> None:
    """Of two that sync at the same time the later state stays confirmed, whoever comes last."""
    token, _ = quiet.create({"n": 0})
    environment = quiet.environment
    transaction = environment.begin_write(2.0)
    handle = environment.outside_transactions()
    slow = environment.sync_points.begin(handle)
    environment.end_write(transaction, commit=True)
    with Job("sync_when_told", home, token) as job:
        job.expect("open")
        job.say("sync")
        job.expect("synced")
        confirmed = synced(home)

        assert environment.sync_points.finish(handle, slow)

        assert synced(home) == confirmed
        assert pinners(quiet, confirmed) == [job.pid]
        job.say("")
    environment.leave()


def test_a_duty_holder_that_does_nothing_is_done_without(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has written makes the sync point itself when the one that has the duty has not for a while."""
    monkeypatch.setattr(upkeep, "OVERDUE", 0.0)
    with Job("hold_duty", home) as job:
        job.expect("True")
        store = LmdbStore(Settings(home=home))
        token, _ = store.create({"n": 0})
        store.save(token, [Set("n", 1)])

        await_that(lambda: synced(home) == store.environment.last_transaction(), "somebody has synced")

        store.close()


def test_what_was_written_is_synced_by_the_last_close(home: Path) -> None:
    """A program that writes and ends has nothing to lose in a power loss afterwards."""
    store = LmdbStore(Settings(home=home))
    store.create({"n": 0})
    last = store.environment.last_transaction()

    store.close()

    assert synced(home) == last
