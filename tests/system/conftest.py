"""A running system for the tests that do it no harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.running import RunningSystem


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """One system for all tests of a module."""
    with RunningSystem(tmp_path_factory.mktemp("running") / "state") as system:
        yield system
