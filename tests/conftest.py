"""Fixtures of all tests: where state goes, what time it is, and that nothing runs on when the tests are over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from coatcheck.settings import Settings
from coatcheck.testing import FakeClock
from tests.support.leftovers import leftovers, mark_this_run

if TYPE_CHECKING:
    from coatcheck.store.lmdb import LmdbStore

# `COATCHECK_HYPOTHESIS=long python -m pytest tests/store/test_machine.py` looks at thousands of examples.
hypothesis.settings.register_profile("home", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.register_profile(
    "long",
    deadline=None,
    print_blob=True,
    max_examples=5000,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile(os.environ.get("COATCHECK_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "home"))


@pytest.fixture(autouse=True, scope="session")
def no_leftovers() -> Iterator[None]:
    """No process that a test has started is alive when all tests are over."""
    mark = mark_this_run()
    yield
    left = leftovers(mark)
    assert not left, f"tests left processes behind: {left}"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's own gets into a test."""
    for name in [each for each in os.environ if each.startswith("COATCHECK_")]:
        if name not in {"COATCHECK_HYPOTHESIS", "COATCHECK_TEST_RUN"}:
            monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state directory that does not exist yet."""
    return tmp_path / "state"


@pytest.fixture
def clock() -> FakeClock:
    """A held clock."""
    return FakeClock()


@pytest.fixture
def store(home: Path, clock: FakeClock) -> Iterator[LmdbStore]:
    """A store in ``home`` that goes by ``clock``, sound when the test is over."""
    from coatcheck.store.lmdb import LmdbStore

    store = LmdbStore(Settings(home=home), clock=clock)
    yield store
    assert store.check().problems == ()
    store.close()
