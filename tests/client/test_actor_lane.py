"""The actor lane keeps every promise of the contract: within one process, and with the actor system running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from coatcheck.client.actor_lane import ActorStore
from coatcheck.client.local_line import LocalLine
from coatcheck.settings import Settings
from coatcheck.store.contract import SessionStore
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock, StoreContract
from tests.support.keys import ENCRYPTION_KEYS
from tests.system.running import RunningSystem

SECRETS = StoreContract.secrets


class TestWithinOneProcess(StoreContract):
    """Every message is packed and unpacked as on the wire; the manager's desk is in this process."""

    of_the_manager: ClassVar[dict[str, Any]] = {}
    """Settings that the manager has, and its clients have not."""

    @pytest.fixture
    def clock(self, tmp_path: Path) -> FakeClock:
        """A clock that settings can name."""
        return FakeClock(tmp_path / "clock")

    @pytest.fixture
    def make_store(self, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
        """A manager for each store."""
        with ExitStack() as opened:

            def make(**given: Any) -> ActorStore:
                home = tmp_path / f"state-{len(list(tmp_path.iterdir()))}"
                settings = Settings(home=home, clock=clock.setting, **given)
                store = ActorStore(settings, line=LocalLine(replace(settings, **self.of_the_manager)))
                opened.callback(store.close)
                return store

            yield make


class TestWithAnEncryptedStore(TestWithinOneProcess):
    """The manager has the keys of an encrypted store; its clients do without."""

    of_the_manager: ClassVar[dict[str, Any]] = {"encryption_keys": ENCRYPTION_KEYS}


@pytest.fixture(scope="module")
def shared_clock(tmp_path_factory: pytest.TempPathFactory) -> FakeClock:
    """A clock in a file, for this process and the manager's."""
    return FakeClock(tmp_path_factory.mktemp("clock") / "clock")


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory, shared_clock: FakeClock) -> Iterator[ActorStore]:
    """One running system for all tests, and a store that reaches it."""
    home = tmp_path_factory.mktemp("actor-lane") / "state"
    settings = Settings(home=home, secrets=SECRETS, clock=shared_clock.setting)
    with RunningSystem(home, COATCHECK_SECRET=" ".join(SECRETS), COATCHECK_CLOCK=shared_clock.setting):
        store = ActorStore(settings)
        yield store
        store.close()


class TestWithProcesses(StoreContract):
    """The manager runs in a process of its own, as it does for users."""

    @pytest.fixture
    def clock(self, shared_clock: FakeClock) -> FakeClock:
        """The clock that the shared system goes by."""
        return shared_clock

    @pytest.fixture
    def store(self, shared_store: ActorStore) -> SessionStore:
        """The shared store."""
        return shared_store

    @pytest.fixture
    def make_store(self, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
        """A system for each store: its store-wide settings are settled before it starts."""
        with ExitStack() as opened:

            def make(**given: Any) -> ActorStore:
                home = tmp_path / f"state-{len(list(tmp_path.iterdir()))}"
                settings = Settings(home=home, clock=clock.setting, **given)
                LmdbStore(settings).prepare()
                secret = " ".join(given["secrets"])
                opened.enter_context(RunningSystem(home, COATCHECK_SECRET=secret, COATCHECK_CLOCK=clock.setting))
                store = ActorStore(settings)
                opened.callback(store.close)
                return store

            yield make
