"""Random sequences of verbs on a store and on a plain model: they never disagree, and check() stays clean.

``COATCHECK_HYPOTHESIS=long python -m pytest tests/store/test_machine.py --timeout 0`` looks at thousands of sequences.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from coatcheck.changes import AnyChange, Append, Clear, Increment, PushFlash, Set, SetLifetimes, Unset
from coatcheck.clock import SECOND
from coatcheck.errors import ChangeRefused, PrincipalLimit, SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import ANONYMOUS, SIGNED_IN, Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from coatcheck.testing.contract_base import forged
from tests.store.model import Model, ModelSession, Refused

IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112 - a constant
MAX_FLASHES = 4
USERS = ("ann", "bob")

keys = st.sampled_from(["a", "b", "c"])
values = st.one_of(
    st.integers(-3, 2**70), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3), st.just("x" * 1600)
)
flashes = st.integers(0, 9).map(lambda number: FlashMessage.info(f"message {number}"))
lifetimes = st.sampled_from(
    [
        Lifetimes(idle=600, absolute=None),
        Lifetimes(idle=600, absolute=2000),
        Lifetimes(idle=None, absolute=1500),
        Lifetimes(idle=90, absolute=None, touch_interval=0),
        Lifetimes(idle=None, absolute=None),
    ]
)
changes = st.lists(
    st.one_of(
        st.builds(Set, keys, values),
        st.builds(Unset, keys),
        st.just(Clear()),
        st.builds(Increment, keys, st.integers(-2, 2**65)),
        st.builds(Append, keys, st.integers(0, 9), st.one_of(st.none(), st.integers(1, 3))),
        st.builds(SetLifetimes, lifetimes),
        st.builds(PushFlash, flashes),
    ),
    max_size=4,
)
graces = st.sampled_from([0.0, 0.0, 10.0, 1000.0])
places = st.tuples(st.integers(0, 1000), st.sampled_from([True, True, True, True, False]))
"""Which token: a number, and whether it must be one that leads to a session now."""


Method = TypeVar("Method", bound=Callable[..., Any])


def rule_for_a_token(**strategies: Any) -> Callable[[Method], Method]:
    """A rule that is about one token, once there is any."""

    def decorate(method: Method) -> Method:
        with_place = rule(place=places, **strategies)
        return cast("Method", precondition(lambda self: self.model.owner)(with_place(method)))  # type: ignore[no-untyped-call]

    return decorate


class StoreMachine(RuleBasedStateMachine):
    """Verbs in any order, on all tokens that ever led to a session."""

    takes: Bundle[tuple[str, str]] = Bundle("takes")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="coatcheck-machine-", dir=IN_MEMORY))
        self.clock = FakeClock()

    @initialize(limit=st.sampled_from([0, 0, 2]), policy=st.sampled_from(["evict-oldest", "refuse"]))
    def open(self, limit: int, policy: Any) -> None:
        """A new store and a new model with the same limits."""
        settings = Settings(
            home=self.home / "state",
            max_flashes=MAX_FLASHES,
            max_sessions_per_principal=limit,
            on_principal_limit=policy,
        )
        self.store = self.opened(settings)
        self.model = Model(MAX_FLASHES, limit, policy)

    def opened(self, settings: Settings) -> LmdbStore:
        """A store with these settings."""
        return LmdbStore(settings, clock=self.clock, background=False)

    def teardown(self) -> None:
        """The store is sound at the end."""
        try:
            if hasattr(self, "store"):
                assert self.store.check().problems == ()
                self.store.close()
        finally:
            shutil.rmtree(self.home)

    @property
    def now(self) -> int:
        """The held time."""
        return self.clock.now()

    def token(self, place: tuple[int, bool]) -> str:
        """The token at that place; there is always one."""
        number, living = place
        known = list(self.model.owner)
        reaching = [each for each in known if self.model.reach(each, self.now)] if living else known
        chosen = reaching or known
        return chosen[number % len(chosen)]

    def reach(self, token: str, verb: Any) -> ModelSession | None:
        """The model's session; where there is none, the verb must say so, with the right reason."""
        session = self.model.reach(token, self.now)
        if session is None:
            with pytest.raises(SessionMissing) as caught:
                verb()
            assert caught.value.reason in self.model.reasons(token, self.now)
        return session

    # The verbs -------------------------------------------------------------------------------------------------

    @rule(
        data=st.dictionaries(keys, values, max_size=3),
        user=st.sampled_from([None, None, *USERS]),
        chosen=st.one_of(st.none(), lifetimes),
        given=st.lists(flashes, max_size=6),
    )
    def create(self, data: dict[str, Any], user: str | None, chosen: Lifetimes | None, given: list[Any]) -> None:
        """A new session, unless its principal has enough."""
        self.clock.advance(0.000001)  # no two are of the same age: which one is evicted must not depend on chance
        now = self.now
        arguments: dict[str, Any] = {"principal": user, "lifetimes": chosen, "flashes": given}
        if user is not None and not self.model.room_for(None, user, now):
            with pytest.raises(PrincipalLimit):
                self.store.create(data, **arguments)
            return
        token, record = self.store.create(data, **arguments)
        assert record.sid not in self.model.sessions
        assert token not in self.model.owner
        self.model.owner[token] = record.sid
        self.model.sessions[record.sid] = ModelSession(
            sid=record.sid,
            token=token,
            created=now,
            last_seen=now,
            started=now,
            lifetimes=chosen or (SIGNED_IN if user else ANONYMOUS),
            chosen=chosen is not None,
            principal=user,
            data=dict(data),
            flashes=given[-MAX_FLASHES:],
        )

    @rule_for_a_token(touch=st.booleans())
    def load(self, place: tuple[int, bool], touch: bool) -> None:
        """A load is a touch where one is due."""
        token = self.token(place)
        session = self.model.reach(token, self.now)
        record = self.store.load(token, touch=touch)
        assert (record is None) == (session is None)
        if session is not None and touch:
            self.touched(session)

    def touched(self, session: ModelSession) -> None:
        """What a use does to the model."""
        interval = session.lifetimes.touch_interval
        assert interval is not None
        if self.now >= session.last_seen + interval * SECOND:
            session.last_seen = self.now

    @rule_for_a_token()
    def touch(self, place: tuple[int, bool]) -> None:
        """A touch that is due."""
        token = self.token(place)
        session = self.reach(token, lambda: self.store.touch(token))
        if session is not None:
            self.store.touch(token)
            self.touched(session)

    @rule_for_a_token(given=changes, guess=st.sampled_from([None, None, 0, 0, 1]))
    def save(self, place: tuple[int, bool], given: list[AnyChange], guess: int | None) -> None:
        """Changes, sometimes for a version, which may be a wrong one."""
        token = self.token(place)
        session = self.reach(token, lambda: self.store.save(token, given))
        if session is None:
            return
        version = None if guess is None else session.version + guess
        if guess:
            with pytest.raises(SessionConflict):
                self.store.save(token, given, if_version=version)
            return
        try:
            self.model.apply(session, given)
        except Refused:
            with pytest.raises(ChangeRefused):
                self.store.save(token, given, if_version=version)
            return
        session.last_seen = self.now
        record = self.store.save(token, given, if_version=version)
        assert record.data == session.data

    @rule_for_a_token(grace=graces, given=changes)
    def rotate(self, place: tuple[int, bool], grace: float, given: list[AnyChange]) -> None:
        """A new token, unless the given one is in grace."""
        token = self.token(place)
        session = self.reach(token, lambda: self.store.rotate(token, grace=grace, changes=given))
        if session is None:
            return
        try:
            self.model.apply(session, given)
        except Refused:
            with pytest.raises(ChangeRefused):
                self.store.rotate(token, grace=grace, changes=given)
            return
        new, record = self.store.rotate(token, grace=grace, changes=given)
        session.last_seen = self.now
        assert record.sid == session.sid
        assert (new is None) == (token != session.token)
        if new is None:
            return
        self.model.rotate(session, new, grace, self.now)

    @rule_for_a_token(user=st.sampled_from(USERS), chosen=st.one_of(st.none(), lifetimes))
    def login(self, place: tuple[int, bool], user: str, chosen: Lifetimes | None) -> None:
        """A new token and a principal, if the principal may have one more session."""
        token = self.token(place)
        session = self.reach(token, lambda: self.store.login(token, user, lifetimes=chosen))
        if session is None:
            return
        if not self.model.room_for(session, user, self.now):
            with pytest.raises(PrincipalLimit):
                self.store.login(token, user, lifetimes=chosen)
            return
        new, record = self.store.login(token, user, lifetimes=chosen)
        assert record.sid == session.sid
        if session.principal not in (None, user):
            session.version += bool(session.data)
            session.data, session.flashes, session.takes = {}, [], {}
        self.model.rotate(session, new, 0.0, self.now)
        self.model.end_graces(session, self.now)
        session.principal = user
        session.started = session.last_seen = self.now
        if chosen is not None or not session.chosen:
            session.lifetimes = chosen or SIGNED_IN
        session.chosen = session.chosen or chosen is not None

    @rule_for_a_token()
    def delete(self, place: tuple[int, bool]) -> None:
        """A delete says whether there was one."""
        token = self.token(place)
        session = self.model.reach(token, self.now)
        assert self.store.delete(token) is (session is not None)
        if session is not None:
            self.model.end(session, "deleted", self.now)

    @rule_for_a_token(user=st.sampled_from(USERS), spare=st.booleans())
    def revoke(self, place: tuple[int, bool], user: str, spare: bool) -> None:
        """All sessions of a user, or all but one."""
        token = self.token(place) if spare else None
        kept = None if token is None else self.model.reach(token, self.now)
        ended = [each for each in self.model.of(user, self.now) if each is not kept]
        assert self.store.revoke(user, except_=token) == len(ended)
        for each in ended:
            self.model.end(each, "revoked", self.now)

    @precondition(lambda self: self.model.sessions)
    @rule(data=st.data())
    def revoke_sid(self, data: Any) -> None:
        """One session by its sid, live or not."""
        session = self.model.sessions[data.draw(st.sampled_from(list(self.model.sessions)))]
        assert self.store.revoke_sid(session.sid) is session.live(self.now)
        self.model.end(session, "revoked", self.now)

    @rule_for_a_token(flash=flashes)
    def add_flash(self, place: tuple[int, bool], flash: FlashMessage) -> None:
        """One more message; the oldest falls out."""
        token = self.token(place)
        session = self.reach(token, lambda: self.store.add_flash(token, flash))
        if session is not None:
            self.store.add_flash(token, flash)
            session.flashes = [*session.flashes, flash][-MAX_FLASHES:]

    @rule_for_a_token(target=takes)
    def take_flashes(self, place: tuple[int, bool]) -> Any:
        """All messages, once."""
        token = self.token(place)
        session = self.reach(token, lambda: self.store.take_flashes(token))
        if session is None:
            return multiple()
        take_id, taken = self.store.take_flashes(token)
        assert taken == session.flashes
        if taken:
            session.takes[take_id] = (self.now, taken)
            session.flashes, session.last_seen = [], self.now
        return session.sid, take_id

    @rule(take=consumes(takes), twice=st.booleans())
    def restore_flashes(self, take: tuple[str, str], twice: bool) -> None:
        """Back in front, once, within a minute; the store may remember fewer takes than the model, never more."""
        sid, take_id = take
        session = self.model.sessions[sid]
        token = session.token
        if self.reach(token, lambda: self.store.restore_flashes(token, take_id)) is None:
            return
        taken_at, taken = session.takes.pop(take_id, (0, []))
        restored = self.store.restore_flashes(token, take_id)
        if restored or (taken and self.now < taken_at + 60 * SECOND and len(session.takes) < 8):
            assert restored == len(taken)
            assert self.now <= taken_at + 60 * SECOND
            session.flashes = [*taken, *session.flashes][-MAX_FLASHES:]
        if twice:
            assert self.store.restore_flashes(token, take_id) == 0

    @rule(limit=st.sampled_from([1, 3, 1000]))
    def sweep(self, limit: int) -> None:
        """Nobody can see that a sweep took place, but by what is forgotten."""
        report = self.store.sweep(limit=limit)
        assert not report.held
        self.model.swept_at = self.now

    @rule(
        seconds=st.sampled_from([0, 0.5, 1, 5, 5, 9.999999, 10, 30, 59, 61, 89, 90, 300, 500, 600, 1500, 2000, 90_000])
    )
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule_for_a_token()
    def forge(self, place: tuple[int, bool]) -> None:
        """A changed token reaches nothing."""
        token = self.token(place)
        assert self.store.find(forged(token)).reason == "forged"
        assert self.store.delete(forged(token)) is False

    @rule()
    def reopen(self) -> None:
        """A restart loses nothing."""
        self.store.close()

    # What holds at every step ----------------------------------------------------------------------------------

    @invariant()
    def agree(self) -> None:
        """Every session, and every token that ever was, is as the model says."""
        if not hasattr(self, "store"):
            return
        now = self.now
        live = self.model.live(now)
        assert [each.sid for each in self.store.scan()] == sorted(each.sid for each in live)
        for user in USERS:
            assert [each.sid for each in self.store.sessions_of(user)] == [
                each.sid for each in self.model.of(user, now)
            ]
        for session in live:
            record = self.store.find(session.token).record
            assert record is not None
            assert record.data == session.data
            assert repr(record.values()) == repr(session.data)
            assert record.flashes == session.flashes
            assert (record.sid, record.version, record.principal) == (session.sid, session.version, session.principal)
            assert (record.created_at, record.last_seen_at) == (session.created, session.last_seen)
            assert record.expires_at == session.deadline
            assert record.lifetimes == session.lifetimes
        for token in self.model.owner:
            found = self.store.find(token)
            if self.model.reach(token, now) is None:
                assert found.reason in self.model.reasons(token, now)
            else:
                assert found.reason is None


class EncryptedStoreMachine(StoreMachine):
    """The same on an encrypted store, whose keys are replaced now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = ["the-key-0-of-the-machine-0123456789abcdef"]
        self.made = 1

    def opened(self, settings: Settings) -> LmdbStore:
        """A store with these settings and the keys of now."""
        return super().opened(replace(settings, encryption_keys=self.keys))

    def reopen_under(self, keys: list[str]) -> None:
        """Other keys are in force."""
        self.keys = keys
        self.store.close()
        self.store = self.opened(self.store.settings)

    @precondition(lambda self: len(self.keys) < 4)
    @rule()
    def new_key(self) -> None:
        """A key is put in front of the others; what is stored from then on is under it."""
        self.reopen_under([f"the-key-{self.made}-of-the-machine-0123456789abcdef", *self.keys])
        self.made += 1

    @precondition(lambda self: len(self.keys) > 1)
    @rule()
    def drop_keys(self) -> None:
        """All is sealed anew; then the newest key is all it takes."""
        report = self.store.reseal(pause=lambda _: None)
        assert report.unreadable == report.ended == 0
        self.reopen_under(self.keys[:1])


# A failure is made small before it is told, which takes a while.
TestStoreMachine = pytest.mark.timeout(600)(StoreMachine.TestCase)
# A budget of about 20 seconds; the long profile keeps its own number of examples.
TestStoreMachine.settings = hypothesis_settings(
    max_examples=max(120, hypothesis_settings().max_examples), stateful_step_count=40
)
TestEncryptedStoreMachine = pytest.mark.timeout(600)(EncryptedStoreMachine.TestCase)
TestEncryptedStoreMachine.settings = hypothesis_settings(
    max_examples=max(60, hypothesis_settings().max_examples // 2), stateful_step_count=40
)
