"""Limits, tokens, principals: rows B16, B17, B21, C6 of the table in this package."""

from __future__ import annotations

import base64

import pytest

from coatcheck.changes import Set
from coatcheck.errors import SessionTooLarge
from coatcheck.flashes import FlashMessage
from coatcheck.store.lmdb import LmdbStore


def test_b16_a_session_does_not_grow_without_end(store: LmdbStore) -> None:
    """Data has a limit that names its biggest key, and a mailbox keeps its newest hundred."""
    token, _ = store.create({})

    with pytest.raises(SessionTooLarge, match="'blob'"):
        store.save(token, [Set("blob", "x" * 100_000)])
    for number in range(150):
        store.add_flash(token, FlashMessage.info(str(number)))

    assert [each.message for each in store.take_flashes(token)[1]] == [str(number) for number in range(50, 150)]


def test_b17_tokens_have_enough_bits_and_one_spelling(store: LmdbStore) -> None:
    """A token has 256 random bits; another way to write it is another token, and a forged one."""
    token, _ = store.create({})

    assert len(base64.urlsafe_b64decode(token + "==")) * 8 == 256 + 64
    for other in (token.upper(), token.lower(), token + "=", f" {token}", f"urn:uuid:{token}", f"{{{token}}}"):
        assert store.find(other).reason == "forged"


def test_b21_sessions_can_be_listed_and_ended_by_user(store: LmdbStore) -> None:
    """All devices of a user are listed, counted and signed out; each step shows in the counters."""
    made = [store.create({}, principal="ann")[0] for _ in range(3)]
    assert len(store.sessions_of("ann")) == store.stats().principals == 3

    assert store.revoke("ann", except_=made[0]) == 2

    assert len(store.sessions_of("ann")) == 1
    assert store.rotate(made[0])[0] is not None
    counters = store.stats().counters
    assert (counters["create"], counters["revoked"], counters["rotate"]) == (3, 2, 1)


def test_c6_a_planted_token_is_worth_nothing_after_login(store: LmdbStore) -> None:
    """Whoever planted a token before the login has none after it; after the logout nobody has."""
    planted, _ = store.create({})

    token, _ = store.login(planted, "ann")
    assert store.load(planted) is None
    store.delete(token)

    assert store.load(token) is None
    assert store.sessions_of("ann") == []
