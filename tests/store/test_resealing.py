"""Keys are replaced while the store is in use, and encryption is turned on and off while it is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.errors import ConfigurationError, EncryptionKeyMissing, SessionMissing, StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.environment import Environment
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.record import Record
from coatcheck.store.restore import restore
from coatcheck.testing import FakeClock
from tests.store.test_encryption import MARKER, key_id, readable_in
from tests.support.keys import NEW, OLD, OTHER
from tests.support.processes import Job

FLASH = FlashMessage.info(f"{MARKER}-flash")
HOUR = Lifetimes(idle=3600, absolute=None, touch_interval=60)
OpenStore = Callable[..., LmdbStore]


@pytest.fixture
def open_store(home: Path, clock: FakeClock) -> Iterator[OpenStore]:
    """Opens the store of ``home`` anew, under these keys; the one before is closed."""
    opened: list[LmdbStore] = []

    def reopen(*keys: str, any_keys: bool = False) -> LmdbStore:
        for each in opened:
            each.close()
        settings = Settings(home=home, encryption_keys=keys or None)
        opened.append(LmdbStore(settings, clock=clock, background=False))
        opened[-1].any_keys = any_keys
        return opened[-1]

    yield reopen
    for each in opened:
        each.close()


def fill(store: LmdbStore) -> dict[str, dict[str, Any]]:
    """Sessions of all kinds; each token with its record."""
    tokens = [
        store.create({})[0],
        store.create({f"{MARKER}-{number}": number for number in range(3)}, lifetimes=HOUR)[0],
        store.create({"big": f"{MARKER} " * 2000}, principal="ann", flashes=[FLASH, FLASH])[0],
        store.create({}, principal=f"{MARKER}-bob", meta={"label": f"{MARKER}-label"})[0],
    ]
    store.add_flash(tokens[1], FLASH)
    store.take_flashes(tokens[1])
    store.note_refused("forged", f"{MARKER}-peer")
    store.upkeep.tell()
    return {token: all_of(store, token) for token in tokens}


def all_of(store: LmdbStore, token: str) -> dict[str, Any]:
    """Everything that is known of a session."""
    record = store.find(token).record
    assert record is not None
    public = [name for name, each in vars(Record).items() if isinstance(each, property) and not name.startswith("_")]
    known = {each: getattr(record, each) for each in public if each not in ("body", "data")}
    return {**known, "data": dict(record.data), "values": record.values(), "takes": record.body.takes()}


def events(store: LmdbStore) -> list[Any]:
    """All audit events but those of what operators do about keys."""
    told = [*store.events(), *store.events(ring=b"A"), *store.events(ring=b"R")]
    return [each for each in told if each.kind not in {"resealed", "encryption_changed", "compacted"}]


# Other keys ----------------------------------------------------------------------------------------------------


def test_everything_under_the_newest_key(open_store: OpenStore) -> None:
    """After a reseal nothing is under an older key, and nothing else has changed; the old key can go."""
    store = open_store(OLD)
    records, told = fill(store), events(store)
    store = open_store(NEW, OLD)

    report = store.reseal()

    assert (report.ended, report.unreadable, report.keys) == (0, 0, (key_id(NEW),))
    assert report.sessions == 3  # there is nothing in the fourth
    assert report.events == len(told)
    store = open_store(NEW)
    assert {token: all_of(store, token) for token in records} == records
    assert events(store) == told
    checked = store.check()
    assert checked.clean
    assert checked.sealed == {key_id(NEW): 3}
    assert checked.sealed_events == {key_id(NEW): len(told) + 1}  # that of the reseal itself
    assert store.reseal().sessions == 0


def test_a_check_counts_the_sessions_of_each_key(open_store: OpenStore) -> None:
    """So an operator sees when the old key can go."""
    tokens = [open_store(OLD).create({"n": number}, principal="ann")[0] for number in range(5)]
    store = open_store(NEW, OLD)

    for token in tokens[:2]:
        store.save(token, [Increment("n")])

    report = store.check()
    assert report.sealed == {key_id(NEW): 2, key_id(OLD): 3}
    assert report.sealed_events == {key_id(OLD): 5}


def test_saves_go_on_meanwhile(open_store: OpenStore, home: Path) -> None:
    """While all is sealed anew others save: no increment is lost."""
    store = open_store(OLD)
    tokens = [store.create({"n": 0, "pad": "x" * 100})[0] for _ in range(300)]
    store = open_store(NEW, OLD)
    other = LmdbStore(Settings(home=home, encryption_keys=[NEW, OLD]), background=False, clock=store.clock)
    begun, done = threading.Event(), threading.Event()
    saved = 0

    def save() -> None:
        nonlocal saved
        while not done.is_set():
            for token in tokens:
                other.save(token, [Increment("n")])
            saved += 1
            begun.set()

    thread = threading.Thread(target=save)
    thread.start()
    begun.wait()
    store.reseal()
    done.set()
    thread.join()

    assert {store.load(token).data["n"] for token in tokens} == {saved}  # type: ignore[union-attr]
    other.close()
    assert open_store(NEW).check().clean


def test_a_key_that_is_lost(open_store: OpenStore) -> None:
    """Sessions under it are ended on request, so that their users can sign in again; all others stay."""
    lost, _ = open_store(OLD).create({"a": 1}, principal="ann")
    kept, _ = open_store(NEW, OLD).create({"b": 2}, principal="bob")
    store = open_store(NEW, any_keys=True)

    report = store.reseal(end_unreadable=True)

    assert (report.ended, report.unreadable, report.keys) == (1, 0, (key_id(NEW),))
    store = open_store(NEW)
    assert store.find(lost).reason == "revoked"
    assert store.sessions_of("ann") == []
    assert store.load(kept).values() == {"b": 2}  # type: ignore[union-attr]
    assert [(each.kind, each.principal) for each in store.events()] == [
        ("created", None),
        ("created", "bob"),
        ("revoked", None),
        ("resealed", None),
    ]
    assert store.check().clean


def test_what_cannot_be_opened_is_left_alone(open_store: OpenStore) -> None:
    """Without that request nothing is ended, and the store goes on to need the key."""
    token, _ = open_store(OLD).create({"a": 1})
    store = open_store(NEW, any_keys=True)

    report = store.reseal()

    assert (report.sessions, report.ended, report.unreadable) == (0, 0, 1)
    assert report.keys == (key_id(NEW), key_id(OLD))
    assert open_store(NEW, OLD).load(token).values() == {"a": 1}  # type: ignore[union-attr]


def test_a_key_that_comes_meanwhile_stays(open_store: OpenStore, home: Path) -> None:
    """Somebody who opens the store under yet another key, while all is sealed anew, goes on to be able to."""
    tokens = [open_store(OLD).create({"n": number})[0] for number in range(3)]
    store = open_store(NEW, OLD)
    other = LmdbStore(Settings(home=home, encryption_keys=[OTHER, NEW, OLD]), background=False, clock=store.clock)

    report = store.reseal(pause=lambda _: other.save(tokens[0], [Set("a", 1)]))

    assert report.keys == (key_id(OTHER), key_id(NEW))
    other.close()
    assert open_store(OTHER, NEW).check().sealed == {key_id(OTHER): 1, key_id(NEW): 2}


def test_a_plain_store_has_nothing_to_seal(open_store: OpenStore) -> None:
    """It is said, whether there are keys or not."""
    open_store().create({})

    with pytest.raises(ConfigurationError, match="not encrypted"):
        open_store().reseal()
    with pytest.raises(ConfigurationError, match="not encrypted"):
        open_store(NEW, any_keys=True).reseal()


# On and off ----------------------------------------------------------------------------------------------------


def test_a_store_that_exists_is_encrypted(open_store: OpenStore, home: Path) -> None:
    """All of it, at once: nothing in it can be read any more, and nothing else has changed."""
    store = open_store()
    records, told = fill(store), events(store)
    store.sync()
    assert readable_in(home)
    store = open_store(NEW, any_keys=True)

    assert store.change_encryption(on=True)
    store.compact()

    store = open_store(NEW)
    assert readable_in(home) == set()
    assert {token: all_of(store, token) for token in records} == records
    assert events(store) == told
    report = store.check()
    assert report.clean
    assert report.sealed == {key_id(NEW): 3}
    assert store.save(next(iter(records)), [Set("a", 1)]).data == {"a": 1}


def test_a_store_is_decrypted(open_store: OpenStore, home: Path) -> None:
    """Back again, whichever of its keys it was under; then it needs none."""
    first = fill(open_store(OLD))
    second = fill(open_store(NEW, OLD))
    told = events(open_store(NEW, OLD))
    store = open_store(NEW, OLD, any_keys=True)

    assert store.change_encryption(on=False)

    store = open_store()
    assert {token: all_of(store, token) for token in {**first, **second}} == {**first, **second}
    assert events(store) == told
    assert store.check().clean
    assert store.stats().encryption == ""
    store.sync()
    assert readable_in(home)


@pytest.mark.parametrize("on", [True, False])
def test_what_is_so_already_stays_so(open_store: OpenStore, on: bool) -> None:
    """The command can be given twice."""
    keys = (NEW,) if on else ()
    token, _ = open_store(*keys).create({"a": 1})

    assert not open_store(NEW, any_keys=True).change_encryption(on=on)

    assert open_store(*keys).load(token) is not None


def test_encryption_needs_a_key(open_store: OpenStore) -> None:
    """Without one there is nothing to encrypt with; with the wrong one nothing is decrypted, and nothing changes."""
    open_store().create({"a": 1})
    with pytest.raises(ConfigurationError, match="COATCHECK_ENCRYPTION_KEYS"):
        open_store(any_keys=True).change_encryption(on=True)
    assert open_store().check().clean

    assert open_store(NEW, any_keys=True).change_encryption(on=True)
    for keys in ((), (OTHER,)):
        with pytest.raises(EncryptionKeyMissing, match=key_id(NEW)):
            open_store(*keys, any_keys=True).change_encryption(on=False)
    assert open_store(NEW).check().clean


def test_nobody_may_have_it_open(open_store: OpenStore, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has it open would go on to write what can be read: the process is named, and nothing changes."""
    monkeypatch.setattr("coatcheck.store.resealing.ALONE_WITHIN", 0.3)
    token, _ = open_store().create({"a": 1})
    store = open_store(NEW, any_keys=True)
    with Job("see", home, token) as job:
        job.say("look")
        job.line()

        with pytest.raises(StoreUnavailable, match=str(job.pid)):
            store.change_encryption(on=True)

    assert open_store().load(token) is not None


# Backups -------------------------------------------------------------------------------------------------------


def test_a_backup_of_an_encrypted_store_is_restored(open_store: OpenStore, tmp_path: Path) -> None:
    """With the keys that it needs, and not without."""
    store = open_store(NEW)
    token, _ = store.create({"a": 1})
    store.backup(tmp_path / "copy")
    store.delete(token)
    settings = store.settings
    store.close()

    for keys in (None, [OTHER]):
        with pytest.raises(ConfigurationError, match=f"cannot be used.*{key_id(NEW)}.*nothing was changed") as refused:
            restore(replace(settings, encryption_keys=keys), tmp_path / "copy")
        assert ".restore" not in str(refused.value)  # it is gone when somebody reads this, and follows the advice
    store = open_store(NEW)
    with pytest.raises(SessionMissing):
        store.touch(token)
    store.close()
    assert restore(settings, tmp_path / "copy").sessions == 1

    assert open_store(NEW).load(token) is not None


def test_a_backup_from_before_the_encryption(open_store: OpenStore, tmp_path: Path) -> None:
    """It is restored as it is, and whoever opens it with keys is told how to encrypt it."""
    store = open_store()
    token, _ = store.create({"a": 1})
    store.backup(tmp_path / "copy")
    open_store(NEW, any_keys=True).change_encryption(on=True)
    store = open_store(NEW)
    store.close()

    assert restore(store.settings, tmp_path / "copy").sessions == 1

    with pytest.raises(ConfigurationError, match="encryption=on"):
        open_store(NEW).load(token)
    assert open_store(NEW, any_keys=True).change_encryption(on=True)
    assert open_store(NEW).load(token) is not None


@pytest.mark.parametrize("on", [True, False])
def test_encryption_that_is_changed_by_two_at_once(
    on: bool, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has to wait for the other finds it done, and leaves it alone."""
    store = open_store() if on else open_store(NEW)
    records = fill(store)
    store = open_store(NEW, any_keys=True)
    alone = type(store.environment).alone

    @contextmanager
    def overtaken(environment: Environment, timeout: float) -> Iterator[None]:
        monkeypatch.undo()
        store.change_encryption(on=on)
        with alone(environment, timeout):
            yield

    monkeypatch.setattr(Environment, "alone", overtaken)

    assert store.change_encryption(on=on) is False

    store = open_store(NEW) if on else open_store()
    assert {token: all_of(store, token) for token in records} == records
    assert store.check().clean


@pytest.mark.parametrize("end_unreadable", [False, True])
def test_a_record_without_a_header_is_in_nobodys_way(end_unreadable: bool, open_store: OpenStore) -> None:
    """It counts as one that cannot be opened, and is ended with those, from the list of its principal too."""
    store = open_store(OLD)
    tokens = list(fill(store))
    spoilt = store.load(tokens[2])
    assert spoilt is not None
    with store._write() as transaction:
        transaction.put(bytes.fromhex(spoilt.sid), b"\x01short", db=store._tables.sessions)
    store = open_store(NEW, OLD)

    report = store.reseal(end_unreadable=end_unreadable)

    assert (report.ended, report.unreadable) == ((1, 0) if end_unreadable else (0, 1))
    assert len(report.keys) == (1 if end_unreadable else 2)
    kinds = {each.kind for each in store.check().problems}
    assert kinds <= ({"token-without-session", "expiry-without-session"} if end_unreadable else kinds)
    assert store.sessions_of("ann") == []
