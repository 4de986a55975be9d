"""What an attack on the store once found, so that it stays mended."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import coatcheck
from coatcheck.changes import Set
from coatcheck.errors import SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.support.processes import Job


def test_a_clock_set_back_does_not_bring_a_planted_token_back(store: LmdbStore, clock: FakeClock) -> None:
    """A grace that has lapsed stays so, also when the wall clock is set back to before its end (session fixation)."""
    planted, _ = store.create({"x": 1})
    second, _ = store.rotate(planted, grace=10.0)
    assert second is not None
    clock.advance(11)
    third, _ = store.rotate(second)
    assert third is not None
    clock.step(-5)

    store.login(third, "victim")

    assert store.find(planted).reason == "retired"


def test_a_logout_ends_a_session_that_was_rotated_meanwhile(home: Path) -> None:
    """A request that logs out under the old token ends the session, whose token another request has just changed."""
    client = coatcheck.connect(home)
    token, _ = client.create({"a": 1}, principal="bob")
    session = client.open(token)
    assert session["a"] == 1
    rotated, _ = client.rotate(token)

    session.logout()
    session.commit()

    assert rotated is not None
    assert client.load(rotated) is None
    assert client.sessions_of("bob") == []
    client.close()


def test_taken_flashes_do_not_pile_up(store: LmdbStore) -> None:
    """What waits to be given back is bounded by the limit of a session, and so is what is given back."""
    token, _ = store.create({})
    takes = []
    for _ in range(8):
        store.add_flash(token, FlashMessage.info("x" * 60_000))
        takes.append(store.take_flashes(token)[0])
    info = next(store.scan())
    assert info.size < 2 * 65_536

    for take in takes:
        store.restore_flashes(token, take)

    assert store.save(token, [Set("lang", "en")]).data["lang"] == "en"
    store.delete(token)


def test_a_long_check_stands_in_nobodys_way(home: Path) -> None:
    """A refused write does not wait, with the gate in its hands, until the check in another thread has ended."""
    store = LmdbStore(Settings(home=home), background=False)
    for _ in range(20_000):
        store.create({"pad": "x" * 50})
    token, _ = store.create({})
    store.delete(token)
    thread = threading.Thread(target=store.check)
    thread.start()
    refused = 0
    while thread.is_alive():
        with pytest.raises(SessionMissing):
            store.save(token, [Set("a", 1)])
        refused += 1
    thread.join()

    assert refused > 10
    store.close()


def test_the_pin_is_no_passing_reader(home: Path) -> None:
    """After a fork next to a process that reads all the time, the forking process pins its sync point itself."""
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({"key": 1})
    store.sync()
    points = store.environment.sync_points
    assert points.pinned
    with Job("read_on", home, token) as reader:
        reader.expect("reading")
        for _ in range(100):
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
            assert points.pinned
    store.close()
