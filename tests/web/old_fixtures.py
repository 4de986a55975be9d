"""The old application as a fixture, on a server of its own or on files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import ServerMissing, redis_server
from tests.support.require import require
from tests.web.old import OldShop, in_files, in_redis


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real server."""
    stack = contextlib.ExitStack()
    try:
        port = stack.enter_context(redis_server(tmp_path_factory.mktemp("redis")))
    except ServerMissing as error:
        require(None, str(error))
        return
    with stack:
        yield port


@pytest.fixture(params=["redis", "files"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OldShop:
    """Flask-Session on each of these stores."""
    if request.param == "redis":
        return in_redis(request.getfixturevalue("redis_port"))
    return in_files(tmp_path / "old")
