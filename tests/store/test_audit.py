"""The audit rings: what happened to sessions, and how often tokens were refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.changes import Set
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store import audit
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock

SECRET = "the-users-own-data"


def test_the_life_of_a_session(store: LmdbStore, clock: FakeClock) -> None:
    """Creation for a user, rotation, login and end are told in order, with time, session and user."""
    token, record = store.create({}, principal="ann")
    clock.advance(1)
    rotated, _ = store.rotate(token)
    assert rotated is not None
    clock.advance(1)
    bound, _ = store.login(rotated, "bob")
    clock.advance(1)
    store.delete(bound)

    events = store.events()

    assert [(each.kind, each.principal) for each in events] == [
        ("created", "ann"),
        ("rotated", "ann"),
        ("login", "bob"),
        ("deleted", "bob"),
    ]
    assert [each.sequence for each in events] == [0, 1, 2, 3]
    assert [each.at for each in events] == [record.created_at + number * 10**6 for number in range(4)]
    assert {each.sid for each in events} == {record.sid}


def test_every_way_to_end_has_its_name(home: Path, clock: FakeClock) -> None:
    """Deleted, revoked, evicted and expired are told apart."""
    store = LmdbStore(Settings(home=home, max_sessions_per_principal=1), clock=clock)
    store.delete(store.create({}, principal="a")[0])
    store.create({}, principal="b")
    store.revoke("b")
    store.create({}, principal="c")
    store.create({}, principal="c")
    store.create({}, principal="d", lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)
    store.sweep()

    ends = [(each.kind, each.principal) for each in store.events() if each.kind != "created"]

    assert ends == [("deleted", "a"), ("revoked", "b"), ("evicted", "c"), ("expired", "d")]
    store.close()


def test_an_anonymous_create_is_no_event(store: LmdbStore) -> None:
    """What any bot can do a thousand times a second pushes nobody's history out."""
    for _ in range(10):
        token, _ = store.create({})
        store.save(token, [Set("a", 1)])
        store.add_flash(token, FlashMessage.info("hi"))
        store.take_flashes(token)

    assert store.events() == []


def test_events_in_pages(store: LmdbStore) -> None:
    """Events are read from a number on, so many at a time."""
    for number in range(10):
        store.create({}, principal=f"user {number}")

    first = store.events(limit=4)
    rest = store.events(after=first[-1].sequence)

    assert [each.principal for each in (*first, *rest)] == [f"user {number}" for number in range(10)]
    assert store.events(after=rest[-1].sequence) == []


def test_a_ring_has_room_for_so_many(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest events fall out; numbers go on."""
    monkeypatch.setitem(audit.ROOM, audit.LIFE, 5)
    for number in range(12):
        store.create({}, principal=f"user {number}")

    assert [each.sequence for each in store.events()] == [7, 8, 9, 10, 11]
    assert store.stats().audit_events == 5


def test_no_token_and_no_data_in_events(store: LmdbStore) -> None:
    """Events can be shown to an auditor."""
    token, _ = store.create({"note": SECRET}, principal="ann", meta={"label": SECRET})
    bound, _ = store.login(token, "bob", changes=[Set("note", SECRET)])
    store.delete(bound)

    for each in store.events():
        assert SECRET not in repr(each)
        assert token[:20] not in repr(each)
        assert bound[:20] not in repr(each)


def test_refused_tokens_are_told_once_a_minute_and_peer(store: LmdbStore, clock: FakeClock) -> None:
    """A thousand forged tokens of one peer are one event with their number, in a ring of their own."""
    for _ in range(1000):
        store.note_refused("forged", "203.0.113.9")
    store.note_refused("retired", "203.0.113.9")
    store.note_refused("forged", "198.51.100.7")
    store.note_refused("expired", "198.51.100.7")
    store.upkeep.tell()
    store.note_refused("forged", "203.0.113.9")
    store.upkeep.tell()

    told = store.events(ring=audit.REFUSED)
    assert store.events() == []
    assert sorted(each.detail.get("forged", 0) for each in told) == [1, 1000]
    [loud] = [each for each in told if each.detail["peer"] == "203.0.113.9"]
    assert loud.detail == {"peer": "203.0.113.9", "forged": 1000, "retired": 1}
    assert loud.at == clock.now()

    clock.advance(60)
    store.upkeep.tell()

    assert [each.detail for each in store.events(ring=audit.REFUSED, after=told[-1].sequence)] == [
        {"peer": "203.0.113.9", "forged": 1}
    ]


def test_a_flood_of_peers_is_told_together(store: LmdbStore) -> None:
    """An attacker with very many addresses fills neither the memory nor the ring."""
    for number in range(5000):
        store.note_refused("forged", f"10.0.{number // 256}.{number % 256}")

    store.upkeep.tell()

    told = store.events(ring=audit.REFUSED, limit=10_000)
    assert len(told) <= 1025
    assert sum(each.detail["forged"] for each in told) == 5000
