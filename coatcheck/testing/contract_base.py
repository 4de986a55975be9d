"""What every part of the conformance suite stands on: the fixtures that a subclass supplies, and shorthands."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from coatcheck.changes import AnyChange, Increment, Set
from coatcheck.errors import CoatcheckError
from coatcheck.flashes import FlashMessage
from coatcheck.keyring import Keyring
from coatcheck.lifetimes import Lifetimes
from coatcheck.store.contract import CleanupReport, SessionStore
from coatcheck.testing.clock import FakeClock
from coatcheck.tokens import Tokens

MakeStore = Callable[..., SessionStore]
"""Called with settings by name: opens a new, empty store that has them."""

Verb = Callable[[SessionStore, str], Any]

WRITING_VERBS: dict[str, Verb] = {
    "save": lambda store, token: store.save(token, [Set("back", "again")]),
    "touch": lambda store, token: store.touch(token),
    "rotate": lambda store, token: store.rotate(token),
    "login": lambda store, token: store.login(token, "intruder"),
    "add_flash": lambda store, token: store.add_flash(token, FlashMessage.info("back again")),
    "take_flashes": lambda store, token: store.take_flashes(token),
    "restore_flashes": lambda store, token: store.restore_flashes(token, "0" * 32),
}
"""Every verb that needs a live session and says so by SessionMissing."""

HOUR = Lifetimes(idle=3600.0, absolute=None, touch_interval=60.0)
"""One hour of idle time, no end otherwise: the lifetimes of most tests."""

_numbers = itertools.count(1)


class ContractBase:
    """Fixtures and shorthands. A subclass supplies ``clock`` and ``make_store``, or ``clock`` and ``store``."""

    secrets: ClassVar[tuple[str, ...]] = ("conformance-suite-secret-0123456789abcdef0123456789abcdef",)
    """The secrets that every store under test must be given: the suite mints and forges tokens with them."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock that the stores under test go by; a file-backed one where they live in other processes."""
        return FakeClock()

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Supplied by the subclass; it closes what it made when the test is over."""
        msg = f"{type(self).__name__} must supply the fixture make_store (see coatcheck.testing.contract)"
        raise NotImplementedError(msg)

    @pytest.fixture
    def store(self, make_store: MakeStore) -> SessionStore:
        """The store under test. A subclass may keep one for many tests: none relies on an empty store."""
        return make_store(secrets=self.secrets)

    @pytest.fixture
    def open_store(self, make_store: MakeStore) -> Iterator[MakeStore]:
        """Opens further stores with other settings; each must be sound when the test is over."""
        opened = []

        def open_one(**settings: Any) -> SessionStore:
            opened.append(make_store(secrets=self.secrets, **settings))
            return opened[-1]

        yield open_one
        for each in opened:
            assert each.check().problems == ()

    @pytest.fixture(autouse=True)
    def sound_at_the_end(self, store: SessionStore) -> Iterator[None]:
        """Whatever a test did, the records and the indexes of the store agree afterwards."""
        yield
        assert store.check().problems == ()

    def mint(self) -> str:
        """A genuine token that no session has."""
        return Tokens(Keyring([each.encode() for each in self.secrets])).mint()

    def sibling(self, sid: str) -> str:
        """A genuine token that no session has and that the session with this sid may rotate to."""
        while True:
            token = self.mint()
            if f"{base64.urlsafe_b64decode(token[:4])[0] >> 4:x}" == sid[0]:
                return token

    def misfits(self, key: str) -> list[AnyChange]:
        """Changes that a text under this key refuses."""
        return [Increment(key)]

    def someone(self) -> str:
        """A principal that no other test has."""
        return f"someone-{os.getpid()}-{next(_numbers)}"

    def reason(self, store: SessionStore, token: str) -> str | None:
        """Why there is no session for the token, as ``find`` tells; None when there is one."""
        found = store.find(token)
        assert (found.record is None) == (found.reason is not None) == (not found)
        return found.reason

    def sweep_all(self, store: SessionStore) -> list[CleanupReport]:
        """Sweep until nothing that is due remains."""
        reports = [store.sweep()]
        while reports[-1].more:
            assert len(reports) < 1000
            reports.append(store.sweep())
        return reports


def forged(token: str) -> str:
    """The token with its last character but one changed: well-formed, and not ours."""
    other = "A" if token[-2] != "A" else "B"
    return token[:-2] + other + token[-1]


def outcome(call: Callable[[], Any]) -> Any:
    """What the call returns, or what coatcheck raises in it."""
    try:
        return call()
    except CoatcheckError as error:
        return error
