"""Repeats: the same request sent again, because its answer was lost, is applied once and answered alike."""

from __future__ import annotations

import os

import pytest

from coatcheck.changes import AnyChange, Append, Increment, Set
from coatcheck.errors import SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase


class RepeatsContract(ContractBase):
    """Request ids."""

    def test_a_repeated_create_finds_its_session(self, store: SessionStore) -> None:
        """The same create again: the same token and sid, one session."""
        user, token, request = self.someone(), self.mint(), os.urandom(16)
        first = store.create({"a": 1}, principal=user, token=token, request_id=request)

        again = store.create({"a": 1}, principal=user, token=token, request_id=request)

        assert again[0] == first[0] == token
        assert again[1].sid == first[1].sid
        assert again[1].data == {"a": 1}
        assert len(store.sessions_of(user)) == 1

    def test_another_create_with_the_same_token_is_no_repeat(self, store: SessionStore) -> None:
        """A token in use under another request id is a conflict."""
        token = self.mint()
        store.create({"a": 1}, token=token, request_id=os.urandom(16))

        with pytest.raises(SessionConflict):
            store.create({"a": 2}, token=token, request_id=os.urandom(16))

    def test_a_repeated_save_adds_once(self, store: SessionStore) -> None:
        """The same save again changes nothing more; another one does."""
        token, _ = store.create({})
        request = os.urandom(16)
        changes: list[AnyChange] = [Increment("hits"), Append("seen", 7)]
        first = store.save(token, changes, request_id=request)

        again = store.save(token, changes, request_id=request)
        assert again.data == first.data == {"hits": 1, "seen": [7]}
        assert again.version == first.version

        other = store.save(token, changes, request_id=os.urandom(16))
        assert other.data == {"hits": 2, "seen": [7, 7]}

    def test_a_repeat_after_other_saves(self, store: SessionStore) -> None:
        """Requests that came in between do not make a repeat count again."""
        token, _ = store.create({})
        request = os.urandom(16)
        store.save(token, [Increment("hits")], request_id=request)
        for _ in range(5):
            store.save(token, [Increment("hits")], request_id=os.urandom(16))

        assert store.save(token, [Increment("hits")], request_id=request).data == {"hits": 6}

    def test_a_repeat_behind_a_crowd(self, store: SessionStore) -> None:
        """However many ask at once: who asks again is known, after a hundred others."""
        token, _ = store.create({}, flashes=[FlashMessage.info("taken")])
        saved, flashed, taken = os.urandom(16), os.urandom(16), os.urandom(16)
        store.save(token, [Increment("hits")], request_id=saved)
        first = store.take_flashes(token, request_id=taken)
        store.add_flash(token, FlashMessage.info("once"), request_id=flashed)
        for _ in range(50):
            store.save(token, [Increment("hits")], request_id=os.urandom(16))
            store.add_flash(token, FlashMessage.info("other"), request_id=os.urandom(16))
            store.take_flashes(token, request_id=os.urandom(16))

        assert store.save(token, [Increment("hits")], request_id=saved).data == {"hits": 51}
        store.add_flash(token, FlashMessage.info("once"), request_id=flashed)
        assert store.take_flashes(token)[1] == []
        assert store.take_flashes(token, request_id=taken) == first

    def test_a_repeated_save_with_a_version_is_no_conflict(self, store: SessionStore) -> None:
        """The version that a repeat expects is past, by its own first time: that is no conflict."""
        token, record = store.create({"a": 1})
        request = os.urandom(16)
        store.save(token, [Set("a", 2)], if_version=record.version, request_id=request)

        again = store.save(token, [Set("a", 2)], if_version=record.version, request_id=request)

        assert again.data == {"a": 2}

    def test_a_refused_save_can_be_repeated(self, store: SessionStore) -> None:
        """A request that was refused has not been applied, so its id does not count as seen."""
        token, _ = store.create({"a": 1})
        request = os.urandom(16)
        with pytest.raises(SessionConflict):
            store.save(token, [Increment("a")], if_version=99, request_id=request)

        assert store.save(token, [Increment("a")], request_id=request).data == {"a": 2}

    def test_the_ids_of_one_session_mean_nothing_to_another(self, store: SessionStore) -> None:
        """Each session has its own list of what it has seen."""
        request = os.urandom(16)
        tokens = [store.create({})[0] for _ in range(2)]

        for token in tokens:
            assert store.save(token, [Increment("hits")], request_id=request).data == {"hits": 1}

    def test_a_repeated_flash_is_shown_once(self, store: SessionStore) -> None:
        """The same add_flash again adds nothing."""
        token, _ = store.create({})
        request = os.urandom(16)
        flash = FlashMessage.info("once")
        store.add_flash(token, flash, request_id=request)
        store.add_flash(token, flash, request_id=request)

        assert store.take_flashes(token)[1] == [flash]

    def test_a_repeated_take_gets_the_same_flashes(self, store: SessionStore) -> None:
        """The answer of a take was lost: the same request again gets it, and it can be restored once."""
        flashes = [FlashMessage.info("one"), FlashMessage.info("two")]
        token, _ = store.create({}, flashes=flashes)
        request = os.urandom(16)

        first = store.take_flashes(token, request_id=request)
        store.add_flash(token, FlashMessage.info("later"))
        again = store.take_flashes(token, request_id=request)

        assert again == first
        assert first[1] == flashes
        assert store.take_flashes(token, request_id=os.urandom(16))[1] == [FlashMessage.info("later")]

    def test_a_take_without_an_answer_can_be_restored(self, store: SessionStore) -> None:
        """Its take id is that of the request in hex, so whoever has asked knows it without the answer."""
        flashes = [FlashMessage.info("one"), FlashMessage.info("two")]
        token, _ = store.create({}, flashes=flashes)
        request = os.urandom(16)

        assert store.take_flashes(token, request_id=request)[0] == request.hex()

        assert store.restore_flashes(token, request.hex()) == 2
        assert store.take_flashes(token)[1] == flashes

    def test_a_repeated_rotate_finds_its_token(self, store: SessionStore) -> None:
        """The same rotation again, by the token that it has retired, gets the same new token."""
        token, record = store.create({"a": 1})
        wanted, request = self.sibling(record.sid), os.urandom(16)
        changes = [Increment("a")]
        first = store.rotate(token, changes=changes, new_token=wanted, request_id=request)

        again = store.rotate(token, changes=changes, new_token=wanted, request_id=request)

        assert again[0] == first[0] == wanted
        assert again[1].sid == record.sid
        assert again[1].data == {"a": 2}
        assert store.load(wanted) is not None

    def test_a_repeated_rotate_with_grace(self, store: SessionStore) -> None:
        """A repeat by a token in grace is still that rotation, and gets its token rather than None."""
        token, record = store.create({})
        wanted, request = self.sibling(record.sid), os.urandom(16)
        store.rotate(token, grace=10.0, new_token=wanted, request_id=request)

        assert store.rotate(token, grace=10.0, new_token=wanted, request_id=request)[0] == wanted

    def test_a_repeated_login_finds_its_token(self, store: SessionStore) -> None:
        """The same login again, by the token that it has retired, gets the same new token."""
        user = self.someone()
        token, record = store.create({"a": 1})
        wanted, request = self.sibling(record.sid), os.urandom(16)
        first = store.login(token, user, changes=[Increment("a")], new_token=wanted, request_id=request)

        again = store.login(token, user, changes=[Increment("a")], new_token=wanted, request_id=request)

        assert again[0] == first[0] == wanted
        assert again[1].principal == user
        assert again[1].data == {"a": 2}
        assert len(store.sessions_of(user)) == 1

    def test_a_retired_token_repeats_nothing_else(self, store: SessionStore) -> None:
        """Whoever knows an old token but not the request that retired it gets nothing by it."""
        token, record = store.create({})
        wanted = self.sibling(record.sid)
        store.rotate(token, new_token=wanted, request_id=os.urandom(16))

        for request in (os.urandom(16), None):
            with pytest.raises(SessionMissing, match="retired"):
                store.rotate(token, new_token=self.sibling(record.sid), request_id=request)
        with pytest.raises(SessionMissing, match="retired"):
            store.login(token, self.someone(), request_id=os.urandom(16))

        assert store.load(wanted) is not None

    def test_a_repeat_brings_nothing_back(self, store: SessionStore) -> None:
        """After a delete the repeat of an earlier request is refused like any other."""
        token, request = self.mint(), os.urandom(16)
        store.create({"a": 1}, token=token, request_id=request)
        saved = os.urandom(16)
        store.save(token, [Increment("a")], request_id=saved)
        store.delete(token)

        with pytest.raises(SessionConflict):
            store.create({"a": 1}, token=token, request_id=request)
        with pytest.raises(SessionMissing):
            store.save(token, [Increment("a")], request_id=saved)

        assert store.load(token) is None

    def test_an_id_is_remembered_for_a_minute_at_least(self, store: SessionStore, clock: FakeClock) -> None:
        """A repeat within 60 seconds counts once."""
        token, _ = store.create({}, lifetimes=HOUR)
        request = os.urandom(16)
        store.save(token, [Increment("hits")], request_id=request)
        clock.advance(59)

        assert store.save(token, [Increment("hits")], request_id=request).data == {"hits": 1}
