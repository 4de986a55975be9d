"""Two overlapping requests and a plain dict go the same ways: whatever is done, the store has what it must have."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coatcheck import Set
from coatcheck.client import SessionClient
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.record import Record
from coatcheck.testing import FakeClock

KEYS = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "x", 0.5]))
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["k", "l"]), st.lists(SCALARS, max_size=2), max_size=2),
    st.sets(st.integers(0, 3), max_size=3),
    st.tuples(st.lists(SCALARS, max_size=2)),
)
ALWAYS = "always"
"""A key that stays, so that the session is never emptied."""


def number(value: object) -> bool:
    """Whether it can be incremented."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class SessionMachine(RuleBasedStateMachine):
    """One session in use, and somebody else who changes the same record now and then.

    ``model`` is what the request must see. ``others`` is what somebody else did to keys that this request leaves alone
    until its next commit, when it must see that too.
    """

    @initialize(data=st.dictionaries(KEYS, VALUES, max_size=3))
    def start(self, data: dict[str, Any]) -> None:
        """A session with some data, opened."""
        self.directory = tempfile.TemporaryDirectory()
        settings = Settings(home=Path(self.directory.name) / "state")
        self.store = LmdbStore(settings, clock=FakeClock(), background=False)
        self.client = SessionClient(settings, store=self.store)
        self.token, record = self.store.create({**data, ALWAYS: 1})
        self.model: dict[str, Any] = record.values()
        self.used: set[str] = set()
        self.others: dict[str, Any] = {}
        self.session = self.client.open(self.token)

    def use(self, key: str) -> bool:
        """This request uses the key: from now on to its commit nobody else does."""
        if key in self.others:
            return False
        self.used.add(key)
        return True

    @rule(key=KEYS, value=VALUES)
    def set(self, key: str, value: Any) -> None:
        """``session[key] = value``."""
        if self.use(key):
            self.session[key] = copy.deepcopy(value)
            self.model[key] = copy.deepcopy(value)

    @rule(key=KEYS)
    def unset(self, key: str) -> None:
        """``session.pop(key, None)``."""
        if self.use(key):
            assert self.session.pop(key, None) == self.model.pop(key, None)

    @rule(key=KEYS, value=SCALARS)
    def change_inside(self, key: str, value: Any) -> None:
        """Whatever can be changed in place, is."""
        if not self.use(key):
            return
        for values in (self.session, self.model):
            inside = values.get(key)
            if isinstance(inside, tuple):
                inside = inside[0]
            if isinstance(inside, list):
                inside.append(value)
            elif isinstance(inside, dict):
                inside.setdefault("k", []).append(value)
            elif isinstance(inside, set):
                inside.symmetric_difference_update({1, 2})

    @rule(key=KEYS, by=st.sampled_from([1, -2, 0.5]))
    def increment(self, key: str, by: float) -> None:
        """``session.increment(key, by)``."""
        if number(self.model.get(key, 0)) and self.use(key):
            self.session.increment(key, by)
            self.model[key] = self.model.get(key, 0) + by

    @rule(key=KEYS, item=SCALARS, limit=st.sampled_from([None, 1, 3]))
    def append(self, key: str, item: Any, limit: int | None) -> None:
        """``session.append(key, item, limit)``."""
        if isinstance(self.model.get(key, []), list) and self.use(key):
            self.session.append(key, item, limit)
            items = [*self.model.get(key, []), item]
            self.model[key] = items if limit is None else items[-limit:]

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        """Reading hands the value out."""
        assert self.session.get(key) == self.model.get(key)

    @rule()
    def clear(self) -> None:
        """``session.clear()``, and one key put back."""
        if not self.others:
            self.used.update("abcd")
            self.session.clear()
            self.session[ALWAYS] = 1
            self.model = {ALWAYS: 1}

    @rule(key=KEYS, value=VALUES)
    def somebody_else_sets(self, key: str, value: Any) -> None:
        """Another request saves a key that this one has not used, though it may hold its value."""
        if key not in self.used:
            self.store.save(self.token, [Set(key, copy.deepcopy(value))])
            self.others[key] = copy.deepcopy(value)

    @rule()
    def commit(self) -> None:
        """The store has what this request did and what the other one did; so does the session, if it wrote."""
        assert self.session.commit() == self.token
        stored, seen = self.stored(), self.session._record
        assert stored.values() == {**self.model, **self.others}
        assert seen is not None
        if seen.version == stored.version:
            self.model.update(self.others)
            self.others = {}
        self.used = set()
        assert dict(self.session.items()) == self.model

    def stored(self) -> Record:
        """The record in the store."""
        record = self.store.load(self.token, touch=False)
        assert record is not None
        return record

    @rule()
    def commit_twice(self) -> None:
        """Nothing changed is no write."""
        self.commit()
        before = self.stored().to_wire()
        assert self.session.commit() == self.token
        assert self.stored().to_wire() == before

    @rule()
    def abandon(self) -> None:
        """What was not committed has not happened."""
        self.session.abandon()
        self.session.reload()
        self.model = self.stored().values()
        self.used, self.others = set(), {}
        assert self.session == self.model

    @invariant()
    def sees_what_it_did(self) -> None:
        """Between commits the request sees its own view, whatever others do."""
        if hasattr(self, "model"):
            assert {**self.session} == self.model

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "directory"):
            self.store.close()
            self.directory.cleanup()


TestSessionMachine = SessionMachine.TestCase
