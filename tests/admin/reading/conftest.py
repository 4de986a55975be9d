"""A client that opens the store itself and goes by the held clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coatcheck.client import SessionClient
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock


@pytest.fixture
def client(store: LmdbStore, clock: FakeClock) -> Iterator[SessionClient]:
    """A client of ``store``."""
    client = SessionClient(Settings(home=store.settings.home), store=store, clock=clock)
    yield client
    client.close()
