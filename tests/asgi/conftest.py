"""The server of a class of tests, and the application that sessions move in from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.running import RunningSystem
from tests.web.old_fixtures import old, redis_port
from tests.web.promises import Promises
from tests.web.serving import serving

__all__ = ["old", "redis_port", "served"]


@pytest.fixture(scope="class")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of the server, and the state directory."""
    tests = request.cls
    assert issubclass(tests, Promises)
    home = tmp_path_factory.mktemp("served") / "state"
    with ExitStack() as stack:
        if tests.lane == "actor":
            stack.enter_context(RunningSystem(home))
        yield stack.enter_context(serving(tests.server, tests.factory, home, lane=tests.lane)), home
