"""A client whose store is watched, and a session in it."""

from __future__ import annotations

import pytest

from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.session.spy import Spy
from tests.support.sessions import START


@pytest.fixture
def spy(store: LmdbStore) -> Spy:
    """The store of the client."""
    return Spy(store)


@pytest.fixture
def client(store: LmdbStore, spy: Spy, clock: FakeClock) -> SessionClient:
    """A client of the spied store."""
    return SessionClient(store.settings, store=spy, clock=clock)


@pytest.fixture
def token(store: LmdbStore) -> str:
    """The token of a session with some data."""
    return store.create(START)[0]
