"""An encrypted store: nothing in its files can be read, nothing in them can be changed unseen, and who may open it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from coatcheck.changes import Append, Increment, PushFlash, Set, Unset
from coatcheck.errors import ConfigurationError, CorruptRecord, EncryptionKeyMissing, SessionMissing, StoreFull
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.sealing import OVERHEAD, Sealing, sealing_of
from coatcheck.settings import Settings
from coatcheck.store.apply import pack_flash
from coatcheck.store.header import HEADER
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.record import Record
from coatcheck.testing import FakeClock
from tests.support.keys import NEW, OLD, OTHER
from tests.support.opening import open_it, refusal

DATA = {"role": "guest", "name": "admin", "cart": [1, 2]}
META = {"ip": "192.0.2.7"}
FLASH = FlashMessage.info("saved")
HOUR = Lifetimes(idle=3600, absolute=None, touch_interval=60)


@pytest.fixture
def store(home: Path, clock: FakeClock) -> Iterator[LmdbStore]:
    """An encrypted store, sound when the test is over unless that spoils it."""
    store = LmdbStore(Settings(home=home, encryption_keys=[NEW]), clock=clock, background=False)
    yield store
    store.close()


def key_id(key: str) -> str:
    """The id of a key."""
    sealing = sealing_of(Settings(encryption_keys=[key]))
    assert isinstance(sealing, Sealing)
    return sealing.newest.hex()


def row_of(store: LmdbStore, record: Record) -> bytes:
    """The row of a session as it lies in the store."""
    environment = store.environment
    transaction = environment.begin_read()
    try:
        row = transaction.get(bytes.fromhex(record.sid), db=environment.tables.sessions)
    finally:
        environment.end_read(transaction)
    assert row is not None
    return row


def put_row(store: LmdbStore, record: Record, row: bytes) -> None:
    """Put another row in its place, as somebody could who can write to the file."""
    environment = store.environment
    transaction = environment.begin_write(1.0)
    transaction.put(bytes.fromhex(record.sid), row, db=environment.tables.sessions)
    environment.end_write(transaction, commit=True)


def values_of(store: LmdbStore, token: str) -> dict[str, Any]:
    """All data of a live session."""
    found = store.find(token).record
    assert found is not None
    return found.values()


# Nothing readable ----------------------------------------------------------------------------------------------

MARKER = "Mk7Readable"


def live(home: Path, tmp_path: Path, keys: list[str] | None) -> None:
    """Let a marker get into a store wherever data can get, and leave its files and a backup behind."""
    clock = FakeClock()
    store = LmdbStore(Settings(home=home, encryption_keys=keys), clock=clock, background=False)
    token, _ = store.create(
        {f"{MARKER}-key": f"{MARKER}-value", "list": [f"{MARKER}-old"]},
        principal=f"{MARKER}-principal",
        meta={f"{MARKER}-meta": f"{MARKER}-device"},
        flashes=[FlashMessage(f"{MARKER}-level", f"{MARKER}-flash", f"{MARKER}-title")],
        lifetimes=HOUR,
    )
    store.add_flash(token, FlashMessage.info(f"{MARKER}-added"))
    take, _ = store.take_flashes(token)
    store.save(token, [Set("big", f"{MARKER}-big " * 2000), Append("list", f"{MARKER}-item"), Increment("n")])
    store.restore_flashes(token, take)
    store.take_flashes(token)
    rotated, _ = store.rotate(token)
    assert rotated is not None
    store.login(rotated, f"{MARKER}-other", meta={"label": f"{MARKER}-label"}, changes=[PushFlash(FLASH)])
    gone, _ = store.create({f"{MARKER}-gone": f"{MARKER}-gone"}, principal=f"{MARKER}-gone")
    store.delete(gone)
    store.create({}, principal=f"{MARKER}-swept", lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(61)
    store.sweep()
    store.note_refused("forged", f"{MARKER}-peer")
    store.upkeep.tell()
    assert f"{MARKER}-swept" in {each.principal for each in store.events()}
    assert store.events(ring=b"R")[0].detail["peer"] == f"{MARKER}-peer"
    store.sync()
    store.backup(tmp_path / "backup")
    assert store.check().clean
    store.close()


def readable_in(*directories: Path) -> set[str]:
    """The markers in all bytes of all files, with what follows them."""
    found = set()
    for directory in directories:
        for path in directory.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            pieces = content.split(MARKER.encode())[1:]
            found |= {each.partition(b"\0")[0][:7].decode("latin-1").lstrip("-") for each in pieces}
    return found


def test_nothing_can_be_read_in_the_files(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Values, names of keys, flashes, meta, principals and peers are in no file of the store or of its backup.

    The same life in a plain store leaves all of them behind: the test sees what it looks for.
    """
    plain = tmp_path / "plain"
    (tmp_path / "of-plain").mkdir()
    caplog.set_level(logging.DEBUG)

    live(plain, tmp_path / "of-plain", None)
    live(home, tmp_path, [NEW])

    seen = readable_in(plain, tmp_path / "of-plain")
    for what in ("key", "value", "princi", "meta", "device", "flash", "title", "big", "item", "label", "gone", "peer"):
        assert any(each.startswith(what) for each in seen), what
    assert readable_in(home, tmp_path / "backup") == set()
    assert MARKER not in caplog.text


def test_a_key_is_in_no_file(home: Path, tmp_path: Path) -> None:
    """The keys themselves are nowhere."""
    live(home, tmp_path, [NEW, OLD])

    for path in [*home.rglob("*"), *(tmp_path / "backup").rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            assert NEW.encode() not in content
            assert OLD.encode() not in content


def test_a_backup_is_encrypted_too(store: LmdbStore, home: Path, tmp_path: Path) -> None:
    """It opens with the keys of the store, and with none at all it does not."""
    token, _ = store.create(DATA)
    store.backup(tmp_path / "copy")

    assert "is encrypted" in refusal(tmp_path / "copy")

    copy = LmdbStore(Settings(home=tmp_path / "copy", encryption_keys=[NEW]), background=False, clock=store.clock)
    record = copy.load(token)
    assert record is not None
    assert record.data == DATA
    copy.close()


# Nothing changed unseen ----------------------------------------------------------------------------------------


def test_no_byte_changes_unseen(store: LmdbStore) -> None:
    """Whichever byte of a row is flipped: what can still be read is what was stored."""
    token, record = store.create(DATA, principal="ann", meta=META, flashes=[FLASH], lifetimes=HOUR)
    row = row_of(store, record)
    refused = 0

    for place in range(len(row)):
        for bit in (1, 16, 128):
            put_row(store, record, row[:place] + bytes([row[place] ^ bit]) + row[place + 1 :])
            for read, stored in (
                (lambda each: each.values(), DATA),
                (lambda each: dict(each.data), DATA),
                (lambda each: each.principal, "ann"),
                (lambda each: each.meta, META),
                (lambda each: each.flashes, [FLASH]),
            ):
                try:
                    found = store.find(token).record
                    if found is not None:
                        assert read(found) == stored
                except (CorruptRecord, EncryptionKeyMissing):
                    refused += 1

    assert refused > 3 * (len(row) - HEADER.size)
    put_row(store, record, row)
    assert store.check().clean


def test_no_chunk_changes_unseen(store: LmdbStore) -> None:
    """A body that lies in chunks is as safe: some byte in each of them is flipped."""
    token, record = store.create({"big": "x" * 9000})
    environment = store.environment
    for number in range(3):
        key = bytes.fromhex(record.sid) + number.to_bytes(4, "big")
        transaction = environment.begin_write(1.0)
        chunk = transaction.get(key, db=environment.tables.bodies)
        assert chunk is not None
        transaction.put(key, chunk[:-1] + bytes([chunk[-1] ^ 1]), db=environment.tables.bodies)
        environment.end_write(transaction, commit=True)

        found = store.find(token).record
        assert found is not None
        with pytest.raises(CorruptRecord, match=found.handle):
            found.values()

        transaction = environment.begin_write(1.0)
        transaction.put(key, chunk, db=environment.tables.bodies)
        environment.end_write(transaction, commit=True)
    assert store.check().clean


def test_values_cannot_be_exchanged(store: LmdbStore) -> None:
    """Who puts the value of one key under another, to become an admin, has a session that cannot be read."""
    token, record = store.create({"role": "guest", "name": "admin"})
    row, size = row_of(store, record), len("guest") + 1 + OVERHEAD
    head, first, second = row[: -2 * size], row[-2 * size : -size], row[-size:]

    put_row(store, record, head + second + first)

    found = store.find(token).record
    assert found is not None
    for read in (lambda: found.data["role"], lambda: found.data["name"], found.values):
        with pytest.raises(CorruptRecord):
            read()
    assert not store.check().clean
    with pytest.raises(CorruptRecord):
        store.save(token, [Set("role", "root")])


def test_bodies_cannot_be_exchanged(store: LmdbStore) -> None:
    """Who puts the body of another session behind a header has a session that cannot be read."""
    token, mine = store.create(DATA)
    _, theirs = store.create({**DATA, "name": "other"})
    first, second = row_of(store, mine), row_of(store, theirs)

    put_row(store, mine, first[: HEADER.size] + second[HEADER.size :])

    found = store.find(token).record
    assert found is not None
    with pytest.raises(CorruptRecord):
        found.values()


def test_principals_cannot_be_exchanged(store: LmdbStore) -> None:
    """Nobody becomes somebody else by a copy of a sealed name."""
    token, mine = store.create({}, principal="ann")
    _, theirs = store.create({}, principal="bob")
    first, second = row_of(store, mine), row_of(store, theirs)

    put_row(store, mine, first[: HEADER.size] + second[HEADER.size :])

    found = store.find(token).record
    assert found is not None
    with pytest.raises(CorruptRecord):
        assert found.principal
    with pytest.raises(CorruptRecord):
        store.login(token, "ann")


def test_a_row_that_is_cut_short(store: LmdbStore) -> None:
    """At whatever byte a row ends, it is refused."""
    token, record = store.create(DATA, principal="ann")
    row = row_of(store, record)

    for length in range(2, len(row)):
        put_row(store, record, row[:length])
        with pytest.raises(CorruptRecord):
            values_of(store, token)


def test_what_is_not_sealed_is_refused(store: LmdbStore, tmp_path: Path) -> None:
    """Who can write to the file, and has no key, cannot put a session in that they made up."""
    token, record = store.create(DATA)
    plain = LmdbStore(Settings(home=tmp_path / "plain"), clock=store.clock, background=False)
    _, other = plain.create({"role": "root"})
    theirs = row_of(plain, other)
    plain.close()
    mine = HEADER.unpack_from(row_of(store, record))
    fields = [*HEADER.unpack_from(theirs)]
    fields[7], fields[12] = mine[7], mine[12]

    put_row(store, record, HEADER.pack(*fields) + theirs[HEADER.size :])

    for attempt in (
        lambda: store.find(token),
        lambda: store.load(token),
        lambda: store.touch(token),
        lambda: store.save(token, []),
        lambda: store.save(token, [Set("role", "root")]),
        lambda: store.rotate(token),
        lambda: store.login(token, "ann"),
        lambda: store.add_flash(token, FLASH),
    ):
        with pytest.raises(CorruptRecord, match="not sealed"):
            attempt()
    assert list(store.scan()) == []
    assert store.reseal().unreadable == 1
    assert not store.check().clean
    assert store.reseal(end_unreadable=True).ended == 1
    assert not store.delete(token)
    assert store.check().clean


# Who may open it -----------------------------------------------------------------------------------------------


def test_an_encrypted_store_needs_its_keys(home: Path) -> None:
    """Without keys, or with others, the opener is told which one is needed; nothing is changed."""
    open_it(home, encryption_keys=[NEW])

    without, other = refusal(home), refusal(home, encryption_keys=[OTHER])

    assert key_id(NEW) in without
    assert "COATCHECK_ENCRYPTION_KEYS" in without
    assert key_id(NEW) in other
    assert key_id(OTHER) in other
    open_it(home, encryption_keys=[NEW])


def test_a_plain_store_refuses_keys(home: Path) -> None:
    """Nobody believes to be encrypted who is not: the command that encrypts the store is named."""
    open_it(home)

    text = refusal(home, encryption_keys=[NEW])

    assert f"change --home {home} encryption=on" in text
    open_it(home)


def test_a_server_secret_is_no_key(home: Path) -> None:
    """The server secret may lie beside the data, so it must not be what seals them."""
    client = coatcheck.connect(home, secrets=[OTHER], encryption_keys=[NEW, OTHER])

    with pytest.raises(ConfigurationError, match="server secret"):
        client.create({})
    client.close()


def test_the_statistics_name_the_keys(store: LmdbStore, tmp_path: Path) -> None:
    """Whether a store is encrypted, and under which keys."""
    plain = LmdbStore(Settings(home=tmp_path / "plain"), background=False)

    assert store.stats().encryption == key_id(NEW)
    assert plain.stats().encryption == ""
    plain.close()


def test_a_limit_counts_what_is_stored(home: Path, tmp_path: Path) -> None:
    """A session may hold as much as in a plain store: what sealing adds does not count."""
    sizes = []
    for name, keys in (("plain", None), ("sealed", [NEW])):
        settings = Settings(home=tmp_path / name, max_session_bytes=1000, encryption_keys=keys)
        store = LmdbStore(settings, background=False)
        token, _ = store.create({"a": "x" * 100, "b": [1]})
        room = 0
        while True:
            try:
                store.save(token, [Set("c", "y" * room)])
            except coatcheck.SessionTooLarge as error:
                sizes.append((room, str(error)))
                break
            room += 1
        store.close()

    assert sizes[0] == sizes[1]


# Other keys ----------------------------------------------------------------------------------------------------


@pytest.fixture
def rotated(home: Path, clock: FakeClock) -> Iterator[Callable[[list[str]], LmdbStore]]:
    """Opens the store of ``home`` anew, under these keys."""
    opened: list[LmdbStore] = []

    def reopen(keys: list[str]) -> LmdbStore:
        for each in opened:
            each.close()
        opened.append(LmdbStore(Settings(home=home, encryption_keys=keys), clock=clock, background=False))
        return opened[-1]

    yield reopen
    for each in opened:
        each.close()


CHANGES: dict[str, Callable[[LmdbStore, str], Any]] = {
    "save": lambda store, token: store.save(token, [Set("new", 1)]),
    "save of what is there": lambda store, token: store.save(token, [Set("role", "guest")]),
    "save of nothing": lambda store, token: store.save(token, []),
    "unset": lambda store, token: store.save(token, [Unset("role")]),
    "rotate": lambda store, token: store.rotate(token),
    "login": lambda store, token: store.login(token, "ann"),
    "add_flash": lambda store, token: store.add_flash(token, FLASH),
    "take_flashes": lambda store, token: store.take_flashes(token),
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_the_next_save_seals_all_anew(rotated: Callable[[list[str]], LmdbStore], change: str, big: bool) -> None:
    """Under a newer key all of a session is sealed by whatever stores it, not only what changes."""
    data = {**DATA, "big": "x" * 9000} if big else DATA
    store = rotated([OLD])
    token, _ = store.create(data, principal="ann", meta=META, flashes=[FLASH], lifetimes=HOUR)
    store.add_flash(token, FLASH)
    store.take_flashes(token)
    store.add_flash(token, FLASH)
    store = rotated([NEW, OLD])
    assert store.check().sealed == {key_id(OLD): 1}

    CHANGES[change](store, token)

    assert store.check().sealed == {key_id(NEW): 1}
    info = next(store.scan())
    assert (info.principal, info.meta) == ("ann", META)
    store.reseal()
    record = next(iter(rotated([NEW]).sessions_of("ann")))
    assert record.principal == "ann"


def test_reading_and_touching_seal_nothing_anew(rotated: Callable[[list[str]], LmdbStore], clock: FakeClock) -> None:
    """A load under a newer key opens what is under the old one; a touch leaves it as it is."""
    token, _ = rotated([OLD]).create(DATA, lifetimes=HOUR)
    store = rotated([NEW, OLD])
    clock.advance(120)

    record = store.load(token)

    assert record is not None
    assert record.values() == DATA
    assert record.last_seen_at == clock.now()
    assert store.check().sealed == {key_id(OLD): 1}
    assert store.stats().encryption == f"{key_id(NEW)} {key_id(OLD)}"


def test_a_save_keeps_what_it_does_not_change(store: LmdbStore) -> None:
    """The pieces of other keys stay, byte for byte: a save seals what it changes, and the index."""
    token, record = store.create({"a": "first", "b": "second", "c": "third"}, flashes=[FLASH])
    before = row_of(store, record)

    store.save(token, [Set("b", "SECOND")])

    after = row_of(store, record)
    sizes = [len(each) + 1 + OVERHEAD for each in ("first", "second", "third")]
    start = len(before) - sum(sizes) - len(pack_flash(FLASH)) - OVERHEAD
    assert len(before) == len(after)
    for number, size in enumerate(sizes):
        same = before[start : start + size] == after[start : start + size]
        assert same is (number != 1)
        start += size
    assert before[start:] == after[start:]


def test_saving_the_same_again_is_no_change(store: LmdbStore) -> None:
    """That every piece looks different does not make a change of what is the same: versions count changes of data."""
    token, _ = store.create(DATA)

    record = store.save(token, [Set("cart", [1, 2]), Set("role", "guest")])

    assert record.version == 1
    assert store.save(token, [Set("cart", [1, 2, 3])]).version == 2


def test_a_key_cannot_be_dropped_while_it_is_needed(rotated: Callable[[list[str]], LmdbStore]) -> None:
    """An opener without a key that something may be sealed under is told which one, and how to give it up."""
    rotated([OLD]).create(DATA)
    token, _ = rotated([NEW, OLD]).create(DATA)

    with pytest.raises(EncryptionKeyMissing, match=f"{key_id(OLD)}.*reseal --home") as caught:
        rotated([NEW]).load(token)

    assert caught.value.key_id == key_id(OLD)
    assert rotated([OLD, NEW]).load(token) is not None


def test_a_session_under_an_unknown_key_is_not_missing(home: Path, clock: FakeClock) -> None:
    """A process that was started before the new key came is told its id; no visitor is signed out for it."""
    old = LmdbStore(Settings(home=home, encryption_keys=[OLD]), clock=clock, background=False)
    old.create({})
    new = LmdbStore(Settings(home=home, encryption_keys=[NEW, OLD]), clock=clock, background=False)
    token, _ = new.create(DATA, principal="ann")
    client = coatcheck.SessionClient(old.settings, store=old)

    for attempt in (
        lambda: old.load(token).values(),  # type: ignore[union-attr]
        lambda: old.save(token, [Set("a", 1)]),
        lambda: old.login(token, "ann"),
        lambda: old.sessions_of("ann"),
        lambda: client.open(token)["role"],
    ):
        with pytest.raises(EncryptionKeyMissing, match=key_id(NEW)) as caught:
            attempt()
        assert not isinstance(caught.value, SessionMissing)

    record = new.load(token)
    assert record is not None
    assert record.values() == DATA
    assert old.revoke("ann") == 1  # needs no key
    old.close()
    new.close()


def test_a_full_store_lets_a_session_shrink_under_a_new_key(
    rotated: Callable[[list[str]], LmdbStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a session is sealed anew is no growth, so it is not refused where there is no room."""
    token, _ = rotated([OLD]).create({"a": "x" * 100, "b": 1})
    store = rotated([NEW, OLD])
    store.load(token)

    def no_room() -> None:
        msg = "full"
        raise StoreFull(msg)

    monkeypatch.setattr(store._room, "require", no_room)

    assert store.save(token, [Unset("a")]).data == {"b": 1}
    with pytest.raises(StoreFull):
        store.save(token, [Set("a", "x")])


def test_an_audit_event_without_its_key(rotated: Callable[[list[str]], LmdbStore]) -> None:
    """What happened, and when, is told all the same; whose session it was is not known, and why."""
    store = rotated([OLD])
    _, record = store.create({}, principal="ann")
    store = rotated([NEW])
    store.any_keys = True

    (event,) = store.events()

    assert (event.kind, event.sid, event.principal) == ("created", record.sid, None)
    assert event.detail == {"sealed_under": key_id(OLD)}


def test_configuration_errors_are_what_they_are() -> None:
    """A missing key is an error of the configuration, and names the variable to mend."""
    error = EncryptionKeyMissing("0a1b2c3d")

    assert isinstance(error, ConfigurationError)
    assert "COATCHECK_ENCRYPTION_KEYS" in str(error)
