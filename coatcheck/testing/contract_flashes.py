"""Flashes: a mailbox that each message leaves exactly once."""

from __future__ import annotations

import pytest

from coatcheck.changes import Clear, PushFlash
from coatcheck.errors import SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase, MakeStore


def numbered(*numbers: int) -> list[FlashMessage]:
    """Messages that can be told apart."""
    return [FlashMessage.info(f"message {each}") for each in numbers]


class FlashesContract(ContractBase):
    """Add, take, restore."""

    def test_flashes_are_taken_in_order_and_once(self, store: SessionStore) -> None:
        """A take returns all messages, oldest first, and leaves an empty mailbox."""
        token, _ = store.create({})
        added = [FlashMessage.success("one"), FlashMessage("my category", "two", "title"), FlashMessage.error("three")]
        for each in added:
            store.add_flash(token, each)

        _, taken = store.take_flashes(token)

        assert taken == added
        assert store.take_flashes(token)[1] == []

    def test_equal_flashes_are_all_shown(self, store: SessionStore) -> None:
        """The same message twice is two messages."""
        token, _ = store.create({}, flashes=numbered(1, 1))
        store.add_flash(token, *numbered(1))

        assert store.take_flashes(token)[1] == numbered(1, 1, 1)

    def test_looking_does_not_take(self, store: SessionStore) -> None:
        """The record shows the flashes; they stay until they are taken."""
        token, _ = store.create({}, flashes=numbered(1))

        for _ in range(2):
            record = store.load(token)
            assert record is not None
            assert record.flashes == numbered(1)

        assert store.take_flashes(token)[1] == numbered(1)

    def test_taking_nothing_is_no_write(self, store: SessionStore, clock: FakeClock) -> None:
        """An empty mailbox gives an empty list, and the record stays byte for byte as it was."""
        token, _ = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(600)
        before = store.find(token).record
        assert before is not None

        take_id, taken = store.take_flashes(token)

        assert taken == []
        assert isinstance(take_id, str)
        after = store.find(token).record
        assert after is not None
        assert after.to_wire() == before.to_wire()
        assert store.restore_flashes(token, take_id) == 0

    def test_flashes_leave_data_alone(self, store: SessionStore) -> None:
        """Adding and taking change neither data nor its version."""
        token, before = store.create({"a": [1]})
        store.add_flash(token, *numbered(1))
        store.take_flashes(token)

        record = store.load(token)

        assert record is not None
        assert (record.data, record.version, record.flashes) == ({"a": [1]}, before.version, [])

    def test_adding_to_a_missing_session_is_reported(self, store: SessionStore) -> None:
        """A message that nobody will see is an error of the caller's to know."""
        token, _ = store.create({})
        store.delete(token)

        with pytest.raises(SessionMissing, match="deleted"):
            store.add_flash(token, *numbered(1))

    def test_restore_puts_back_in_front(self, store: SessionStore) -> None:
        """What was taken and not shown comes back, before what was added meanwhile."""
        token, _ = store.create({}, flashes=numbered(1, 2))
        take_id, taken = store.take_flashes(token)
        store.add_flash(token, *numbered(3))

        assert store.restore_flashes(token, take_id) == 2

        assert taken == numbered(1, 2)
        assert store.take_flashes(token)[1] == numbered(1, 2, 3)

    def test_restore_works_once(self, store: SessionStore) -> None:
        """A second restore of the same take puts nothing back."""
        token, _ = store.create({}, flashes=numbered(1))
        take_id, _ = store.take_flashes(token)

        assert store.restore_flashes(token, take_id) == 1
        assert store.restore_flashes(token, take_id) == 0
        assert store.take_flashes(token)[1] == numbered(1)
        assert store.restore_flashes(token, take_id) == 0

    @pytest.mark.parametrize(("waited", "restored"), [(59.0, 1), (61.0, 0)])
    def test_restore_works_for_a_minute(
        self, store: SessionStore, clock: FakeClock, waited: float, restored: int
    ) -> None:
        """A take can be undone within 60 seconds."""
        token, _ = store.create({}, flashes=numbered(1))
        take_id, _ = store.take_flashes(token)
        clock.advance(waited)

        assert store.restore_flashes(token, take_id) == restored

        assert store.take_flashes(token)[1] == numbered(1)[:restored]

    def test_restore_knows_the_take(self, store: SessionStore) -> None:
        """A take id puts back what that take took, never what another one did; an unknown one puts back nothing."""
        token, _ = store.create({}, flashes=numbered(1))
        other, _ = store.create({}, flashes=numbered(7))
        first, _ = store.take_flashes(token)
        foreign, _ = store.take_flashes(other)
        store.add_flash(token, *numbered(2))
        second, _ = store.take_flashes(token)

        assert len({first, second, foreign}) == 3
        for unknown in (foreign, "", "0" * 32, "no such take"):
            assert store.restore_flashes(token, unknown) == 0
        store.restore_flashes(token, first)
        assert store.take_flashes(token)[1] in (numbered(1), [])

    def test_restore_of_the_last_take(self, store: SessionStore) -> None:
        """The last take can be undone although there was one before it."""
        token, _ = store.create({}, flashes=numbered(1))
        store.take_flashes(token)
        store.add_flash(token, *numbered(2))
        last, _ = store.take_flashes(token)

        assert store.restore_flashes(token, last) == 1
        assert store.take_flashes(token)[1] == numbered(2)

    def test_an_empty_take_spoils_no_restore(self, store: SessionStore) -> None:
        """Between a take and its restore another request may have found the mailbox empty."""
        token, _ = store.create({}, flashes=numbered(1))
        take_id, _ = store.take_flashes(token)
        assert store.take_flashes(token)[1] == []

        assert store.restore_flashes(token, take_id) == 1

    def test_a_save_between_take_and_restore(self, store: SessionStore) -> None:
        """Saving data meanwhile loses neither the take nor the data."""
        token, _ = store.create({"a": 1}, flashes=numbered(1))
        take_id, _ = store.take_flashes(token)
        store.save(token, [Clear(), PushFlash(numbered(2)[0])])

        assert store.restore_flashes(token, take_id) == 1

        record = store.load(token)
        assert record is not None
        assert (record.data, record.flashes) == ({}, numbered(1, 2))

    def test_the_oldest_flashes_fall_out(self, store: SessionStore) -> None:
        """A mailbox holds 100 messages by default; the newest are kept."""
        token, _ = store.create({}, flashes=numbered(*range(98)))
        for each in numbered(*range(98, 105)):
            store.add_flash(token, each)

        assert store.take_flashes(token)[1] == numbered(*range(5, 105))

    def test_the_mailbox_holds_what_the_settings_say(self, open_store: MakeStore) -> None:
        """With ``max_flashes`` the cap is another one, for create, save, add and restore alike."""
        store = open_store(max_flashes=3)
        token, record = store.create({}, flashes=numbered(1, 2, 3, 4))
        assert record.flashes == numbered(2, 3, 4)
        assert store.save(token, [PushFlash(each) for each in numbered(5, 6)]).flashes == numbered(4, 5, 6)
        take_id, _ = store.take_flashes(token)
        store.add_flash(token, *numbered(7))
        store.restore_flashes(token, take_id)

        _, taken = store.take_flashes(token)

        assert len(taken) == 3
        assert taken[-1:] == numbered(7)

    def test_markup_and_wide_text_survive(self, store: SessionStore) -> None:
        """A message comes back with every character."""
        flash = FlashMessage("níveau", "<b>ä🧥\x00</b>" * 200, title="")
        token, _ = store.create({})
        store.add_flash(token, flash)

        [taken] = store.take_flashes(token)[1]

        assert taken == flash
        assert taken.title == ""
