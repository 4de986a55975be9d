"""Parallel requests on one session: nothing is lost, nothing happens twice."""

from __future__ import annotations

from typing import Any

from coatcheck.changes import Append, Increment, Set
from coatcheck.errors import SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.testing.contract_base import ContractBase, MakeStore, outcome
from coatcheck.testing.together import together

MANY = 20


class ParallelContract(ContractBase):
    """Twenty threads on one store object; tests/faults does it with processes."""

    def test_twenty_keys_saved_at_once(self, store: SessionStore) -> None:
        """Twenty threads save twenty different keys of one session: twenty keys."""
        token, _ = store.create({})

        together(MANY, lambda number: store.save(token, [Set(f"key {number}", number)]))

        record = store.load(token)
        assert record is not None
        assert record.data == {f"key {number}": number for number in range(MANY)}
        assert record.version == 1 + MANY

    def test_increments_and_appends_add_up(self, store: SessionStore) -> None:
        """Twenty threads count and append on the same keys: all of it counts."""
        token, _ = store.create({})

        together(MANY, lambda number: store.save(token, [Increment("hits"), Append("seen", number)]))

        record = store.load(token)
        assert record is not None
        assert record.data["hits"] == MANY
        assert sorted(record.data["seen"]) == list(range(MANY))

    def test_twenty_flashes_shown_once_each(self, store: SessionStore) -> None:
        """Twenty threads add a flash each while five take: each message is taken exactly once."""
        token, _ = store.create({})
        taken: list[FlashMessage] = []

        def work(number: int) -> None:
            if number < MANY:
                store.add_flash(token, FlashMessage.info(f"message {number}"))
            else:
                for _ in range(4):
                    taken.extend(store.take_flashes(token)[1])

        together(MANY + 5, work)
        taken.extend(store.take_flashes(token)[1])

        assert sorted(each.message for each in taken) == sorted(f"message {number}" for number in range(MANY))

    def test_one_of_many_creates_wins(self, store: SessionStore) -> None:
        """Twenty creates under one token: one session, nineteen conflicts."""
        token = self.mint()

        answers = together(MANY, lambda number: outcome(lambda: store.create({"winner": number}, token=token)))

        [(_, winner)] = [each for each in answers if not isinstance(each, SessionConflict)]
        record = store.load(token)
        assert record is not None
        assert (record.sid, record.data) == (winner.sid, winner.data)

    def test_one_of_many_rotations_wins(self, store: SessionStore) -> None:
        """Twenty rotations of one token: one new token; without a grace the others find the old one retired."""
        token, before = store.create({})

        answers = together(MANY, lambda _: outcome(lambda: store.rotate(token)))

        refusals = [each for each in answers if isinstance(each, SessionMissing)]
        assert [each.reason for each in refusals] == ["retired"] * (MANY - 1)
        [new] = [each[0] for each in answers if each not in refusals]
        record = store.load(new)
        assert record is not None
        assert record.sid == before.sid

    def test_one_of_many_renewals_wins(self, store: SessionStore) -> None:
        """Twenty rotations with a grace: one new token, everybody gets the record."""
        token, before = store.create({})

        answers = together(MANY, lambda _: store.rotate(token, grace=60.0))

        assert len([new for new, _ in answers if new]) == 1
        assert {record.sid for _, record in answers} == {before.sid}

    def test_a_delete_among_saves_wins(self, store: SessionStore) -> None:
        """Whatever is saved around a delete, the session is gone afterwards."""
        token, _ = store.create({})

        def work(number: int) -> Any:
            if number == MANY // 2:
                return store.delete(token)
            if number % 2:
                return outcome(lambda: store.save(token, [Set(f"key {number}", number)]))
            return outcome(lambda: store.add_flash(token, FlashMessage.info("hi")))

        answers = together(MANY, work)

        assert answers[MANY // 2] is True
        refusals = [each for each in answers if isinstance(each, Exception)]
        assert all(isinstance(each, SessionMissing) and each.reason == "deleted" for each in refusals)
        assert store.load(token) is None
        assert self.reason(store, token) == "deleted"

    def test_one_of_many_deletes_says_yes(self, store: SessionStore) -> None:
        """Twenty deletes of one session: exactly one ended it."""
        token, _ = store.create({})

        assert together(MANY, lambda _: store.delete(token)).count(True) == 1

    def test_one_of_many_saves_for_a_version_wins(self, store: SessionStore) -> None:
        """Twenty saves that expect the same version: one is applied, the others conflict."""
        token, before = store.create({"n": None})

        def work(number: int) -> Any:
            return outcome(lambda: store.save(token, [Set("n", number)], if_version=before.version))

        answers = together(MANY, work)

        [saved] = [each for each in answers if not isinstance(each, SessionConflict)]
        record = store.load(token)
        assert record is not None
        assert record.data == saved.data == {"n": answers.index(saved)}

    def test_the_limit_of_a_principal_holds(self, open_store: MakeStore) -> None:
        """Twenty sign-ins at once leave as many sessions as are allowed."""
        store = open_store(max_sessions_per_principal=3)
        user = self.someone()

        together(MANY, lambda _: store.login(store.create({})[0], user))

        assert len(store.sessions_of(user)) == 3

    def test_loads_see_whole_saves(self, store: SessionStore) -> None:
        """A load beside saves sees all of a save or nothing of it."""
        token, _ = store.create({"left": 0, "right": 0})

        def work(number: int) -> None:
            if number < 4:
                for turn in range(25):
                    value = number * 100 + turn
                    store.save(token, [Set("left", value), Set("pad", "x" * (value * 7)), Set("right", value)])
            else:
                for _ in range(50):
                    record = store.load(token)
                    assert record is not None
                    assert record.data["left"] == record.data["right"]

        together(8, work)

    def test_sessions_do_not_mix(self, store: SessionStore) -> None:
        """Threads with a session each, read and written at once, see their own alone."""

        def work(number: int) -> None:
            token, first = store.create({"owner": number})
            for turn in range(10):
                assert store.save(token, [Set("turn", turn)]).data == {"owner": number, "turn": turn}
                record = store.load(token)
                assert record is not None
                assert (record.sid, record.data) == (first.sid, {"owner": number, "turn": turn})

        together(MANY, work)
