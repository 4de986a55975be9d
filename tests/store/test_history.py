"""What the audit rings have of one session or principal, and a record by its sid."""

from __future__ import annotations

from coatcheck.store import audit
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock


def test_both_rings_are_read(store: LmdbStore, clock: FakeClock) -> None:
    """Events of a session, with their ring, in the order of time; of nobody else."""
    token, record = store.create({}, principal="ann")
    store.create({}, principal="bob")
    sid = bytes.fromhex(record.sid)
    environment = store.environment
    transaction = environment.begin_write(1.0)
    audit.note(transaction, environment.tables, clock.now() + 5, "replayed", sid, ring=audit.REFUSED)
    environment.end_write(transaction, commit=True)
    clock.advance(10)
    store.delete(token)

    found = store.history(sid=record.sid)

    assert [(ring, event.kind) for ring, event in found] == [
        (audit.LIFE, "created"),
        (audit.REFUSED, "replayed"),
        (audit.LIFE, "deleted"),
    ]
    assert [event.kind for _, event in store.history(principal="ann")] == ["created", "deleted"]
    assert store.history(principal="an") == []


def test_a_record_by_its_sid(store: LmdbStore, clock: FakeClock) -> None:
    """As it is, small or in chunks, without a touch; None once it has ended, swept or not."""
    _, small = store.create({"a": 1})
    _, big = store.create({"a": "x" * 20_000})
    clock.advance(600)

    found = store.session(big.sid)
    assert found is not None
    assert found.data["a"] == "x" * 20_000
    same = store.session(small.sid)
    assert same is not None
    assert (same.last_seen_at, dict(same.data)) == (small.last_seen_at, {"a": 1})

    clock.advance(3600)
    assert store.session(small.sid) is None
    store.sweep()
    assert store.session(small.sid) is None


def test_forget_stands_a_ring_that_moves(store: LmdbStore) -> None:
    """A name is taken out of its events, those of others and what holds the name within another stay."""
    for name in ("ann", "ann marie", "bob"):
        store.create({}, principal=name)

    assert store.forget("ann") == 1
    assert [each.principal for each in store.events()] == [None, "ann marie", "bob"]
    assert store.forget("ann") == 0
