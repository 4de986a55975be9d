"""Limits: how large a session may be, and what the error says."""

from __future__ import annotations

import pytest

from coatcheck.changes import Append, Clear, PushFlash, Set, Unset
from coatcheck.errors import SessionTooLarge
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.testing.contract_base import ContractBase, MakeStore

LIMIT = 65_536
"""The default of ``max_session_bytes``."""


class LimitsContract(ContractBase):
    """The size of one session."""

    def test_a_session_over_the_limit_names_its_biggest_key(self, store: SessionStore) -> None:
        """The error has the biggest key, the size and the limit, and nothing was stored."""
        token, before = store.create({"small": "x", "middle": "x" * 1000})

        with pytest.raises(SessionTooLarge) as caught:
            store.save(token, [Set("small", "y"), Set("huge", "z" * LIMIT)])

        assert caught.value.key == "huge"
        assert caught.value.limit == LIMIT
        assert caught.value.size > LIMIT
        assert "'huge'" in str(caught.value)
        assert str(LIMIT) in str(caught.value)
        assert "zzz" not in str(caught.value)
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == before.data
        assert loaded.version == before.version

    def test_create_has_the_limit_too(self, store: SessionStore) -> None:
        """A session is not made larger than it may grow, and what was refused leaves nothing behind."""
        user = self.someone()

        with pytest.raises(SessionTooLarge, match="blob"):
            store.create({"blob": b"x" * (LIMIT + 1), "a": 1}, principal=user)

        assert store.sessions_of(user) == []

    def test_many_small_things_reach_the_limit_too(self, store: SessionStore) -> None:
        """The biggest key is named although it was none of those that the save brought."""
        token, _ = store.create({"biggest": "x" * 30_000})

        with pytest.raises(SessionTooLarge) as caught:
            store.save(token, [Set(f"key {number}", "y" * 900) for number in range(45)])

        assert caught.value.key == "biggest"

    def test_an_append_reaches_the_limit(self, store: SessionStore) -> None:
        """A list that only ever grows is stopped, and named."""
        token, _ = store.create({"list": []})
        for _ in range(LIMIT // 5000):
            store.save(token, [Append("list", "x" * 5000)])

        with pytest.raises(SessionTooLarge, match="list"):
            store.save(token, [Append("list", "x" * 5000)])

        loaded = store.load(token)
        assert loaded is not None
        assert loaded.data == {"list": ["x" * 5000] * (LIMIT // 5000)}

    def test_flashes_count(self, store: SessionStore) -> None:
        """Flashes are part of a session's size."""
        token, _ = store.create({"a": 1})
        heavy = FlashMessage.info("x" * 40_000)
        store.add_flash(token, heavy)

        with pytest.raises(SessionTooLarge) as caught:
            store.add_flash(token, heavy)
        assert caught.value.key == "flashes"
        with pytest.raises(SessionTooLarge):
            store.save(token, [PushFlash(heavy)])

        assert store.take_flashes(token)[1] == [heavy]

    def test_a_full_session_can_shrink(self, store: SessionStore) -> None:
        """Up to the limit is allowed, and room that was made can be used again in the same save."""
        token, _ = store.create({"a": "x" * 60_000})

        record = store.save(token, [Set("b", "y" * 60_000), Unset("a")])
        assert list(record.data) == ["b"]
        record = store.save(token, [Clear(), Set("c", "z" * 65_000)])

        assert list(record.data) == ["c"]

    def test_the_limit_is_a_setting(self, open_store: MakeStore) -> None:
        """``max_session_bytes`` moves the limit both ways."""
        tight = open_store(max_session_bytes=1000)
        token, _ = tight.create({"a": "x" * 500})
        with pytest.raises(SessionTooLarge) as caught:
            tight.save(token, [Set("b", "x" * 600)])
        assert caught.value.limit == 1000

        wide = open_store(max_session_bytes=1_000_000)
        token, _ = wide.create({"a": "x" * 900_000})

        loaded = wide.load(token)
        assert loaded is not None
        assert loaded.data == {"a": "x" * 900_000}
