"""Login: a new token, a principal, and nothing left to whoever knew the old token."""

from __future__ import annotations

import pytest

from coatcheck.changes import Set, SetLifetimes
from coatcheck.clock import SECOND
from coatcheck.errors import ChangeRefused, SessionConflict
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import SIGNED_IN, Lifetimes
from coatcheck.store.contract import SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase, forged

BOTH = Lifetimes(idle=600.0, absolute=1000.0, touch_interval=30.0)


class LoginContract(ContractBase):
    """Rotate and bind in one step."""

    def test_login_binds_and_rotates(self, store: SessionStore) -> None:
        """An anonymous session keeps sid, data and flashes, gets the principal and a new token; the old one is dead."""
        user, flash = self.someone(), FlashMessage.info("hi")
        token, before = store.create({"cart": [1]}, flashes=[flash])

        bound, record = store.login(token, user)

        assert bound != token
        loaded = store.load(bound)
        assert loaded is not None
        for each in (record, loaded):
            assert (each.sid, each.principal, each.created_at) == (before.sid, user, before.created_at)
            assert (each.data, each.flashes) == ({"cart": [1]}, [flash])
        assert store.load(token) is None
        assert self.reason(store, token) == "retired"
        assert [each.sid for each in store.sessions_of(user)] == [before.sid]

    def test_login_ends_every_grace(self, store: SessionStore) -> None:
        """A token planted before the login reaches nothing after it, grace or not."""
        planted, _ = store.create({})
        renewed, _ = store.rotate(planted, grace=3600.0)
        assert renewed is not None

        bound, _ = store.login(renewed, self.someone())

        for each in (planted, renewed):
            assert store.load(each) is None
            assert self.reason(store, each) == "retired"
        assert store.load(bound) is not None

    def test_login_through_a_token_in_grace(self, store: SessionStore) -> None:
        """A login by a request that carries the old token is a login; both tokens before it are dead."""
        token, before = store.create({})
        renewed, _ = store.rotate(token, grace=3600.0)
        assert renewed is not None

        bound, record = store.login(token, self.someone())

        assert record.sid == before.sid
        assert store.load(bound) is not None
        for each in (token, renewed):
            assert self.reason(store, each) == "retired"

    def test_the_absolute_lifetime_starts_anew(self, store: SessionStore, clock: FakeClock) -> None:
        """At login, and nowhere else, the absolute lifetime begins again."""
        token, _ = store.create({}, lifetimes=BOTH)
        clock.advance(550)

        bound, record = store.login(token, self.someone(), lifetimes=BOTH)
        assert record.expires_at == clock.now() + 600 * SECOND
        login = clock.now()
        for _ in range(2):
            clock.advance(450)
            assert store.load(bound) is not None

        last = store.load(bound)
        assert last is not None
        assert last.expires_at == login + 1000 * SECOND
        clock.until(login + 1000 * SECOND)
        assert store.load(bound) is None

    def test_login_gives_the_lifetimes_of_the_signed_in(self, store: SessionStore) -> None:
        """A session on default lifetimes gets those of a principal at login; chosen ones stay; given ones count."""
        plain, _ = store.create({})
        chosen, _ = store.create({}, lifetimes=BOTH)
        given, _ = store.create({}, lifetimes=BOTH)
        changed, _ = store.create({})
        store.save(changed, [SetLifetimes(BOTH)])

        assert store.login(plain, self.someone())[1].lifetimes == SIGNED_IN
        assert store.login(chosen, self.someone())[1].lifetimes == BOTH
        assert store.login(changed, self.someone())[1].lifetimes == BOTH
        assert store.login(given, self.someone(), lifetimes=HOUR)[1].lifetimes == HOUR

    def test_login_of_another_principal_drops_what_was_there(self, store: SessionStore) -> None:
        """The next user of a browser finds neither the data nor the flashes of the one before."""
        first, second = self.someone(), self.someone()
        token, before = store.create({"private": 1}, principal=first, flashes=[FlashMessage.info("for the first")])
        take_id, _ = store.take_flashes(token)
        store.add_flash(token, FlashMessage.info("for the first too"))

        bound, record = store.login(token, second, changes=[Set("new", 2)])

        assert record.data == {"new": 2}
        assert record.flashes == []
        assert store.restore_flashes(bound, take_id) == 0
        assert record.principal == second
        assert store.sessions_of(first) == []
        assert [each.sid for each in store.sessions_of(second)] == [before.sid]
        assert store.load(bound) is not None

    def test_login_of_the_same_principal_keeps_what_is_there(self, store: SessionStore) -> None:
        """Signing in again renews the token and keeps the data."""
        user, flash = self.someone(), FlashMessage.info("hi")
        token, _ = store.create({"a": 1}, principal=user, flashes=[flash])

        bound, record = store.login(token, user)

        assert (record.data, record.flashes) == ({"a": 1}, [flash])
        assert self.reason(store, token) == "retired"
        assert len(store.sessions_of(user)) == 1
        assert store.load(bound) is not None

    def test_login_with_meta_changes_and_a_version(self, store: SessionStore) -> None:
        """What a login brings is applied with it; what does not fit refuses all of it."""
        user = self.someone()
        token, record = store.create({"text": "x"})
        with pytest.raises(ChangeRefused):
            store.login(token, user, changes=[Set("a", 1), *self.misfits("text")])
        with pytest.raises(SessionConflict):
            store.login(token, user, if_version=record.version + 1)
        assert store.sessions_of(user) == []
        assert store.load(token) is not None

        _, after = store.login(token, user, changes=[Set("a", 1), SetLifetimes(HOUR)], meta={"label": "phone"})

        assert after.data == {"text": "x", "a": 1}
        assert after.meta == {"label": "phone"}
        assert after.lifetimes == HOUR
        [info] = store.sessions_of(user)
        assert info.meta == {"label": "phone"}

    def test_login_takes_a_minted_token(self, store: SessionStore) -> None:
        """The caller may mint the new token; one in use is refused, and the session stays as it was."""
        token, before = store.create({})
        other = self.sibling(before.sid)
        store.create({"other": 1}, token=other)
        with pytest.raises(SessionConflict):
            store.login(token, self.someone(), new_token=other)
        wanted = self.sibling(before.sid)

        bound, record = store.login(token, self.someone(), new_token=wanted)

        assert bound == wanted
        assert record.sid == before.sid

    def test_a_principal_is_a_text_with_something_in_it(self, store: SessionStore) -> None:
        """An empty principal would bind sessions of strangers to each other: it is refused."""
        token, _ = store.create({})

        for wrong in ("", 42, b"user"):
            with pytest.raises((ValueError, TypeError)):
                store.login(token, wrong)  # type: ignore[arg-type]
            with pytest.raises((ValueError, TypeError)):
                store.create({}, principal=wrong)  # type: ignore[arg-type]

        loaded = store.load(token)
        assert loaded is not None
        assert loaded.principal is None

    def test_login_by_a_forged_token_is_refused(self, store: SessionStore) -> None:
        """A forged token binds nobody."""
        user = self.someone()
        token, _ = store.create({})

        with pytest.raises(Exception, match="forged"):
            store.login(forged(token), user)

        assert store.sessions_of(user) == []
