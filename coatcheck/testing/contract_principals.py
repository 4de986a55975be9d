"""Principals: whose sessions there are, and how to end them."""

from __future__ import annotations

import pytest

from coatcheck.changes import Set
from coatcheck.errors import PrincipalLimit, SessionMissing
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.contract import SessionInfo, SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.testing.contract_base import HOUR, ContractBase, MakeStore

SHORT = Lifetimes(idle=60.0, absolute=None)


class PrincipalsContract(ContractBase):
    """List, revoke, and how many at a time."""

    def test_sessions_of_a_principal_oldest_first(self, store: SessionStore, clock: FakeClock) -> None:
        """The list has the principal's live sessions by creation, with what others may know of them."""
        user, other = self.someone(), self.someone()
        records = []
        for number in range(3):
            _, record = store.create({"n": number}, principal=user, meta={"label": f"device {number}"}, lifetimes=HOUR)
            records.append(record)
            clock.advance(1)
        store.create({}, principal=other)
        store.create({})

        listed = store.sessions_of(user)

        assert [each.sid for each in listed] == [each.sid for each in records]
        for info, record in zip(listed, records, strict=True):
            assert isinstance(info, SessionInfo)
            assert info.principal == user
            assert (info.created_at, info.last_seen_at) == (record.created_at, record.last_seen_at)
            assert info.expires_at == record.expires_at
            assert info.meta == record.meta
            assert info.size > 0
            assert info.sid.startswith(info.handle)
            assert len(info.handle) == 8

    def test_nobody_has_no_sessions(self, store: SessionStore) -> None:
        """A principal that never was has an empty list and nothing to revoke."""
        assert store.sessions_of(self.someone()) == []
        assert store.revoke(self.someone()) == 0

    def test_the_list_follows_the_sessions(self, store: SessionStore, clock: FakeClock) -> None:
        """What is deleted, revoked or expired leaves the list at once; what logs in joins it."""
        user = self.someone()
        deleted, _ = store.create({}, principal=user, lifetimes=HOUR)
        _, revoked = store.create({}, principal=user, lifetimes=HOUR)
        store.create({}, principal=user, lifetimes=SHORT)
        joining, joined = store.create({}, lifetimes=HOUR)
        assert len(store.sessions_of(user)) == 3

        store.delete(deleted)
        store.revoke_sid(revoked.sid)
        clock.advance(60)
        store.login(joining, user)

        assert [each.sid for each in store.sessions_of(user)] == [joined.sid]

    def test_revoke_ends_all_sessions_of_one_principal(self, store: SessionStore) -> None:
        """Sign out everywhere: all of the principal's, nobody else's, with their number."""
        user, other = self.someone(), self.someone()
        mine = [store.create({}, principal=user)[0] for _ in range(3)]
        theirs = [store.create({}, principal=other)[0], store.create({})[0]]

        assert store.revoke(user) == 3

        assert [store.load(each) for each in mine] == [None] * 3
        assert {self.reason(store, each) for each in mine} == {"revoked"}
        assert None not in [store.load(each) for each in theirs]
        assert store.sessions_of(user) == []
        assert store.revoke(user) == 0

    def test_revoke_all_but_one(self, store: SessionStore) -> None:
        """Sign out everywhere else: the session of that token stays, by a token in grace too."""
        user = self.someone()
        others = [store.create({}, principal=user)[0] for _ in range(3)]
        mine, record = store.create({}, principal=user)

        assert store.revoke(user, except_=mine) == 3
        assert [each.sid for each in store.sessions_of(user)] == [record.sid]
        assert {self.reason(store, each) for each in others} == {"revoked"}

        store.create({}, principal=user)
        renewed, _ = store.rotate(mine, grace=60.0)
        assert renewed is not None
        assert store.revoke(user, except_=mine) == 1
        assert store.load(renewed) is not None

    def test_revoke_all_but_a_strangers(self, store: SessionStore) -> None:
        """A token of somebody else spares none of the principal's sessions, nor ends the stranger's."""
        user = self.someone()
        mine = [store.create({}, principal=user)[0] for _ in range(2)]
        stranger, _ = store.create({}, principal=self.someone())

        assert store.revoke(user, except_=stranger) == 2

        assert [store.load(each) for each in mine] == [None] * 2
        assert store.load(stranger) is not None

    def test_revoke_by_sid(self, store: SessionStore) -> None:
        """One device is signed out by its sid, once; an unknown sid is none."""
        user = self.someone()
        token, record = store.create({}, principal=user)
        kept, _ = store.create({}, principal=user)

        assert store.revoke_sid(record.sid) is True
        assert store.revoke_sid(record.sid) is False
        assert store.revoke_sid("0" * 32) is False

        assert self.reason(store, token) == "revoked"
        assert store.load(kept) is not None

    def test_revoke_counts_the_living(self, store: SessionStore, clock: FakeClock) -> None:
        """An expired session is no longer one that could be revoked."""
        user = self.someone()
        expired, record = store.create({}, principal=user, lifetimes=SHORT)
        store.create({}, principal=user, lifetimes=HOUR)
        clock.advance(60)

        assert store.revoke_sid(record.sid) is False
        assert store.revoke(user) == 1
        assert store.load(expired) is None

    def test_a_revoked_session_takes_no_late_save(self, store: SessionStore) -> None:
        """A slow request that saves after the revocation is told so, and nothing comes back."""
        user = self.someone()
        token, _ = store.create({"a": 1}, principal=user)
        store.revoke(user)

        with pytest.raises(SessionMissing, match="revoked"):
            store.save(token, [Set("a", 2)])

        assert store.sessions_of(user) == []

    def test_the_oldest_session_makes_room(self, open_store: MakeStore, clock: FakeClock) -> None:
        """With ``evict-oldest`` one more session ends the oldest by creation, at create and at login."""
        store = open_store(max_sessions_per_principal=2)
        user = self.someone()
        tokens = []
        for _ in range(3):
            tokens.append(store.create({}, principal=user)[0])
            clock.advance(1)

        assert [self.reason(store, each) for each in tokens] == ["revoked", None, None]
        anonymous, record = store.create({})
        store.login(anonymous, user)

        assert [self.reason(store, each) for each in tokens] == ["revoked", "revoked", None]
        assert record.sid in [each.sid for each in store.sessions_of(user)]
        assert len(store.sessions_of(user)) == 2

    def test_a_login_never_evicts_itself(self, open_store: MakeStore, clock: FakeClock) -> None:
        """The session that logs in stays, although it may be the oldest of all."""
        store = open_store(max_sessions_per_principal=2)
        user = self.someone()
        anonymous, oldest = store.create({})
        clock.advance(1)
        others = [store.create({}, principal=user)[0] for _ in range(2)]

        bound, _ = store.login(anonymous, user)

        assert store.load(bound) is not None
        assert oldest.sid in [each.sid for each in store.sessions_of(user)]
        assert sum(store.load(each) is not None for each in others) == 1
        again, _ = store.login(bound, user)
        assert store.load(again) is not None
        assert len(store.sessions_of(user)) == 2

    def test_one_too_many_is_refused(self, open_store: MakeStore) -> None:
        """With ``refuse`` one more session is an error that names the limit, and nothing is changed by it."""
        store = open_store(max_sessions_per_principal=2, on_principal_limit="refuse")
        user = self.someone()
        tokens = [store.create({}, principal=user)[0] for _ in range(2)]
        anonymous, _ = store.create({"a": 1})
        before = store.stats().sessions

        with pytest.raises(PrincipalLimit) as caught:
            store.create({}, principal=user)
        assert caught.value.limit == 2
        with pytest.raises(PrincipalLimit):
            store.login(anonymous, user, changes=[Set("a", 2)])

        assert store.stats().sessions == before
        loaded = store.load(anonymous)
        assert loaded is not None
        assert (loaded.data, loaded.principal) == ({"a": 1}, None)
        again, _ = store.login(tokens[0], user)
        assert store.load(again) is not None
        store.delete(again)
        assert store.login(anonymous, user)[1].principal == user

    @pytest.mark.parametrize("policy", ["evict-oldest", "refuse"])
    def test_the_dead_make_room_first(self, open_store: MakeStore, clock: FakeClock, policy: str) -> None:
        """Expired sessions that were not swept yet neither count nor cost a living one."""
        store = open_store(max_sessions_per_principal=2, on_principal_limit=policy)
        user = self.someone()
        oldest, _ = store.create({}, principal=user, lifetimes=HOUR)
        clock.advance(1)
        store.create({}, principal=user, lifetimes=SHORT)
        clock.advance(60)

        newest, _ = store.create({}, principal=user, lifetimes=HOUR)

        assert store.load(oldest) is not None
        assert store.load(newest) is not None
        assert len(store.sessions_of(user)) == 2
