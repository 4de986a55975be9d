"""check() finds what is wrong: every test of the store relies on that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coatcheck.errors import CorruptRecord
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store import token_table
from coatcheck.store.header import HEADER
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.tables import CURRENT, EXPIRY, GRACE, MEMBER, SESSION_DUE, TOKEN, TOKEN_DUE, Tables
from coatcheck.testing import FakeClock

USER = "ann"


def first(transaction: Any, table: Any) -> tuple[bytes, bytes]:
    """The first row of a table."""
    with transaction.cursor(db=table) as cursor:
        assert cursor.first()
        return cursor.key(), cursor.value()


def header_of(transaction: Any, tables: Tables) -> tuple[bytes, list[Any], bytes]:
    """Sid, fields and rest of the only session."""
    sid, row = first(transaction, tables.sessions)
    return sid, list(HEADER.unpack_from(row)), row[HEADER.size :]


def put_header(transaction: Any, tables: Tables, **fields: Any) -> None:
    """Change fields of the only session's header."""
    places = {"body_length": 3, "created": 5, "filed": 7, "token_hash": 12}
    sid, header, rest = header_of(transaction, tables)
    for name, value in fields.items():
        header[places[name]] = value
    transaction.put(sid, HEADER.pack(*header) + rest, db=tables.sessions)


def move(transaction: Any, table: Any, change: Callable[[bytes], bytes]) -> None:
    """Put the first row of a table under another key."""
    key, value = first(transaction, table)
    transaction.delete(key, db=table)
    transaction.put(change(key), value, db=table)


def another_token(state: int, sid: bytes | None = None, since: int = 2**60) -> Callable[[Any, Tables], None]:
    """A token that nobody knows of leads to the session."""

    def spoil(transaction: Any, tables: Tables) -> None:
        leads_to = sid or first(transaction, tables.sessions)[0]
        kept = since + 1 if state != CURRENT else 0
        transaction.put(b"t" * 16, TOKEN.pack(leads_to, state, since, kept), db=tables.tokens)
        if kept:
            transaction.put(EXPIRY.pack(kept, TOKEN_DUE, b"t" * 16), b"", db=tables.expiry)

    return spoil


SPOILT: dict[str, tuple[Callable[[Any, Tables], None], str]] = {
    "the session's row is cut short": (
        lambda txn, tables: txn.put(first(txn, tables.sessions)[0], b"\x01short", db=tables.sessions),
        "unreadable",
    ),
    "the session's row is of a later format": (
        lambda txn, tables: txn.put(
            first(txn, tables.sessions)[0], b"\x09" + first(txn, tables.sessions)[1][1:], db=tables.sessions
        ),
        "unreadable",
    ),
    "the session is gone": (
        lambda txn, tables: txn.delete(first(txn, tables.sessions)[0], db=tables.sessions),
        "token-without-session",
    ),
    "its token is gone": (
        lambda txn, tables: txn.delete(header_of(txn, tables)[1][12], db=tables.tokens),
        "session-without-token",
    ),
    "its token is another": (
        lambda txn, tables: put_header(txn, tables, token_hash=os.urandom(16)),
        "session-without-token",
    ),
    "a second current token": (another_token(CURRENT), "token-without-session"),
    "a current token without session": (another_token(CURRENT, b"s" * 16), "token-without-session"),
    "a grace that the session does not know": (another_token(GRACE), "grace-without-session"),
    "a retired token that is never forgotten": (
        lambda txn, tables: txn.put(b"t" * 16, TOKEN.pack(b"s" * 16, 2, 5, 6), db=tables.tokens),
        "token-without-expiry",
    ),
    "its expiry entry is gone": (
        lambda txn, tables: txn.delete(first(txn, tables.expiry)[0], db=tables.expiry),
        "session-without-expiry",
    ),
    "filed under another time": (
        lambda txn, tables: put_header(txn, tables, filed=header_of(txn, tables)[1][7] - 1),
        "session-without-expiry",
    ),
    "filed after its deadline": (
        lambda txn, tables: put_header(txn, tables, filed=2**62),
        "filed-too-late",
    ),
    "an expiry entry too many": (
        lambda txn, tables: txn.put(EXPIRY.pack(5, SESSION_DUE, first(txn, tables.sessions)[0]), b"", db=tables.expiry),
        "expiry-without-session",
    ),
    "an expiry entry of nobody": (
        lambda txn, tables: txn.put(EXPIRY.pack(5, SESSION_DUE, b"s" * 16), b"", db=tables.expiry),
        "expiry-without-session",
    ),
    "an expiry entry of no token": (
        lambda txn, tables: txn.put(EXPIRY.pack(5, TOKEN_DUE, b"t" * 16), b"", db=tables.expiry),
        "expiry-without-token",
    ),
    "not in its principal's list": (
        lambda txn, tables: txn.delete(first(txn, tables.principals)[0], db=tables.principals),
        "session-without-principal-entry",
    ),
    "in the list under another time": (
        lambda txn, tables: put_header(txn, tables, created=5),
        "session-without-principal-entry",
    ),
    "in the list of another principal": (
        lambda txn, tables: move(txn, tables.principals, lambda _: b"p" * 16),
        "session-without-principal-entry",
    ),
    "a list entry of no session": (
        lambda txn, tables: txn.put(b"p" * 16, MEMBER.pack(5, b"s" * 16), db=tables.principals),
        "principal-entry-without-session",
    ),
    "the first chunk of its body is gone": (
        lambda txn, tables: txn.delete(first(txn, tables.bodies)[0], db=tables.bodies),
        "unreadable",
    ),
    "a chunk too many": (
        lambda txn, tables: txn.put(
            first(txn, tables.bodies)[0][:16] + (99).to_bytes(4, "big"), b"x", db=tables.bodies
        ),
        "chunk-without-session",
    ),
    "a chunk of nobody": (
        lambda txn, tables: txn.put(b"s" * 16 + bytes(4), b"x", db=tables.bodies),
        "chunk-without-session",
    ),
    "bytes of its body are others": (
        lambda txn, tables: txn.put(
            first(txn, tables.bodies)[0], b"\xff" * len(first(txn, tables.bodies)[1]), db=tables.bodies
        ),
        "unreadable",
    ),
    "its body has another length": (
        lambda txn, tables: put_header(txn, tables, body_length=7),
        "unreadable",
    ),
    "a row of a token that cannot be one": (
        lambda txn, tables: txn.put(b"t" * 16, b"short", db=tables.tokens),
        "unreadable",
    ),
}


@pytest.fixture
def spoilt(store: LmdbStore) -> Any:
    """A store with one session, whose contents are put right again before the fixture ``store`` looks."""
    store.create(
        {"blob": b"x" * 10_000, "a": 1},
        principal=USER,
        flashes=[FlashMessage.info("hi")],
        lifetimes=Lifetimes(idle=3600, absolute=None),
    )
    assert store.check().clean
    yield store
    with store._write() as transaction:
        tables = store._tables
        for table in (tables.sessions, tables.bodies, tables.tokens, tables.expiry, tables.principals):
            transaction.drop(table, delete=False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", SPOILT)
def test_check_finds(spoilt: LmdbStore, case: str) -> None:
    """One thing is wrong: the report is not clean, names its kind, and shows neither token nor data."""
    spoil, kind = SPOILT[case]
    with spoilt._write() as transaction:
        spoil(transaction, spoilt._tables)

    report = spoilt.check()

    assert not report.clean
    assert kind in {each.kind for each in report.problems}
    for each in report.problems:
        assert each.where
        assert each.detail
        assert "xxx" not in str(each)


def test_a_clean_store_has_been_read(store: LmdbStore, clock: FakeClock) -> None:
    """What a store may rightly hold (graces, tombstones, sessions just swept) is no problem, and is counted."""
    kept, _ = store.create({}, principal=USER)
    store.rotate(kept, grace=3600)
    retired, _ = store.create({})
    store.rotate(retired)
    deleted, _ = store.create({})
    store.delete(deleted)
    store.create({"blob": b"x" * 5000}, lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)
    assert store.sweep().removed == 1

    report = store.check()

    assert report.problems == ()
    assert report.sessions == 2
    with store._read() as transaction:
        tables = store._tables
        others = (tables.tokens, tables.expiry, tables.principals, tables.bodies)
        assert report.entries == sum(transaction.stat(each)["entries"] for each in others)


def test_the_report_ends_somewhere(store: LmdbStore) -> None:
    """A store with very many problems is reported by its first thousand."""
    store.create({})
    with store._write() as transaction:
        for number in range(1500):
            transaction.put(number.to_bytes(16, "big") + bytes(4), b"x", db=store._tables.bodies)

    assert len(store.check().problems) == 1000

    with store._write() as transaction:
        for number in range(1500):
            transaction.delete(number.to_bytes(16, "big") + bytes(4), db=store._tables.bodies)


def test_a_spoilt_session_is_an_error_not_a_missing_one(spoilt: LmdbStore) -> None:
    """What cannot be read is CorruptRecord for its owner, and others are not disturbed."""
    token, _ = spoilt.create({"blob": b"y" * 10_000})
    other, _ = spoilt.create({"blob": b"z" * 10_000})
    with spoilt._write() as transaction:
        row = token_table.get(transaction, spoilt._tables, spoilt._hash(token))
        assert row is not None
        transaction.delete(row.sid + bytes(4), db=spoilt._tables.bodies)

    record = spoilt.load(token)
    assert record is not None
    with pytest.raises(CorruptRecord):
        record.values()

    record = spoilt.load(other)
    assert record is not None
    assert record.data["blob"] == b"z" * 10_000


def cut(store: LmdbStore, token: str, size: int) -> None:
    """Cut the record of a session short."""
    with store._write() as transaction:
        row = token_table.get(transaction, store._tables, store._hash(token))
        assert row is not None
        kept = (transaction.get(row.sid, db=store._tables.sessions) or b"")[:size]
        transaction.put(row.sid, kept, db=store._tables.sessions)


@pytest.mark.parametrize("size", [HEADER.size - 1, HEADER.size + 2])
def test_a_spoilt_session_does_not_stop_the_sweep(size: int, spoilt: LmdbStore, clock: FakeClock) -> None:
    """What expires after it is removed; where nobody can tell when it ends, it stays for ``check`` to report."""
    token, _ = spoilt.create({"n": 1}, principal=USER, lifetimes=Lifetimes(idle=60, absolute=None))
    cut(spoilt, token, size)
    clock.advance(1)
    for _ in range(3):
        spoilt.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)

    report = spoilt.sweep()

    assert (report.removed, report.refiled) == ((3, 1) if size < HEADER.size else (4, 0))
    assert not report.more
    assert spoilt.sweep().refiled == 0
    assert spoilt.check().problems


@pytest.mark.parametrize("size", [HEADER.size - 1, HEADER.size + 2])
def test_a_spoilt_session_keeps_no_other_alive(size: int, spoilt: LmdbStore) -> None:
    """After a change of password all sessions of a principal have to end, that which cannot be read too."""
    tokens = [spoilt.create({"n": number}, principal=USER)[0] for number in range(3)]
    cut(spoilt, tokens[1], size)

    assert spoilt.revoke(USER, except_=tokens[0]) == 3  # one was there before

    assert [spoilt.find(token).record is not None for token in tokens] == [True, False, False]
    assert spoilt.sessions_of(USER)


def test_a_spoilt_session_keeps_nobody_from_signing_in(home: Path) -> None:
    """A limit of sessions counts those that can be read."""
    store = LmdbStore(Settings(home=home, max_sessions_per_principal=1), background=False)
    token, _ = store.create({"n": 1}, principal=USER)
    cut(store, token, HEADER.size - 1)

    store.create({"n": 2}, principal=USER)
    with store._write() as transaction:
        row = token_table.get(transaction, store._tables, store._hash(token))
        assert row is not None
        assert transaction.get(row.sid, db=store._tables.sessions)
    store.close()


@pytest.mark.parametrize("size", [HEADER.size - 1, HEADER.size + 2])
def test_a_spoilt_session_hides_no_other(size: int, spoilt: LmdbStore, caplog: pytest.LogCaptureFixture) -> None:
    """Lists leave it out, and the log says so, without its token."""
    tokens = [spoilt.create({"n": number}, principal="lists")[0] for number in range(3)]
    before = len(list(spoilt.scan()))
    cut(spoilt, tokens[1], size)

    assert len(spoilt.sessions_of("lists")) == 2
    assert len(list(spoilt.scan())) == before - 1
    assert "a session is left out of a list: session record" in caplog.text or size > HEADER.size
    assert tokens[1] not in caplog.text
