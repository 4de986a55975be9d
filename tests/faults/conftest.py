"""Fixtures of the tests of what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore


@pytest.fixture
def filled(home: Path) -> Path:
    """A state directory with a store in it, closed."""
    store = LmdbStore(Settings(home=home), background=False)
    for number in range(50):
        store.create({"number": number, "pad": "x" * 2000}, principal="ann")
    store.close()
    return home
