"""Save: changes are applied in order to the record as it is then, all of them or none."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.changes import (
    AnyChange,
    Append,
    Clear,
    DropIfEmpty,
    Increment,
    PushFlash,
    ReplaceFlashes,
    Set,
    SetLifetimes,
    Unset,
)
from coatcheck.errors import ChangeRefused, SessionConflict, UnstorableValue
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase

START: dict[str, Any] = {"a": 1, "text": "x", "list": [1, 2]}
MISFIT: dict[str, Any] = {**START, "yes": True}

CASES: dict[str, tuple[list[AnyChange], dict[str, Any]]] = {
    "nothing": ([], {"a": 1, "text": "x", "list": [1, 2]}),
    "set": ([Set("a", 2), Set("b", None)], {"a": 2, "b": None, "text": "x", "list": [1, 2]}),
    "set twice": ([Set("a", 2), Set("a", 3)], {"a": 3, "text": "x", "list": [1, 2]}),
    "unset": ([Unset("a"), Unset("never there")], {"text": "x", "list": [1, 2]}),
    "clear": ([Clear()], {}),
    "set, clear, set": ([Set("b", 1), Clear(), Set("c", 2)], {"c": 2}),
    "unset, then set": ([Unset("a"), Set("a", "new")], {"a": "new", "text": "x", "list": [1, 2]}),
    "set, then unset": ([Set("b", 1), Unset("b")], {"a": 1, "text": "x", "list": [1, 2]}),
    "increment": ([Increment("a"), Increment("a", 5)], {"a": 7, "text": "x", "list": [1, 2]}),
    "increment by a float": ([Increment("a", 0.5)], {"a": 1.5, "text": "x", "list": [1, 2]}),
    "increment downwards": ([Increment("a", -3)], {"a": -2, "text": "x", "list": [1, 2]}),
    "increment over 64 bits": ([Increment("a", 2**64)], {"a": 2**64 + 1, "text": "x", "list": [1, 2]}),
    "increment a missing key": ([Increment("new", 3)], {"a": 1, "text": "x", "list": [1, 2], "new": 3}),
    "increment after unset": ([Unset("a"), Increment("a", 3)], {"text": "x", "list": [1, 2], "a": 3}),
    "append": ([Append("list", 3), Append("list", [4])], {"a": 1, "text": "x", "list": [1, 2, 3, [4]]}),
    "append to a missing key": ([Append("new", "x")], {"a": 1, "text": "x", "list": [1, 2], "new": ["x"]}),
    "append with a limit": (
        [Append("list", n, limit=3) for n in range(3, 9)],
        {"a": 1, "text": "x", "list": [6, 7, 8]},
    ),
    "append with a lower limit": ([Append("list", 3, limit=1)], {"a": 1, "text": "x", "list": [3]}),
    "append to what was set": ([Set("list", []), Append("list", 9)], {"a": 1, "text": "x", "list": [9]}),
    "an empty key": ([Set("", 1)], {"a": 1, "text": "x", "list": [1, 2], "": 1}),
}

REFUSED: dict[str, tuple[AnyChange, str]] = {
    "increment of a text": (Increment("text"), "text"),
    "increment of a list": (Increment("list"), "list"),
    "increment of a bool": (Increment("yes"), "yes"),
    "append to a number": (Append("a", 1), "a"),
    "append to a text": (Append("text", "y"), "text"),
    "increment of a text set before": (Increment("set before"), "set before"),
}


class ChangesContract(ContractBase):
    """What a save does to a record."""

    @pytest.mark.parametrize("case", CASES)
    def test_changes_are_applied_in_order(self, store: SessionStore, case: str) -> None:
        """The record after a save, as returned and as loaded, is the old one with the changes applied one by one."""
        changes, expected = CASES[case]
        token, record = store.create(START)

        saved = store.save(token, changes)

        assert saved.data == expected
        assert saved.sid == record.sid
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == expected
        assert loaded.values() == expected
        assert loaded.version == saved.version

    @pytest.mark.parametrize("case", REFUSED)
    def test_a_change_that_does_not_fit_is_refused(self, store: SessionStore, case: str) -> None:
        """An increment where no number is, an append where no list is: ChangeRefused with the key, nothing applied."""
        change, key = REFUSED[case]
        token, record = store.create(MISFIT)

        with pytest.raises(ChangeRefused) as caught:
            store.save(token, [Set("set before", "text"), change, Set("set after", 1)])

        assert caught.value.key == key
        assert key in str(caught.value)
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == MISFIT
        assert loaded.version == record.version

    def test_an_unstorable_value_refuses_the_whole_save(self, store: SessionStore) -> None:
        """One value that cannot be stored, and nothing of the save is."""
        token, _ = store.create(START)

        with pytest.raises(UnstorableValue):
            store.save(token, [Set("a", 2), Set("cart", [{"when": object()}])])

        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == START

    def test_saves_of_different_keys_both_survive(self, store: SessionStore) -> None:
        """Two requests that read the same record and save different keys leave both."""
        token, _ = store.create({})
        first, second = store.load(token), store.load(token)
        assert first is not None
        assert second is not None

        store.save(token, [Set("first", 1)])
        saved = store.save(token, [Set("second", 2)])

        assert saved.data == {"first": 1, "second": 2}

    def test_the_last_save_of_a_key_wins(self, store: SessionStore) -> None:
        """Of two saves of one key the later one counts."""
        token, _ = store.create({})
        store.save(token, [Set("key", "earlier")])

        assert store.save(token, [Set("key", "later")]).data == {"key": "later"}

    def test_the_version_counts_data_changes(self, store: SessionStore, clock: FakeClock) -> None:
        """A save that changes data adds one; a touch, a rotation, lifetimes and flashes add nothing."""
        token, record = store.create({}, lifetimes=HOUR)
        assert record.version == 1
        assert store.save(token, [Set("a", 1), Set("b", 2)]).version == 2
        assert store.save(token, [Increment("a")]).version == 3

        clock.advance(600)
        assert store.touch(token).version == 3
        store.add_flash(token, FlashMessage.info("hi"))
        store.take_flashes(token)
        assert store.save(token, [SetLifetimes(Lifetimes(idle=7200, absolute=None))]).version == 3
        rotated, record = store.rotate(token)
        assert rotated is not None
        assert record.version == 3
        assert store.save(rotated, [Unset("b")]).version == 4

    def test_if_version_holds(self, store: SessionStore) -> None:
        """A save for the version there is goes through."""
        token, record = store.create({"a": 1})

        saved = store.save(token, [Set("a", 2)], if_version=record.version)

        assert saved.data == {"a": 2}
        assert saved.version == record.version + 1

    def test_if_version_conflicts(self, store: SessionStore) -> None:
        """A save for a version that is past is refused with both versions, and changes nothing."""
        token, record = store.create({"a": 1})
        store.save(token, [Set("a", 2)])

        with pytest.raises(SessionConflict) as caught:
            store.save(token, [Set("a", 3)], if_version=record.version)

        assert (caught.value.expected, caught.value.found) == (record.version, record.version + 1)
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == {"a": 2}

    def test_a_touch_makes_no_conflict(self, store: SessionStore, clock: FakeClock) -> None:
        """Somebody else looking at the session does not make a save conflict."""
        token, record = store.create({"a": 1}, lifetimes=HOUR)
        clock.advance(600)
        assert store.load(token) is not None
        store.add_flash(token, FlashMessage.info("hi"))

        assert store.save(token, [Set("a", 2)], if_version=record.version).data == {"a": 2}

    def test_clear_leaves_the_rest(self, store: SessionStore) -> None:
        """Clear removes keys; flashes, principal, meta and lifetimes stay."""
        user = self.someone()
        flash = FlashMessage.info("hi")
        token, _ = store.create({"a": 1}, principal=user, lifetimes=HOUR, meta={"ip": "x"}, flashes=[flash])

        record = store.save(token, [Clear()])

        assert record.data == {}
        assert (record.principal, record.flashes, record.meta) == (user, [flash], {"ip": "x"})
        assert record.lifetimes == HOUR

    def test_flashes_in_a_save(self, store: SessionStore) -> None:
        """A save can push flashes and replace them, in order with the other changes."""
        old, new, last = FlashMessage.info("old"), FlashMessage("question", "new?"), FlashMessage.error("last")
        token, _ = store.create({}, flashes=[old])

        assert store.save(token, [PushFlash(new)]).flashes == [old, new]
        record = store.save(token, [Set("a", 1), ReplaceFlashes((new, new)), PushFlash(last)])

        assert record.flashes == [new, new, last]
        assert record.data == {"a": 1}
        assert store.save(token, [ReplaceFlashes(())]).flashes == []

    @pytest.mark.parametrize("left", ["data", "flashes", "principal"])
    def test_drop_if_empty_keeps_what_has_something(self, store: SessionStore, left: str) -> None:
        """A session with data, flashes or a principal left is not dropped."""
        token, _ = store.create(
            {"a": 1} if left == "data" else {},
            flashes=[FlashMessage.info("hi")] if left == "flashes" else [],
            principal=self.someone() if left == "principal" else None,
        )

        record = store.save(token, [Unset("b"), DropIfEmpty()])

        assert not record.ended
        assert store.load(token) is not None

    def test_drop_if_empty_ends_the_session(self, store: SessionStore) -> None:
        """A save that leaves nothing in the session ends it, for good."""
        token, _ = store.create({"a": 1}, flashes=[FlashMessage.info("hi")])
        store.take_flashes(token)

        record = store.save(token, [Unset("a"), DropIfEmpty()])

        assert record.ended
        assert store.load(token) is None
        assert self.reason(store, token) == "deleted"

    def test_drop_if_empty_sees_what_others_saved(self, store: SessionStore) -> None:
        """Whether a session is empty is decided by the record as it is, not as the request has read it."""
        token, _ = store.create({"a": 1})
        store.save(token, [Set("from another request", 1)])

        record = store.save(token, [Unset("a"), DropIfEmpty()])

        assert not record.ended
        assert record.data == {"from another request": 1}
