"""Create, load, find, delete, and what tokens that reach nothing get."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from coatcheck.changes import Set
from coatcheck.errors import BadToken, SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, WRITING_VERBS, ContractBase, forged

ENDINGS = ("deleted", "revoked", "revoked by sid", "expired", "expired and swept", "retired")


class LifecycleContract(ContractBase):
    """How a session begins and ends."""

    def test_create_and_load(self, store: SessionStore, clock: FakeClock) -> None:
        """What was given to create is what load finds, with the times of the clock and version 1."""
        flash = FlashMessage.success("Welcome", title="Hello")
        token, created = store.create({"cart": [1], "name": "Zoë"}, lifetimes=HOUR, meta={"ip": "::1"}, flashes=[flash])

        loaded = store.load(token)

        assert loaded is not None
        for record in (created, loaded):
            assert record.data == {"cart": [1], "name": "Zoë"}
            assert record.flashes == [flash]
            assert record.meta == {"ip": "::1"}
            assert record.principal is None
            assert record.version == 1
            assert record.created_at == record.last_seen_at == clock.now()
            assert record.expires_at == clock.now() + 3600 * 10**6
            assert record.lifetimes == HOUR
        assert loaded.sid == created.sid

    def test_an_empty_session_is_a_session(self, store: SessionStore) -> None:
        """A session without data is found, and empty."""
        token, record = store.create()

        loaded = store.load(token)

        assert loaded is not None
        assert loaded.data == record.data == {}
        assert loaded.flashes == []
        assert loaded.meta == {}

    def test_tokens_and_sids_are_long_and_new(self, store: SessionStore) -> None:
        """A token carries 256 random bits and a MAC, a sid is 32 hex digits, and neither comes twice."""
        made = [store.create() for _ in range(20)]

        assert len({token for token, _ in made}) == len({record.sid for _, record in made}) == 20
        for token, record in made:
            assert len(base64.urlsafe_b64decode(token + "==")) == 40
            assert len(record.sid) == 32
            assert set(record.sid) <= set("0123456789abcdef")
            assert token not in record.sid

    def test_a_sid_shares_its_first_four_bits_with_the_token(self, store: SessionStore) -> None:
        """The sid's first digit is the token's first four bits, and stays so when the token is rotated."""
        for _ in range(8):
            token, record = store.create()
            rotated, _ = store.rotate(token)
            assert rotated is not None
            bound, _ = store.login(rotated, self.someone())
            for each in (token, rotated, bound):
                assert f"{base64.urlsafe_b64decode(each[:4])[0] >> 4:x}" == record.sid[0]

    def test_create_takes_a_minted_token(self, store: SessionStore) -> None:
        """A client may mint the token itself; an unused one is what the session gets."""
        token = self.mint()
        assert self.reason(store, token) == "unknown"

        answer, record = store.create({"a": 1}, token=token)

        assert answer == token
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.sid == record.sid

    def test_create_never_overwrites(self, store: SessionStore) -> None:
        """A second create under a token in use is refused and changes nothing."""
        token, record = store.create({"owner": "first"})

        with pytest.raises(SessionConflict):
            store.create({"owner": "second"}, token=token)

        loaded = store.load(token)
        assert loaded is not None
        assert (loaded.sid, loaded.data) == (record.sid, {"owner": "first"})

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_create_never_brings_back(self, store: SessionStore, clock: FakeClock, ending: str) -> None:
        """The token of a session that has ended cannot be used for a new one."""
        token, _ = self.ended(store, clock, ending)

        with pytest.raises(SessionConflict):
            store.create({"back": "again"}, token=token)

        assert store.load(token) is None

    def test_create_refuses_a_forged_token(self, store: SessionStore) -> None:
        """A token that this server did not issue is never adopted, not even by create."""
        with pytest.raises(BadToken):
            store.create({}, token=forged(self.mint()))

    def test_missing_is_an_answer(self, store: SessionStore) -> None:
        """A genuine token without a session: None, False, SessionMissing, each with the reason ``unknown``."""
        token = self.mint()

        assert store.load(token) is None
        assert self.reason(store, token) == "unknown"
        assert store.delete(token) is False
        for verb in WRITING_VERBS.values():
            with pytest.raises(SessionMissing) as caught:
                verb(store, token)
            assert caught.value.reason == "unknown"
            assert not isinstance(caught.value, BadToken)
        assert store.load(token) is None

    @pytest.mark.parametrize(
        "bad", ["", "x", "not a token", "ü" * 54, "A" * 54, "A" * 10_000, "\x00" * 54, "../secret"]
    )
    def test_an_invented_token_is_forged(self, store: SessionStore, bad: str) -> None:
        """Whatever text a browser sends: load and find say None, delete says False, the rest raises BadToken."""
        self.assert_forged(store, bad)

    def test_a_changed_token_is_forged(self, store: SessionStore) -> None:
        """A genuine token with any one character changed is refused, wherever it is changed."""
        token, _ = store.create({"a": 1})
        for place in range(len(token)):
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            assert store.load(changed) is None
            assert self.reason(store, changed) == "forged"
        self.assert_forged(store, forged(token))
        assert store.load(token) is not None

    def test_a_token_has_one_spelling(self, store: SessionStore) -> None:
        """Other texts for the same bytes (padding, spaces, unused bits, another alphabet) are forged."""
        token, _ = store.create({"a": 1})
        raw = base64.urlsafe_b64decode(token + "==")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        same_bytes = [
            token[:-1] + last
            for last in alphabet
            if last != token[-1] and base64.urlsafe_b64decode(token[:-1] + last + "==") == raw
        ]
        assert same_bytes
        for other in (*same_bytes, token + "==", token + "\n", " " + token, token + " ", token + "\x00"):
            assert self.reason(store, other) == "forged"
        swapped = token.replace("-", "+").replace("_", "/")
        assert swapped == token or self.reason(store, swapped) == "forged"

    def test_delete_is_idempotent(self, store: SessionStore) -> None:
        """The first delete says that there was a session, every other that there was none."""
        token, _ = store.create({"a": 1})

        assert store.delete(token) is True
        assert store.delete(token) is False
        assert store.delete(token) is False
        assert store.load(token) is None
        assert self.reason(store, token) == "deleted"

    @pytest.mark.parametrize("ending", ENDINGS)
    @pytest.mark.parametrize("verb", WRITING_VERBS)
    def test_gone_is_gone(self, store: SessionStore, clock: FakeClock, ending: str, verb: str) -> None:
        """However a token has ended, no verb brings its session back, and each says why."""
        token, reason = self.ended(store, clock, ending)

        with pytest.raises(SessionMissing) as caught:
            WRITING_VERBS[verb](store, token)

        assert caught.value.reason == reason
        assert store.load(token) is None
        assert self.reason(store, token) == reason

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_delete_of_what_has_ended(self, store: SessionStore, clock: FakeClock, ending: str) -> None:
        """Deleting by a token that has ended says False and leaves everything else alone."""
        token, reason = self.ended(store, clock, ending)
        neighbour, _ = store.create({"a": 1})

        assert store.delete(token) is False

        assert self.reason(store, token) == reason
        assert store.load(neighbour) is not None

    def test_load_fresh_is_load(self, store: SessionStore) -> None:
        """A fresh load sees what was saved last."""
        token, _ = store.create({"a": 1})
        store.save(token, [Set("a", 2)])

        loaded = store.load(token, fresh=True)

        assert loaded is not None
        assert loaded.data == {"a": 2}

    def test_find_has_the_record_of_load(self, store: SessionStore) -> None:
        """``find`` is true and holds the record where there is a session."""
        token, record = store.create({"a": 1})

        found = store.find(token)

        assert found
        assert found.reason is None
        assert found.record is not None
        assert (found.record.sid, found.record.data) == (record.sid, {"a": 1})

    def ended(self, store: SessionStore, clock: FakeClock, ending: str) -> tuple[str, str]:
        """A token whose life ended in that way, and the reason it should give."""
        user = self.someone()
        token, record = store.create({"secret": 1}, principal=user, lifetimes=HOUR, flashes=[FlashMessage.info("hi")])
        if ending == "deleted":
            store.delete(token)
        elif ending == "revoked":
            assert store.revoke(user) == 1
        elif ending == "revoked by sid":
            assert store.revoke_sid(record.sid) is True
        elif ending == "retired":
            store.rotate(token)
        else:
            clock.advance(3600)
            if ending == "expired and swept":
                self.sweep_all(store)
        return token, ending.split(" ", maxsplit=1)[0]

    def assert_forged(self, store: SessionStore, token: str) -> None:
        """No verb takes the token."""
        assert store.load(token) is None
        assert self.reason(store, token) == "forged"
        assert store.delete(token) is False
        verbs: dict[str, Any] = dict(WRITING_VERBS)
        for verb in verbs.values():
            with pytest.raises(BadToken) as caught:
                verb(store, token)
            assert caught.value.reason == "forged"
            assert len(token) < 8 or token not in str(caught.value)
