"""A running system for the tests that do it no harm, and what one has who has joined it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coatcheck.system import join
from tests.system.running import RunningSystem


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """One system for all tests of a module."""
    with RunningSystem(tmp_path_factory.mktemp("running") / "state") as system:
        yield system


@pytest.fixture
def joined(running: RunningSystem) -> Iterator[Any]:
    """The joined system, and the address of its manager."""
    system, manager = join(running.home)
    yield system, manager
    system.shutdown()
