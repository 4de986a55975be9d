"""Lifetimes: how long a session lives, what prolongs it, and the moment it ends."""

from __future__ import annotations

import pytest

from coatcheck.changes import Set, SetLifetimes
from coatcheck.clock import NEVER, SECOND
from coatcheck.errors import SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import ANONYMOUS, SIGNED_IN, Lifetimes
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase

BOTH = Lifetimes(idle=600.0, absolute=1000.0, touch_interval=30.0)


class ExpiryContract(ContractBase):
    """Idle and absolute lifetimes under a held clock."""

    def test_default_lifetimes(self, store: SessionStore) -> None:
        """Without a choice an anonymous session and one of a principal get the defaults of the settings."""
        _, anonymous = store.create({})
        _, signed_in = store.create({}, principal=self.someone())

        assert anonymous.lifetimes == ANONYMOUS
        assert signed_in.lifetimes == SIGNED_IN
        assert anonymous.expires_at == anonymous.created_at + 1800 * SECOND

    def test_the_deadline_is_a_boundary(self, store: SessionStore, clock: FakeClock) -> None:
        """A session is live a microsecond before its deadline, and not at the deadline itself."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)

        clock.until(record.expires_at - 1)
        assert store.load(token, touch=False) is not None
        clock.until(record.expires_at)

        assert store.load(token) is None
        assert self.reason(store, token) == "expired"
        with pytest.raises(SessionMissing, match="expired"):
            store.save(token, [Set("a", 2)])

    def test_a_touch_through_load_is_stored(self, store: SessionStore, clock: FakeClock) -> None:
        """A load is a use: it moves the stored deadline, not only that of the record it hands out."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(3000)

        loaded = store.load(token)
        again = store.load(token, touch=False)

        assert loaded is not None
        assert again is not None
        for each in (loaded, again):
            assert each.last_seen_at == clock.now()
            assert each.expires_at == record.expires_at + 3000 * SECOND
        clock.advance(3000)
        assert store.load(token) is not None

    def test_a_load_without_touch_and_a_find_are_no_use(self, store: SessionStore, clock: FakeClock) -> None:
        """Looking without touch prolongs nothing."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(3000)

        assert store.load(token, touch=False) is not None
        assert store.find(token)

        loaded = store.load(token, touch=False)
        assert loaded is not None
        assert loaded.last_seen_at == record.last_seen_at
        clock.advance(600)
        assert store.load(token) is None

    def test_touches_are_throttled(self, store: SessionStore, clock: FakeClock) -> None:
        """At most one touch an interval is stored, by load as by touch."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)
        born = record.created_at

        clock.advance(59.999)
        assert store.touch(token).last_seen_at == born
        assert store.load(token) is not None
        assert store.touch(token).last_seen_at == born
        clock.advance(1)
        assert store.touch(token).last_seen_at == clock.now()
        clock.advance(59)
        assert store.touch(token).last_seen_at == clock.now() - 59 * SECOND

    def test_a_session_ends_at_most_one_interval_early(self, store: SessionStore, clock: FakeClock) -> None:
        """A use that was not stored costs at most one touch interval, and never adds any time."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(59)
        assert store.load(token) is not None
        used = clock.now()

        clock.until(used + (3600 - 60) * SECOND)
        assert store.load(token, touch=False) is not None
        clock.until(used + 3600 * SECOND)
        assert store.load(token, touch=False) is None

    def test_a_touch_changes_no_data(self, store: SessionStore, clock: FakeClock) -> None:
        """A touch returns the record as it is and overwrites nothing."""
        flash = FlashMessage.info("hi")
        token, _ = store.create({"a": 1}, lifetimes=HOUR, flashes=[flash], meta={"ip": "x"})
        store.save(token, [Set("b", 2)])
        clock.advance(600)

        touched = store.touch(token)

        assert touched.data == {"a": 1, "b": 2}
        assert (touched.flashes, touched.meta, touched.version) == ([flash], {"ip": "x"}, 2)

    def test_saving_keeps_a_session_alive(self, store: SessionStore, clock: FakeClock) -> None:
        """A save is a use as much as a load is."""
        token, _ = store.create({}, lifetimes=HOUR)
        for turn in range(5):
            clock.advance(3000)
            store.save(token, [Set("turn", turn)])

        assert store.load(token) is not None

    def test_no_use_outlives_the_absolute_lifetime(self, store: SessionStore, clock: FakeClock) -> None:
        """The absolute lifetime counts from creation, whatever is loaded, saved, touched or rotated meanwhile."""
        token, record = store.create({}, lifetimes=BOTH)
        absolute = record.created_at + 1000 * SECOND
        assert record.expires_at == record.created_at + 600 * SECOND

        clock.advance(500)
        assert store.load(token) is not None
        rotated, after = store.rotate(token)
        assert rotated is not None
        assert after.expires_at == absolute
        assert store.save(rotated, [Set("a", 1)]).expires_at == absolute
        clock.advance(300)
        assert store.touch(rotated).expires_at == absolute
        clock.until(absolute - 1)
        assert store.load(rotated) is not None
        clock.until(absolute)

        assert store.load(rotated) is None
        assert self.reason(store, rotated) == "expired"

    def test_lifetimes_can_be_shortened(self, store: SessionStore, clock: FakeClock) -> None:
        """A session with shorter lifetimes ends at the new deadline and is swept then."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)

        record = store.save(token, [SetLifetimes(BOTH)])

        assert record.lifetimes == BOTH
        assert record.expires_at == clock.now() + 600 * SECOND
        clock.until(record.expires_at)
        assert store.load(token) is None
        self.sweep_all(store)
        assert record.sid not in [each.sid for each in store.scan()]
        assert self.reason(store, token) == "expired"

    def test_lifetimes_can_be_extended(self, store: SessionStore, clock: FakeClock) -> None:
        """A session with longer lifetimes survives a sweep at its first deadline."""
        token, first = store.create({"a": 1}, lifetimes=BOTH)

        record = store.save(token, [SetLifetimes(HOUR)])

        assert record.expires_at == clock.now() + 3600 * SECOND
        clock.until(first.expires_at + SECOND)
        self.sweep_all(store)
        assert store.load(token) is not None

    def test_the_absolute_lifetime_goes_on_counting(self, store: SessionStore, clock: FakeClock) -> None:
        """Another absolute lifetime counts from where the session started, not from the change."""
        token, first = store.create({}, lifetimes=HOUR)
        clock.advance(300)

        record = store.save(token, [SetLifetimes(BOTH)])

        assert record.expires_at == min(clock.now() + 600 * SECOND, first.created_at + 1000 * SECOND)
        shorter = store.save(token, [SetLifetimes(Lifetimes(idle=600, absolute=301))])
        assert shorter.expires_at == first.created_at + 301 * SECOND

    def test_lifetimes_shorter_than_the_life_so_far_end_it(self, store: SessionStore, clock: FakeClock) -> None:
        """An absolute lifetime that has passed already ends the session."""
        token, _ = store.create({}, lifetimes=HOUR)
        clock.advance(300)

        store.save(token, [SetLifetimes(Lifetimes(idle=600, absolute=200))])

        assert store.load(token) is None

    def test_a_session_without_limits_does_not_expire(self, store: SessionStore, clock: FakeClock) -> None:
        """With neither lifetime a session lives until it is ended."""
        token, record = store.create({"a": 1}, lifetimes=Lifetimes(idle=None, absolute=None))
        assert record.expires_at == NEVER
        clock.advance(10 * 366 * 86400)

        self.sweep_all(store)

        assert store.load(token) is not None
        assert store.delete(token) is True

    def test_loading_leaves_the_lifetimes_alone(self, store: SessionStore, clock: FakeClock) -> None:
        """A short session does not become a long one by being used, nor a long one short."""
        chosen = (Lifetimes(idle=900, absolute=None), Lifetimes(idle=30 * 86400, absolute=90 * 86400))
        made = [(store.create({}, lifetimes=each)[0], each) for each in chosen]
        clock.advance(300)

        for token, lifetimes in made:
            loaded = store.load(token)
            assert loaded is not None
            assert loaded.lifetimes == lifetimes
            assert lifetimes.idle is not None
            assert loaded.expires_at == clock.now() + lifetimes.idle * SECOND
