"""What must not be lost or come back: rows B6, B10, B15, B19, C1 of the table in this package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.changes import Set
from coatcheck.errors import CoatcheckError, SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock, together
from tests.support.processes import ROOT


def test_b6_sessions_outlive_the_process(home: Path, tmp_path: Path) -> None:
    """Sessions are there after a restart, and in every other process meanwhile."""
    settings = Settings(home=home, clock=FakeClock(tmp_path / "clock").setting)
    store = LmdbStore(settings)
    token, _ = store.create({"a": [1, {2}]}, flashes=[FlashMessage.info("hi")])
    code = (
        "import sys; from coatcheck.settings import Settings; from coatcheck.store.lmdb import LmdbStore;"
        "store = LmdbStore(Settings(home=sys.argv[1], clock=sys.argv[2])); print(store.load(sys.argv[3]).values())"
    )
    command = [sys.executable, "-c", code, str(home), settings.clock, token]

    for _ in range(2):
        seen = subprocess.run(command, cwd=ROOT, text=True, check=True, capture_output=True)
        assert seen.stdout == "{'a': [1, {2}]}\n"
        store.close()

    record = store.load(token)
    assert record is not None
    assert (record.data, record.flashes) == ({"a": [1, {2}]}, [FlashMessage.info("hi")])
    assert store.check().problems == ()
    store.close()


def test_b10_delete_says_whether_there_was_one(store: LmdbStore) -> None:
    """A logout can be awaited and told from one that found nothing."""
    token, _ = store.create({})

    assert store.delete(token) is True
    assert store.delete(token) is False


def test_b15_save_never_creates(store: LmdbStore, clock: FakeClock) -> None:
    """A save of a deleted, an expired or an unknown session is refused, and nothing is there afterwards."""
    deleted, _ = store.create({})
    store.delete(deleted)
    expired, _ = store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)

    for token in (deleted, expired):
        with pytest.raises(SessionMissing):
            store.save(token, [Set("a", 1)])
        assert store.load(token) is None
    assert list(store.scan()) == []


def test_b15_parallel_saves_keep_each_others_keys(store: LmdbStore) -> None:
    """Two requests of one user do not lose each other's updates; who must know of others asks for a version."""
    token, record = store.create({})

    together(10, lambda number: store.save(token, [Set(f"key {number}", number)]))

    saved = store.load(token)
    assert saved is not None
    assert len(saved.data) == 10
    with pytest.raises(SessionConflict):
        store.save(token, [Set("a", 1)], if_version=record.version)


def test_b19_a_broken_store_is_not_a_missing_session(home: Path, store: LmdbStore) -> None:
    """When the store cannot be read nobody is told that there is no session: that would log everybody out."""
    token, _ = store.create({"a": 1})
    store.close()
    whole = (home / "data.mdb").read_bytes()
    (home / "data.mdb").write_bytes(os.urandom(len(whole)))

    for verb in (store.load, store.find, store.delete, store.touch):
        with pytest.raises(CoatcheckError) as caught:
            verb(token)
        assert not isinstance(caught.value, SessionMissing)

    (home / "data.mdb").write_bytes(whole)
    assert store.load(token) is not None


def test_c1_a_stale_copy_is_never_written_back(store: LmdbStore) -> None:
    """A request that has read the session before others changed it takes nothing back that they did."""
    token, _ = store.create({"cart": 1, "lang": "en"}, flashes=[FlashMessage.info("old")])
    stale = store.load(token)
    assert stale is not None
    store.save(token, [Set("cart", 2)])
    store.take_flashes(token)
    store.add_flash(token, FlashMessage.info("new"))

    record = store.save(token, [Set("lang", "de")])

    assert record.data == {"cart": 2, "lang": "de"}
    assert record.flashes == [FlashMessage.info("new")]
    store.delete(token)
    with pytest.raises(SessionMissing):
        store.save(token, [Set("lang", stale.data["lang"])])
