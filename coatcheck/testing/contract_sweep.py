"""Sweep: it removes what is expired now, and nothing else."""

from __future__ import annotations

from coatcheck.changes import Set
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase

LONG = 400 * 86400
"""Seconds after which nothing is remembered of a session that has ended."""


class SweepContract(ContractBase):
    """A store may sweep by itself as well, so tests look at what is left rather than at who removed it."""

    def test_sweep_removes_the_expired_alone(self, store: SessionStore, clock: FakeClock) -> None:
        """Of sessions with different deadlines exactly the expired ones go."""
        ages = (100, 200, 300, 400)
        made = {each: store.create({"n": each}, lifetimes=Lifetimes(idle=each, absolute=None)) for each in ages}
        clock.advance(250)

        reports = self.sweep_all(store)

        present = {each.sid for each in store.scan()}
        assert {each for each, (_, record) in made.items() if record.sid in present} == {300, 400}
        assert not any(report.held for report in reports)
        for each, (token, _) in made.items():
            assert self.reason(store, token) == (None if each > 250 else "expired")

    def test_sweep_at_the_deadline_itself(self, store: SessionStore, clock: FakeClock) -> None:
        """The sweep has the same boundary as load: at its deadline a session is expired, before it is not."""
        token, record = store.create({}, lifetimes=HOUR)
        clock.until(record.expires_at - 1)
        self.sweep_all(store)
        assert store.load(token, touch=False) is not None

        clock.until(record.expires_at)
        before = store.stats().sessions
        self.sweep_all(store)

        assert store.stats().sessions <= before - 1
        assert store.stats().due == 0
        assert self.reason(store, token) == "expired"

    def test_an_extended_session_survives_its_first_deadline(self, store: SessionStore, clock: FakeClock) -> None:
        """A session saved again is still there after a sweep at the deadline it was filed under at first."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(3000)
        store.save(token, [Set("a", 2)])
        clock.until(record.expires_at)

        self.sweep_all(store)
        self.sweep_all(store)

        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == {"a": 2}

    def test_a_touched_session_is_swept_at_its_last_deadline(self, store: SessionStore, clock: FakeClock) -> None:
        """A session that was touched again and again goes at its last deadline, not before."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)
        for _ in range(5):
            clock.advance(3000)
            self.sweep_all(store)
            assert store.load(token) is not None
        last = store.load(token, touch=False)
        assert last is not None

        clock.until(last.expires_at - 1)
        self.sweep_all(store)
        assert store.load(token, touch=False) is not None
        clock.until(last.expires_at)
        self.sweep_all(store)

        assert last.sid not in [each.sid for each in store.scan()]

    def test_what_replaced_a_deleted_session_is_not_swept(self, store: SessionStore, clock: FakeClock) -> None:
        """A session made after a delete is not swept by the entry of the deleted one."""
        user = self.someone()
        token, old = store.create({"n": 1}, principal=user, lifetimes=HOUR)
        clock.advance(3000)
        store.delete(token)
        other, _ = store.create({"n": 2}, principal=user, lifetimes=HOUR)
        clock.until(old.expires_at)

        self.sweep_all(store)

        loaded = store.load(other)
        assert loaded is not None
        assert loaded.data == {"n": 2}

    def test_sweep_takes_at_most_its_limit(self, store: SessionStore, clock: FakeClock) -> None:
        """One call handles at most ``limit`` entries and says whether more are due."""
        self.sweep_all(store)
        made = [store.create({}, lifetimes=Lifetimes(idle=100, absolute=None))[1] for _ in range(25)]
        clock.advance(100)

        first = store.sweep(limit=10)

        assert first.removed + first.refiled + first.forgotten <= 10
        reports = [first, *self.sweep_all(store)]
        assert not reports[-1].more
        assert sum(each.removed for each in reports) <= 25
        assert not {each.sid for each in made} & {each.sid for each in store.scan()}

    def test_a_swept_session_leaves_no_trace_in_lists(self, store: SessionStore, clock: FakeClock) -> None:
        """After the sweep the principal has no session, and what it had in store is given back."""
        user = self.someone()
        before = store.stats()
        store.create({"blob": b"x" * 30_000}, principal=user, flashes=[FlashMessage.info("hi")], lifetimes=HOUR)
        assert store.stats().sessions == before.sessions + 1
        clock.advance(3600)
        assert store.sessions_of(user) == []

        self.sweep_all(store)

        assert store.sessions_of(user) == []
        assert store.revoke(user) == 0
        assert store.stats().sessions <= before.sessions
        assert store.stats().principals <= before.principals

    def test_the_reason_is_remembered_after_the_sweep(self, store: SessionStore, clock: FakeClock) -> None:
        """For a while a token still knows why it has no session; in the end it is like any unknown one."""
        user = self.someone()
        tokens = {
            "expired": store.create({}, lifetimes=Lifetimes(idle=60, absolute=None))[0],
            "deleted": store.create({})[0],
            "revoked": store.create({}, principal=user)[0],
            "retired": store.create({}, lifetimes=Lifetimes(idle=None, absolute=None))[0],
        }
        clock.advance(60)
        store.delete(tokens["deleted"])
        store.revoke(user)
        rotated, _ = store.rotate(tokens["retired"])
        assert rotated is not None
        self.sweep_all(store)
        assert {each: self.reason(store, token) for each, token in tokens.items()} == {each: each for each in tokens}

        clock.advance(LONG)
        self.sweep_all(store)

        assert {self.reason(store, token) for token in tokens.values()} == {"unknown"}
        assert store.load(rotated) is not None
        assert store.delete(rotated) is True

    def test_nothing_is_swept_after_the_wall_clock_jumped(self, store: SessionStore, clock: FakeClock) -> None:
        """A wall clock that jumps holds the sweep until both clocks have agreed for ten minutes."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)
        self.sweep_all(store)
        clock.step(2 * 3600)
        try:
            assert store.sweep().held
            clock.advance(300)
            assert store.sweep().held
            assert record.sid not in [each.sid for each in store.scan()]
            assert store.stats().sessions >= 1
        finally:
            clock.step(-2 * 3600)
        assert store.load(token) is not None
        store.sweep()
        for _ in range(11):
            clock.advance(60)
            report = store.sweep()
        assert not report.held
        assert store.load(token) is not None

    def test_a_clock_put_back_revives_nothing_that_was_swept(self, store: SessionStore, clock: FakeClock) -> None:
        """What a sweep removed stays away, wherever the wall clock goes."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(3600)
        self.sweep_all(store)
        clock.step(-3600)
        try:
            assert store.load(token) is None
        finally:
            clock.step(3600)
        for _ in range(11):
            clock.advance(60)
            store.sweep()
        assert not store.sweep().held
