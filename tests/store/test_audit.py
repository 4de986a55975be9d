"""The audit rings: what happened to sessions, and how often tokens were refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import coatcheck
from coatcheck.acting import operator
from coatcheck.changes import Set
from coatcheck.errors import PrincipalLimit, SessionTooLarge, StoreFull, StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store import audit
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.refusals import Refusals
from coatcheck.store.restore import restore
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


# Nobody who has not signed in writes the history of those who have ----------------------------------------------


def test_anonymous_sessions_have_a_ring_of_their_own(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins and ends sessions without signing in pushes nobody's login out of sight."""
    monkeypatch.setitem(audit.ROOM, audit.LIFE, 5)
    monkeypatch.setitem(audit.ROOM, audit.ANONYMOUS, 5)
    store.create({}, principal="ann")
    for _ in range(20):
        token, _ = store.rotate(store.create({})[0])
        assert token is not None
        store.delete(token)

    assert [(each.kind, each.principal) for each in store.events()] == [("created", "ann")]
    assert [each.kind for each in store.events(ring=audit.ANONYMOUS)][-2:] == ["rotated", "deleted"]
    assert len(store.events(ring=audit.ANONYMOUS)) == 5


def test_a_mass_expiry_is_one_event(store: LmdbStore, clock: FakeClock) -> None:
    """However many batches it takes: one event for all anonymous sessions, and one for each that was signed in."""
    for number in range(300):
        store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
        if number % 100 == 0:
            store.create({}, principal=f"user {number}", lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)

    while store.sweep_batch(7).more:
        assert store.events(ring=audit.ANONYMOUS) == []

    [event] = store.events(ring=audit.ANONYMOUS)
    assert (event.kind, event.detail) == ("expired", {"count": 300})
    assert [each.kind for each in store.events()] == ["created"] * 3 + ["expired"] * 3


def test_a_mass_expiry_that_was_killed(home: Path, clock: FakeClock) -> None:
    """What one process has swept and not told of is told by the next one, once."""
    store = LmdbStore(Settings(home=home), clock=clock)
    for _ in range(20):
        store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)
    assert store.sweep_batch(7).more
    store.close()

    other = LmdbStore(Settings(home=home), clock=clock)
    other.sweep()

    assert [each.detail for each in other.events(ring=audit.ANONYMOUS)] == [{"count": 20}]
    other.close()


def test_an_endless_expiry_is_told_each_minute(store: LmdbStore, clock: FakeClock) -> None:
    """A sweep that never comes to its end is told of all the same."""
    for _ in range(20):
        store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
    clock.advance(60)
    store.sweep_batch(7)
    clock.advance(60)

    assert store.sweep_batch(7).more

    assert [each.detail for each in store.events(ring=audit.ANONYMOUS)] == [{"count": 14}]


def test_one_event_a_minute_over_all_processes(home: Path, clock: FakeClock) -> None:
    """Several workers that refuse tokens of one peer tell of it once a minute together, and lose no count."""
    settings = Settings(home=home)
    stores = [LmdbStore(settings, clock=clock) for _ in range(2)]
    for store in stores:
        store.prepare()
    workers = [Refusals() for _ in range(3)]
    environment = stores[0].environment
    for worker in workers:
        worker.note("forged", "203.0.113.9")
        worker.flush(environment, clock.now(), 1.0)

    assert [each.detail["forged"] for each in stores[0].events(ring=audit.REFUSED)] == [1]

    for minutes in range(2, 5):
        clock.advance(60)
        for worker in workers:
            worker.note("forged", "203.0.113.9", 10)
            worker.flush(environment, clock.now(), 1.0)
            assert len(stores[0].events(ring=audit.REFUSED)) == minutes
    for _ in range(3):
        clock.advance(60)
        for worker in workers:
            worker.flush(environment, clock.now(), 1.0)

    told = [each.detail["forged"] for each in stores[0].events(ring=audit.REFUSED)]
    assert sum(told) == 3 + 90
    for store in stores:
        store.close()


def test_counts_are_kept_for_the_next_time(store: LmdbStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is in the way costs no count."""
    store.note_refused("forged", "203.0.113.9")
    store.prepare()

    def busy(*_: object) -> None:
        raise StoreUnavailable("busy")  # noqa: EM101

    with monkeypatch.context() as patch:
        patch.setattr(store.environment, "begin_write", busy)
        with pytest.raises(StoreUnavailable):
            store.upkeep.tell()
    store.note_refused("forged", "203.0.113.9")
    store.upkeep.tell()

    assert [each.detail for each in store.events(ring=audit.REFUSED)] == [{"peer": "203.0.113.9", "forged": 2}]


# Limits ---------------------------------------------------------------------------------------------------------


def test_limits_that_were_hit(home: Path, clock: FakeClock) -> None:
    """Of a user: his session and name, and how often. Of sessions without one: all together, as anyone has many."""
    limits = Settings(
        home=home,
        max_session_bytes=1000,
        max_flashes=2,
        max_sessions_per_principal=1,
        on_principal_limit="refuse",
    )
    store = LmdbStore(limits, clock=clock)
    token, record = store.create({}, principal="ann")
    for _ in range(2):
        with pytest.raises(SessionTooLarge):
            store.save(token, [Set("note", SECRET * 1000)])
    for _ in range(5):
        store.add_flash(token, FlashMessage.info(SECRET))
    for _ in range(3):
        with pytest.raises(PrincipalLimit):
            store.create({}, principal="ann")
    for _ in range(4):
        with pytest.raises(SessionTooLarge):
            store.create({"note": SECRET * 1000})
    store.upkeep.tell()

    told = store.events(ring=audit.REFUSED)

    assert {each.kind for each in told} == {"limit"}
    assert sorted((each.sid, each.principal or "", each.detail) for each in told) == sorted(
        [
            ("", "", {"limit": "max_session_bytes", "count": 4}),
            ("", "ann", {"max_sessions_per_principal": 3}),
            (record.sid, "ann", {"max_session_bytes": 2, "max_flashes": 3}),
        ]
    )
    assert store.counters["limit_max_flashes"] == 3
    store.close()


def test_no_room(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is full says so, once a minute."""

    def full() -> None:
        raise StoreFull("full")  # noqa: EM101

    store.prepare()
    store.create({})
    monkeypatch.setattr(store._room, "require", full)
    for _ in range(3):
        with pytest.raises(StoreFull):
            store.create({})
    store.upkeep.tell()

    assert [each.detail for each in store.events(ring=audit.REFUSED)] == [{"limit": "room", "count": 3}]


# Operators ------------------------------------------------------------------------------------------------------


def test_who_ended_the_sessions_of_others(store: LmdbStore) -> None:
    """An event of what an operator does says who it was; what users do themselves does not."""
    token, _ = store.create({}, principal="ann")
    store.create({}, principal="bob")
    anonymous = store.create({})[1]
    with coatcheck.acting_as("eve@support"):
        store.revoke("bob")
        store.revoke_sid(anonymous.sid)
        bound, _ = store.login(token, "carl")
    store.delete(bound)

    told = [(each.kind, each.principal, each.detail) for each in store.events() if each.kind != "created"]

    by = {"by": "eve@support"}
    assert told == [("revoked", "bob", by), ("revoked", None, by), ("login", "carl", by), ("deleted", "carl", {})]


def test_what_operators_do_to_the_store(home: Path, tmp_path: Path, clock: FakeClock) -> None:
    """Backup, compaction, restore and another policy are in the audit, with who did it, from the start."""
    store = LmdbStore(Settings(home=home), clock=clock)
    store.create({}, principal="ann")
    with coatcheck.acting_as("eve"):
        store.backup(tmp_path / "copy")
        store.compact()
        store.change_policy(max_flashes=7)
        store.sweep()
        store.note_action("data_viewed", sid="ab" * 16, principal="ann")
    store.sweep()
    told = {each.kind: each.detail for each in store.events()}
    store.close()
    restore(Settings(home=home), tmp_path / "copy")
    restored = LmdbStore(Settings(home=home), clock=clock)
    after = [(each.kind, each.detail.get("by")) for each in restored.events()]
    restored.close()

    assert told["backed_up"] == {"by": "eve", "target": str(tmp_path / "copy")}
    assert told["compacted"].keys() == {"by", "before", "after"}
    assert told["policy_changed"] == {"by": "eve", "max_flashes": [100, 7]}
    assert told["swept"] == {"by": "eve", "removed": 0}
    assert told["data_viewed"] == {"by": "eve"}
    assert len(told) == 6
    assert after == [("created", None), ("restored", operator())]


def test_a_backup_that_cannot_be_told_of_is_a_backup(
    store: LmdbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While a writer stands still a backup is made, and the log says that the audit does not know."""

    def busy(*_: object, **__: object) -> None:
        raise StoreUnavailable("busy")  # noqa: EM101

    monkeypatch.setattr(store, "_tell_action", busy)

    store.backup(tmp_path / "copy")

    assert (tmp_path / "copy" / "store").exists()
    assert "no audit event" in caplog.text
