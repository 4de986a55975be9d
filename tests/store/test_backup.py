"""Backup and compaction."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.errors import ConfigurationError, StoreFull, StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.settings import Settings
from coatcheck.store.environment import Environment
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.support.processes import Job


def test_a_backup_is_a_store(store: LmdbStore, clock: FakeClock, tmp_path: Path) -> None:
    """The copy opens as a state directory, with every session as it was, and goes its own way from there."""
    token, _ = store.create({"blob": b"x" * 9000}, principal="ann", flashes=[FlashMessage.info("hi")])

    store.backup(tmp_path / "copy")
    store.save(token, [Set("later", 1)])

    copy = LmdbStore(Settings(home=tmp_path / "copy"), clock=clock)
    record = copy.load(token)
    assert record is not None
    assert record.data == {"blob": b"x" * 9000}
    assert record.flashes == [FlashMessage.info("hi")]
    assert len(copy.sessions_of("ann")) == 1
    assert copy.check().problems == ()
    copy.delete(token)
    assert store.load(token) is not None
    copy.close()


def test_a_backup_is_private(store: LmdbStore, tmp_path: Path) -> None:
    """A copy is for nobody else to read, like the store itself."""
    store.create({})

    store.backup(tmp_path / "copy")

    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "copy").iterdir()} == {0o600}


def test_a_backup_overwrites_nothing(store: LmdbStore, tmp_path: Path) -> None:
    """A directory with something in it is refused and left as it is; so is the store's own."""
    store.create({})
    (tmp_path / "copy").mkdir(mode=0o700)
    (tmp_path / "copy" / "mine").write_text("mine")

    with pytest.raises(ConfigurationError, match="not empty"):
        store.backup(tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="not empty"):
        store.backup(store.settings.home)

    assert [each.name for each in (tmp_path / "copy").iterdir()] == ["mine"]
    assert store.stats().sessions == 1


def test_a_backup_while_others_write(store: LmdbStore, clock: FakeClock, tmp_path: Path) -> None:
    """A copy made in the middle of writing is the store at one moment."""
    tokens = [store.create({"n": 0})[0] for _ in range(4)]
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for token in tokens:
                store.save(token, [Increment("n"), Set("pad", "x" * 3000)])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            store.backup(tmp_path / str(number))
    finally:
        stop.set()
        thread.join()

    for number in range(5):
        copy = LmdbStore(Settings(home=tmp_path / str(number)), clock=clock)
        assert copy.check().problems == ()
        counts = [record.data["n"] for record in map(copy.load, tokens) if record is not None]
        # They are counted up in turns, so at any one moment they differ by at most one.
        assert len(counts) == 4
        assert max(counts) - min(counts) <= 1
        copy.close()


def test_compaction_gives_space_back(store: LmdbStore) -> None:
    """After most sessions are gone the file shrinks, and what is left is unharmed."""
    kept, _ = store.create({"keep": "me"})
    tokens = [store.create({"n": number, "pad": "x" * 8000})[0] for number in range(300)]
    for token in tokens:
        store.delete(token)

    before, after = store.compact()

    assert after < before / 2
    assert after <= store.stats().file_bytes <= after + (64 << 10)  # the event of it is in the new file
    record = store.load(kept)
    assert record is not None
    assert record.data == {"keep": "me"}
    assert store.create({"more": 1})


def test_compaction_is_done_alone(home: Path, store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process has the store open compaction is refused with its pid, and nothing is changed."""
    monkeypatch.setattr("coatcheck.store.backup.ALONE_WITHIN", 0.3)
    token, _ = store.create({"a": 1})
    with Job("see", home, token) as job:
        job.say("look")
        job.line()

        with pytest.raises(StoreUnavailable, match=rf"\b{job.pid}\b"):
            store.compact()

        store.save(token, [Set("a", 2)])
    store.compact()

    record = store.load(token)
    assert record is not None
    assert record.data == {"a": 2}


def test_limits_are_changed_alone(home: Path, store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other limits are for a store that nobody else has open; they hold from then on, for each opener."""
    monkeypatch.setattr("coatcheck.store.backup.ALONE_WITHIN", 0.3)
    token, _ = store.create({"a": "x" * 60_000})
    with Job("see", home, token) as job:
        job.say("look")
        job.line()
        with pytest.raises(StoreUnavailable, match=rf"\b{job.pid}\b"):
            store.change_policy(max_session_bytes=200_000)

    store.change_policy(max_session_bytes=200_000, max_flashes=3)

    record = store.save(token, [Set("b", "x" * 100_000)])
    assert len(record.data["b"]) == 100_000
    store.close()
    with pytest.raises(ConfigurationError, match=r"max_flashes is 3 in the store .*change --home \S+ max_flashes=9"):
        LmdbStore(Settings(home=home, max_flashes=9)).load(token)
    assert store.check().problems == ()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"durability": "commit"}, "durability cannot be changed"),
        ({"max_flashes": 0}, "max_flashes is 0"),
        ({"map_size": 4096}, "map_size cannot be below"),
    ],
)
def test_what_cannot_be_is_not_changed(store: LmdbStore, changed: dict[str, Any], why: str) -> None:
    """A wrong change says what is wrong, and leaves the store as it is."""
    token, _ = store.create({"a": 1})

    with pytest.raises(ConfigurationError, match=why):
        store.change_policy(**changed)

    assert store.load(token)


def test_a_machine_that_goes_down_after_a_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new limits are on the disk, and nothing falls back to a sync point from before."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({"a": 1})
    store.change_policy(max_flashes=7)
    store.close()
    monkeypatch.setattr("coatcheck.store.recovery.boot_id", lambda: b"another boot")

    again = LmdbStore(Settings(home=home, max_flashes=7), background=False)

    assert again.load(token)
    assert again.check().problems == ()
    again.close()


def test_limits_that_are_changed_by_two_at_once(home: Path, store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has to wait for the other keeps what that one has changed."""
    other = LmdbStore(Settings(home=home), background=False)
    alone = type(store.environment).alone

    @contextmanager
    def overtaken(environment: Environment, timeout: float) -> Iterator[None]:
        monkeypatch.undo()
        other.change_policy(max_flashes=7)
        with alone(environment, timeout):
            yield

    before = store.environment.policy
    monkeypatch.setattr(Environment, "alone", overtaken)

    assert store.change_policy(max_session_bytes=70_000) == replace(before, max_flashes=7, max_session_bytes=70_000)

    assert store.stats().sessions == 0
    assert store.environment.policy.max_flashes == 7
    other.close()


def test_a_backup_that_fails_is_not_in_the_way(
    store: LmdbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a data file takes what room there is, and would have the next one refused."""
    store.create({"a": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreFull, match="make room"):
            store.backup(tmp_path / "backup")

    assert not list(tmp_path.glob("*backup*"))
    store.backup(tmp_path / "backup")
