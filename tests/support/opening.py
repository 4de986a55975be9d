"""Opening a store that cannot be opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore


def open_it(home: Path, **settings: Any) -> None:
    """Open the store and use it."""
    store = LmdbStore(Settings.load(home, {}, **settings), background=False)
    try:
        store.create({"a": 1})
    finally:
        store.close()


def refusal(home: Path, **settings: Any) -> str:
    """What is said when it cannot be opened."""
    with pytest.raises(ConfigurationError) as caught:
        open_it(home, **settings)
    assert not isinstance(caught.value, StoreUnavailable)
    return str(caught.value)
