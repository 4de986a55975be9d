"""Rotate: a new token for the same session, and what becomes of the old one."""

from __future__ import annotations

import pytest

from coatcheck.changes import Set
from coatcheck.clock import SECOND
from coatcheck.errors import ChangeRefused, SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase, forged


class RotationContract(ContractBase):
    """Rotation with and without a grace."""

    def test_rotate_gives_a_new_token_for_the_same_session(self, store: SessionStore, clock: FakeClock) -> None:
        """Sid, data, flashes, meta, principal and times stay; the token is new."""
        flash, user = FlashMessage.info("hi"), self.someone()
        token, before = store.create({"a": 1}, principal=user, lifetimes=HOUR, meta={"ip": "x"}, flashes=[flash])
        clock.advance(10)

        rotated, record = store.rotate(token)

        assert rotated is not None
        assert rotated != token
        loaded = store.load(rotated)
        assert loaded is not None
        for each in (record, loaded):
            assert (each.sid, each.principal, each.created_at) == (before.sid, user, before.created_at)
            assert (each.data, each.flashes, each.meta) == ({"a": 1}, [flash], {"ip": "x"})
            assert each.version == before.version
            assert each.lifetimes == HOUR
        assert [each.sid for each in store.sessions_of(user)] == [before.sid]

    def test_without_a_grace_the_old_token_is_retired_at_once(self, store: SessionStore) -> None:
        """The old token reaches nothing any more, and the live session does not end for it."""
        token, _ = store.create({"a": 1})

        rotated, _ = store.rotate(token)

        assert rotated is not None
        assert store.load(token) is None
        assert self.reason(store, token) == "retired"
        assert store.delete(token) is False
        assert store.load(rotated) is not None

    def test_a_token_in_grace_works_until_its_end(self, store: SessionStore, clock: FakeClock) -> None:
        """The grace has the same boundary as every deadline: it is over when the clock reaches it."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)
        rotated, _ = store.rotate(token, grace=10.0)
        assert rotated is not None
        ends = clock.now() + 10 * SECOND

        clock.until(ends - 1)
        found = store.find(token)
        assert found.record is not None
        assert found.record.in_grace
        assert store.save(token, [Set("a", 2)]).in_grace
        clock.until(ends)
        with pytest.raises(SessionMissing, match="retired"):
            store.save(token, [Set("a", 3)])

        assert store.load(token) is None
        assert self.reason(store, token) == "retired"
        current = store.load(rotated)
        assert current is not None
        assert not current.in_grace

    def test_a_token_in_grace_reaches_every_verb_but_rotate(self, store: SessionStore, clock: FakeClock) -> None:
        """Parallel requests that still carry the old token load, save, touch and flash as before."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)
        rotated, _ = store.rotate(token, grace=10.0)
        assert rotated is not None

        assert store.load(token) is not None
        store.save(token, [Set("b", 2)])
        store.touch(token)
        store.add_flash(token, FlashMessage.info("one"))
        take_id, flashes = store.take_flashes(token)
        assert store.restore_flashes(token, take_id) == len(flashes) == 1

        loaded = store.load(rotated)
        assert loaded is not None
        assert loaded.data == {"a": 1, "b": 2}
        assert store.delete(token) is True
        assert store.load(rotated) is None
        assert self.reason(store, rotated) == "deleted"

    def test_rotating_a_token_in_grace_gives_no_second_token(self, store: SessionStore) -> None:
        """Of two parallel renewals one gets the new token, the other the record and None."""
        token, before = store.create({"a": 1})
        rotated, _ = store.rotate(token, grace=10.0)
        assert rotated is not None

        again, record = store.rotate(token, grace=10.0)

        assert again is None
        assert record.sid == before.sid
        assert record.data == {"a": 1}
        assert store.load(rotated) is not None
        assert store.load(token) is not None

    def test_rotating_twice_keeps_both_graces(self, store: SessionStore, clock: FakeClock) -> None:
        """A second renewal within the first one's grace leaves each old token its own time."""
        first, _ = store.create({}, lifetimes=HOUR)
        second, _ = store.rotate(first, grace=10.0)
        assert second is not None
        clock.advance(5)
        third, _ = store.rotate(second, grace=10.0)
        assert third is not None

        assert store.load(first) is not None
        assert store.load(second) is not None
        clock.advance(5)
        assert self.reason(store, first) == "retired"
        assert store.load(second) is not None
        clock.advance(5)
        assert self.reason(store, second) == "retired"
        assert store.load(third) is not None

    def test_a_rotation_without_grace_ends_no_other_grace(self, store: SessionStore) -> None:
        """Each old token keeps the time that its own rotation gave it."""
        first, _ = store.create({})
        second, _ = store.rotate(first, grace=10.0)
        assert second is not None
        third, _ = store.rotate(second)
        assert third is not None

        assert self.reason(store, second) == "retired"
        assert store.load(third) is not None

    def test_a_grace_does_not_outlive_the_session(self, store: SessionStore) -> None:
        """Delete, revoke and revoke by sid end every grace."""
        for end in ("delete", "revoke", "revoke_sid"):
            user = self.someone()
            token, record = store.create({}, principal=user)
            rotated, _ = store.rotate(token, grace=3600.0)
            assert rotated is not None
            if end == "delete":
                assert store.delete(rotated)
            elif end == "revoke":
                assert store.revoke(user) == 1
            else:
                assert store.revoke_sid(record.sid)

            for each in (token, rotated):
                assert store.load(each) is None
                assert self.reason(store, each) == ("deleted" if end == "delete" else "revoked")
                with pytest.raises(SessionMissing):
                    store.save(each, [Set("back", 1)])

    def test_rotate_takes_a_minted_token(self, store: SessionStore) -> None:
        """The caller may mint the new token itself."""
        token, before = store.create({})
        wanted = self.sibling(before.sid)

        rotated, record = store.rotate(token, new_token=wanted)

        assert rotated == wanted
        assert record.sid == before.sid
        assert store.load(wanted) is not None

    def test_a_token_of_the_stores_own_mint_serves_every_verb_that_takes_one(self, store: SessionStore) -> None:
        """What ``mint`` answers opens nothing by itself; it is what create, rotate and login then use."""
        first = store.mint()
        assert store.find(first).reason == "unknown"
        token, _ = store.create({"a": 1}, token=first)
        second = store.mint(like=token)
        assert store.rotate(token, new_token=second)[0] == second
        third = store.mint(like=second)
        assert store.login(second, "ann", new_token=third)[0] == third
        assert (token, len({first, second, third})) == (first, 3)
        with pytest.raises(ValueError, match="form of a token"):
            store.mint(like="nothing of the kind")

    def test_rotate_takes_over_no_token_in_use(self, store: SessionStore) -> None:
        """Another session's token cannot become this one's, and a refused rotation retires nothing."""
        token, before = store.create({"mine": 1})
        other = self.sibling(before.sid)
        store.create({"other": 1}, token=other)

        with pytest.raises(SessionConflict):
            store.rotate(token, new_token=other)

        loaded = store.load(other)
        assert loaded is not None
        assert loaded.data == {"other": 1}
        assert store.load(token) is not None

    def test_rotate_with_changes_is_one_step(self, store: SessionStore) -> None:
        """Changes go with the rotation; when they are refused the old token lives on and nothing was applied."""
        token, record = store.create({"text": "x"})
        with pytest.raises(ChangeRefused):
            store.rotate(token, changes=[Set("a", 1), *self.misfits("text")])
        with pytest.raises(SessionConflict):
            store.rotate(token, changes=[Set("a", 1)], if_version=record.version + 1)
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == {"text": "x"}

        rotated, after = store.rotate(token, changes=[Set("a", 1)], if_version=record.version)

        assert rotated is not None
        assert after.data == {"text": "x", "a": 1}
        assert after.version == record.version + 1
        assert self.reason(store, token) == "retired"

    def test_a_forged_token_is_not_rotated(self, store: SessionStore) -> None:
        """Neither the old token nor the wanted one may be forged."""
        token, _ = store.create({})

        with pytest.raises(SessionMissing, match="forged"):
            store.rotate(forged(token))
        with pytest.raises(SessionMissing, match="forged"):
            store.rotate(token, new_token=forged(token))

        assert store.load(token) is not None

    def test_many_rotations_leave_one_session(self, store: SessionStore) -> None:
        """However often it is rotated, there is one session and one token that works."""
        user = self.someone()
        token, record = store.create({"n": 0}, principal=user)
        old = []
        for number in range(20):
            old.append(token)
            rotated, _ = store.rotate(token, changes=[Set("n", number)])
            assert rotated is not None
            token = rotated

        assert [each.sid for each in store.sessions_of(user)] == [record.sid]
        assert {self.reason(store, each) for each in old} == {"retired"}
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == {"n": 19}
