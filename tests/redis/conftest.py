"""Servers, started once for all tests that use them, and stores on them: each under a prefix of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from coatcheck.redis import RedisStore
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from tests.support import redis_servers

MakeRedisStore = Callable[..., RedisStore]

_numbers = itertools.count(1)


def new_prefix() -> str:
    """A prefix that no other store has."""
    return f"test-{next(_numbers)}"


@pytest.fixture(scope="session")
def server_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One server, alone."""
    with redis_servers.server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def cluster_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """A Cluster of three masters."""
    with redis_servers.cluster(tmp_path_factory.mktemp("cluster")) as ports:
        yield ports


@pytest.fixture
def clock() -> FakeClock:
    """The clock that the stores under test go by."""
    return FakeClock()


@pytest.fixture
def raw(server_port: int) -> Iterator[redis.Redis]:
    """A client that looks at what lies there."""
    with redis.Redis(port=server_port) as client:
        yield client


@pytest.fixture
def make_store(server_port: int, tmp_path: Path, clock: FakeClock) -> Iterator[MakeRedisStore]:
    """Opens stores on the server; two with one prefix are two hosts."""
    with ExitStack() as opened:

        def make(*, prefix: str | None = None, **settings: Any) -> RedisStore:
            known = {"home": tmp_path / "home", "secrets": StoreContract.secrets, **settings}
            url = f"redis://127.0.0.1:{server_port}"
            store = RedisStore(Settings(**known), url, prefix=prefix or new_prefix(), clock=clock)
            opened.callback(store.close)
            return store

        yield make


@pytest.fixture
def store(make_store: MakeRedisStore) -> RedisStore:
    """One new store."""
    return make_store()
