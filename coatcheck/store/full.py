"""A full map or disk: freed pages are kept back until the next sync point, so make one and try again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from coatcheck.errors import StoreFull
from coatcheck.store.gate import Backoff
from coatcheck.store.lmdb_errors import NoPages

Verb = TypeVar("Verb", bound=Callable[..., Any])


def again_when_full(verb: Verb) -> Verb:
    """Run a verb of a store, and again when there was no page: an aborted transaction leaves nothing behind."""

    @functools.wraps(verb)
    def run(store: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return verb(store, *arguments, **named)
        except NoPages:
            return _again(store, lambda: verb(store, *arguments, **named))

    return cast("Verb", run)


def _again(store: Any, verb: Callable[[], Any]) -> Any:
    # Another process may hold the older sync point, for up to a second more.
    backoff = Backoff(store.settings.gate_timeout)
    while True:
        store.environment.sync_point()
        try:
            return verb()
        except NoPages as error:
            if not backoff.wait(longest=0.1):
                raise StoreFull(str(error)) from error
