"""What can be stored comes back as it was; what cannot is named; nothing of it is shown."""

from __future__ import annotations

import pickle
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from coatcheck.changes import Set
from coatcheck.errors import CoatcheckError, UnstorableValue
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.store.record import Record
from coatcheck.testing.contract_base import WRITING_VERBS, ContractBase, forged

VALUES: dict[str, Any] = {
    "none": None,
    "bool": True,
    "int": -7,
    "wide int": 2**80,
    "negative wide int": -(2**70),
    "float": 0.1,
    "infinity": float("inf"),
    "text": "naïve 🧥 \x00",
    "bytes": b"\x00\xff",
    "list": [1, [2, [3, []]]],
    "tuple": (1, ("2", [3])),
    "dict": {"a": {"b": [{"c": 1}]}},
    "int keys": {1: "one", 2: "two"},
    "set": {3, 1, 2},
    "frozenset": frozenset({"a", "b"}),
    "naive datetime": datetime(2026, 2, 3, 4, 5, 6, 789),  # noqa: DTZ001 - naive ones are stored too
    "aware datetime": datetime(2026, 2, 3, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "date": date(2026, 2, 28),
    "time": time(23, 59, 59, 999999),
    "timedelta": timedelta(days=-1, microseconds=1),
    "uuid": UUID(int=5),
    "decimal": Decimal("10.010"),
}

SECRET = "the-users-own-data"
"""What must not be seen."""


class ValuesContract(ContractBase):
    """Values, and silence about them."""

    @pytest.mark.parametrize("kind", VALUES)
    def test_a_value_comes_back_as_it_was(self, store: SessionStore, kind: str) -> None:
        """A value is loaded equal and of the same type, through create and through save."""
        value = VALUES[kind]
        token, _ = store.create({"created": value})
        store.save(token, [Set("saved", value)])

        loaded = store.load(token)

        assert loaded is not None
        for key in ("created", "saved"):
            assert loaded.data[key] == value
            assert type(loaded.data[key]) is type(value)
            assert repr(loaded.values()[key]) == repr(value) or isinstance(value, (set, frozenset))

    def test_all_values_together(self, store: SessionStore) -> None:
        """Many keys of many types in one session, and one of them changed, leave the others as they were."""
        token, _ = store.create(VALUES)

        saved = store.save(token, [Set("list", "changed")])

        assert saved.data == {**VALUES, "list": "changed"}
        assert list(saved.data) == list(VALUES)

    @pytest.mark.parametrize("size", [0, 1_400, 1_600, 4_000, 4_096, 40_000])
    def test_bodies_of_every_size(self, store: SessionStore, size: int) -> None:
        """A session grows and shrinks over the sizes at which it is kept in other ways."""
        token, _ = store.create({"small": 1, "text": "x" * size})
        for length in (size, 40_000, 10, size):
            store.save(token, [Set("text", "y" * length), Set("blob", b"z" * (length // 3))])

            loaded = store.load(token)

            assert loaded is not None
            assert loaded.data == {"small": 1, "text": "y" * length, "blob": b"z" * (length // 3)}

    def test_a_record_cannot_be_changed(self, store: SessionStore) -> None:
        """What was handed out is the caller's: changing it changes nothing in the store or in other records."""
        token, _ = store.create({"list": [1]})
        first = store.load(token)
        assert first is not None

        first.values()["list"].append(2)
        first.data["list"].append(3)
        first.meta["ip"] = "x"
        with pytest.raises(TypeError):
            first.data["new"] = 1  # type: ignore[index]

        second = store.load(token)
        assert second is not None
        assert second.data == {"list": [1]}
        assert second.meta == {}

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (object(), "cart"),
            ([{"n": 1}, {"when": object()}], "cart[1].when"),
            ({"a": {"b": (1, lambda: None)}}, "cart.a.b[1]"),
            (float, "cart"),
        ],
    )
    def test_an_unstorable_value_is_named(self, store: SessionStore, value: Any, path: str) -> None:
        """The error names the path to the value and its type, and is a TypeError too."""
        token, _ = store.create({})

        with pytest.raises(UnstorableValue) as caught:
            store.save(token, [Set("cart", value)])
        with pytest.raises(TypeError):
            store.create({"cart": value})

        assert caught.value.path == path
        assert path in str(caught.value)

    def test_a_data_key_is_text(self, store: SessionStore) -> None:
        """Top-level keys are str; anything else is refused with its type."""
        with pytest.raises(TypeError, match="int"):
            store.create({1: "one"})  # type: ignore[dict-item]

    def test_records_show_neither_token_nor_data(self, store: SessionStore) -> None:
        """Records, their data, infos and reports can be logged: nothing in them is secret."""
        user = self.someone()
        flash = FlashMessage.info(SECRET, title=SECRET)
        token, record = store.create({"note": SECRET}, principal=user, flashes=[flash], meta={"ip": SECRET})
        saved = store.save(token, [Set("other", SECRET)])
        found = store.find(token)
        [info] = store.sessions_of(user)
        scanned = [each for each in store.scan() if each.sid == record.sid]

        shown: list[object] = [record, saved, found, info, scanned, record.data, record.flashes, store.stats()]
        for each in (*shown, Set("note", SECRET), flash, store.check()):
            for text in (repr(each), str(each), f"{each}"):
                assert SECRET not in text
                assert token not in text
                assert token[:20] not in text

    def test_errors_show_neither_token_nor_data(self, store: SessionStore) -> None:
        """What is raised may end up in a log: it names keys and sizes, never a token or a value."""
        token, _ = store.create({"note": SECRET})
        spoilt, unknown = forged(token), self.mint()
        calls: list[Any] = [
            lambda: store.create({"n": SECRET}, token=token),
            lambda: store.save(token, [Set("note", SECRET)], if_version=99),
            lambda: store.save(token, [Set("note", SECRET * 10_000)]),
            lambda: store.save(token, [Set("note", [SECRET, object()])]),
            *(lambda verb=verb: verb(store, unknown) for verb in WRITING_VERBS.values()),
            *(lambda verb=verb: verb(store, spoilt) for verb in WRITING_VERBS.values()),
        ]
        for call in calls:
            with pytest.raises(CoatcheckError) as caught:
                call()
            for text in (repr(caught.value), str(caught.value), repr(vars(caught.value))):
                assert SECRET not in text
                for each in (token, spoilt, unknown):
                    assert each[:20] not in text

    def test_a_record_travels(self, store: SessionStore) -> None:
        """A record goes to another process as bytes, or pickled, and is the same there."""
        user = self.someone()
        flash = FlashMessage.info("hi")
        _, record = store.create({"a": [1, {2, 3}]}, principal=user, flashes=[flash], meta={"label": "phone"})

        for other in (Record.from_wire(record.to_wire()), pickle.loads(pickle.dumps(record))):
            assert other.data == {"a": [1, {2, 3}]}
            assert (other.sid, other.version, other.principal) == (record.sid, record.version, user)
            assert (other.flashes, other.meta, other.lifetimes) == ([flash], {"label": "phone"}, record.lifetimes)
            assert other.packed("a") == record.packed("a") is not None
            assert other.packed("b") is None
