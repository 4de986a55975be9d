"""RedisStore keeps every promise of the contract, on one server and on a Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from coatcheck.redis import AsyncRedisStore, RedisStore
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from tests.redis.blocking import BlockingStore, Loop
from tests.redis.conftest import new_prefix


class TestRedisStore(StoreContract):
    """A new store for every test, on one server."""

    @pytest.fixture
    def url(self, server_port: int) -> str:
        """Where the server is."""
        return f"redis://127.0.0.1:{server_port}"

    @pytest.fixture
    def make_store(self, url: str, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
        """Stores under prefixes of their own."""
        with ExitStack() as opened:

            def make(**settings: Any) -> RedisStore:
                store = RedisStore(Settings(home=tmp_path / "home", **settings), url, prefix=new_prefix(), clock=clock)
                opened.callback(store.close)
                return store

            yield make


class TestRedisStoreOnACluster(TestRedisStore):
    """The same on three masters, each with a third of the sessions."""

    @pytest.fixture
    def url(self, cluster_ports: list[int]) -> str:
        """One of them is enough to find the others."""
        return f"redis+cluster://127.0.0.1:{cluster_ports[0]}"


class TestAsyncRedisStore(TestRedisStore):
    """The store for asyncio, called from threads."""

    @pytest.fixture
    def make_store(self, url: str, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
        """Stores under prefixes of their own, on one event loop."""
        loop = Loop()
        with ExitStack() as opened:
            opened.callback(loop.stop)

            def make(**settings: Any) -> BlockingStore:
                known = Settings(home=tmp_path / "home", **settings)
                store = BlockingStore(AsyncRedisStore(known, url, prefix=new_prefix(), clock=clock), loop)
                opened.callback(store.close)
                return store

            yield make


class TestAsyncRedisStoreOnACluster(TestAsyncRedisStore):
    """The same on a Cluster."""

    @pytest.fixture
    def url(self, cluster_ports: list[int]) -> str:
        """One of them is enough to find the others."""
        return f"redis+cluster://127.0.0.1:{cluster_ports[0]}"
