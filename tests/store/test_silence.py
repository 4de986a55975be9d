"""What is not written: nothing by reading, nothing by what is refused, and never a token."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.errors import CoatcheckError
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from coatcheck.testing.contract_base import forged

HOUR = Lifetimes(idle=3600, absolute=None, touch_interval=60)


def commits(store: LmdbStore) -> int:
    """The number of the last transaction that changed anything."""
    handle = store.environment.outside_transactions()
    try:
        return int(handle.info()["last_txnid"])
    finally:
        store.environment.leave()


@pytest.fixture
def quiet(home: Path, clock: FakeClock) -> LmdbStore:
    """A store in which nothing happens by itself."""
    store = LmdbStore(Settings(home=home), clock=clock, background=False)
    store.sweep()
    return store


def test_reading_writes_nothing(quiet: LmdbStore, clock: FakeClock) -> None:
    """Loads within a touch interval, finds, lists, scans, stats and checks commit nothing."""
    token, _ = quiet.create({"a": 1}, principal="ann", lifetimes=HOUR)
    before = commits(quiet)
    clock.advance(59)

    for _ in range(20):
        assert quiet.load(token) is not None
        assert quiet.find(token)
        quiet.touch(token)
        assert quiet.sessions_of("ann")
        assert list(quiet.scan())
        quiet.stats()
        quiet.check()
        assert quiet.take_flashes(token)[1] == []

    assert commits(quiet) == before


def test_one_touch_an_interval(quiet: LmdbStore, clock: FakeClock) -> None:
    """However often a session is loaded, an interval costs one commit."""
    token, _ = quiet.create({"a": 1}, lifetimes=HOUR)
    before = commits(quiet)

    for _ in range(10):
        clock.advance(60)
        for _ in range(10):
            assert quiet.load(token) is not None

    assert commits(quiet) == before + 10


def test_what_is_refused_writes_nothing(quiet: LmdbStore, clock: FakeClock) -> None:
    """Forged, unknown, ended tokens, conflicts and misfits commit nothing: nobody can fill the disk with them."""
    token, record = quiet.create({"text": "x"}, lifetimes=HOUR)
    ended, _ = quiet.create({})
    quiet.delete(ended)
    before = commits(quiet)

    refused: list[Callable[[], object]] = [
        lambda: quiet.save(token, [Set("a", 1)], if_version=record.version + 1),
        lambda: quiet.save(token, [Increment("text")]),
        lambda: quiet.save(token, [Set("a", "x" * 100_000)]),
        lambda: quiet.save(token, [Set("a", object())]),
    ]
    for bad in (forged(token), "nonsense", ended):
        refused += [
            lambda bad=bad: quiet.save(bad, [Set("a", 1)]),  # type: ignore[misc]
            lambda bad=bad: quiet.touch(bad),  # type: ignore[misc]
            lambda bad=bad: quiet.rotate(bad),  # type: ignore[misc]
            lambda bad=bad: quiet.add_flash(bad, FlashMessage.info("x")),  # type: ignore[misc]
        ]
        assert quiet.load(bad) is None
        assert quiet.delete(bad) is False
    for call in refused:
        with pytest.raises(CoatcheckError):
            call()

    assert commits(quiet) == before


def test_a_sweep_with_nothing_due_writes_nothing(quiet: LmdbStore, clock: FakeClock) -> None:
    """A store that nobody uses is left alone by its upkeep."""
    quiet.create({}, lifetimes=HOUR)
    quiet.sweep()
    before = commits(quiet)

    for _ in range(20):
        clock.advance(1)
        assert quiet.sweep().removed == 0

    assert commits(quiet) == before


def test_no_token_and_no_secret_is_at_rest(home: Path, clock: FakeClock) -> None:
    """Whoever reads the data file finds no token, neither as text nor as bytes, and not the secret either."""
    store = LmdbStore(Settings(home=home), clock=clock, background=False)
    first, _ = store.create({"a": 1}, flashes=[FlashMessage.info("hi")])
    second, _ = store.rotate(first, grace=3600)
    assert second is not None
    third, _ = store.login(second, "ann")
    deleted, _ = store.create({})
    store.delete(deleted)
    store.note_refused("unknown", "203.0.113.9")
    store.upkeep.tell()
    store.sync()
    store.close()
    secret = (home / "secret").read_text().split()[-1]

    for path in home.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for token in (first, second, third, deleted):
            raw = base64.urlsafe_b64decode(token + "==")
            for form in (token.encode(), token[:20].encode(), raw, raw[:32], raw[:16], raw[32:], raw.hex().encode()):
                assert form not in content, path.name
        assert path.name == "secret" or secret.encode() not in content
