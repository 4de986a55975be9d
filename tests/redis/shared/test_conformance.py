"""CachedStore keeps every promise of the contract, whether its copies answer or Redis does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from coatcheck.redis import RedisStore
from coatcheck.redis.shared.copies import Copies
from coatcheck.redis.shared.following import Following
from coatcheck.redis.shared.store import CachedStore
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from tests.redis.conftest import new_prefix
from tests.support.redis_servers import until


class TestCachedStore(StoreContract):
    """One live host on one server."""

    follows = True

    @pytest.fixture
    def url(self, server_port: int) -> str:
        """Where the server is."""
        return f"redis://127.0.0.1:{server_port}"

    @pytest.fixture
    def make_store(self, url: str, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
        """Hosts that know nothing of each other."""
        with ExitStack() as opened:
            made = 0

            def make(**settings: Any) -> CachedStore:
                nonlocal made
                made += 1
                known = Settings(home=tmp_path / f"home-{made}", **settings)
                local = Copies(known, clock=clock, background=False)
                store = CachedStore(local, RedisStore(known, url, prefix=new_prefix(), clock=clock))
                opened.callback(store.close)
                if self.follows:
                    store.following = Following(store, sweeps=False)
                    store.following.start()
                    until(lambda: local.pulse.age() < 500_000)
                return store

            yield make


class TestCachedStoreThatHearsNothing(TestCachedStore):
    """One that has to ask Redis for everything."""

    follows = False


class TestCachedStoreOnACluster(TestCachedStore):
    """One whose sessions are on three masters."""

    @pytest.fixture
    def url(self, cluster_ports: list[int]) -> str:
        """One of them is enough to find the others."""
        return f"redis+cluster://127.0.0.1:{cluster_ports[0]}"
