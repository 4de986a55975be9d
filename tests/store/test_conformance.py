"""LmdbStore keeps every promise of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from coatcheck.settings import Settings
from coatcheck.store.contract import SessionStore
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock, StoreContract
from tests.support.keys import ENCRYPTION_KEYS


class TestLmdbStore(StoreContract):
    """A new store for every test."""

    more: ClassVar[dict[str, Any]] = {}
    """Settings that all of them have."""

    @pytest.fixture
    def make_store(self, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
        """Stores in directories next to each other."""
        with ExitStack() as opened:

            def make(**settings: Any) -> LmdbStore:
                home = tmp_path / f"state-{len(list(tmp_path.iterdir()))}"
                store = LmdbStore(Settings(home=home, **self.more, **settings), clock=clock)
                opened.callback(store.close)
                return store

            yield make


class TestEncryptedLmdbStore(TestLmdbStore):
    """A new, encrypted store for every test."""

    more: ClassVar[dict[str, Any]] = {"encryption_keys": ENCRYPTION_KEYS}


@pytest.fixture(scope="module")
def shared_clock(tmp_path_factory: pytest.TempPathFactory) -> FakeClock:
    """A clock in a file, as processes share it."""
    return FakeClock(tmp_path_factory.mktemp("clock") / "clock")


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory, shared_clock: FakeClock) -> Iterator[LmdbStore]:
    """One store for all tests."""
    settings = Settings(
        home=tmp_path_factory.mktemp("shared") / "state", secrets=StoreContract.secrets, clock=shared_clock.setting
    )
    store = LmdbStore(settings)
    yield store
    store.close()


class TestSharedLmdbStore(TestLmdbStore):
    """One store for all tests, with what the tests before have left in it."""

    @pytest.fixture
    def clock(self, shared_clock: FakeClock) -> FakeClock:
        """The clock that the shared store goes by."""
        return shared_clock

    @pytest.fixture
    def store(self, shared_store: LmdbStore) -> SessionStore:
        """The shared store."""
        return shared_store
