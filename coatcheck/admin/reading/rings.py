"""The audit rings and the records themselves: what only a client that opens the store can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.lmdb import LmdbStore


def store_of(client: SessionClient) -> LmdbStore:
    """The store that a client opens. Raises ConfigurationError on the actor lane, which has no messages for it."""
    store: Any = client.store
    if not hasattr(store, "history"):
        msg = "the audit rings are read from the store itself: use the direct lane (COATCHECK_LANE=direct)"
        raise ConfigurationError(msg)
    return cast("LmdbStore", store)
