"""How an administrator's tool opens a store: one that is there, whatever its limits, and never to make one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coatcheck.store.files import check_is_store
from coatcheck.store.lmdb import LmdbStore

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.settings import Settings


def store_for(settings: Settings, *, lasting: bool = False) -> LmdbStore:
    """The store of these settings, opened at the first verb.

    ``lasting``: for a tool that keeps it open, and then may have to look after it like any worker. Raises
    ConfigurationError when there is none.
    """
    check_is_store(settings.home)
    # Of the settings only those that say where, who and how: the others are wishes for a store that is made.
    plain = replace(settings.of_the_store(), clock=settings.clock, gate_timeout=settings.gate_timeout)
    return LmdbStore(plain, background=lasting)


def client_for(settings: Settings, *, lasting: bool = False) -> SessionClient:
    """A client of that store; see ``store_for``."""
    from coatcheck.client import SessionClient

    store = store_for(settings, lasting=lasting)
    return SessionClient(store.settings, store=store, clock=store.clock)
