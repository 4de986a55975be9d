"""All verbs, without input or output, and how they become methods."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from coatcheck.redis.admin_verbs import AdminVerbs
from coatcheck.redis.calls import Flow
from coatcheck.redis.flash_verbs import FlashVerbs
from coatcheck.redis.rotation_verbs import RotationVerbs
from coatcheck.redis.session_verbs import SessionVerbs
from coatcheck.redis.upkeep_verbs import UpkeepVerbs

if TYPE_CHECKING:
    from coatcheck.redis.astore import AsyncRedisStore
    from coatcheck.redis.store import RedisStore

P = ParamSpec("P")
R = TypeVar("R")


class Verbs(SessionVerbs, RotationVerbs, FlashVerbs, UpkeepVerbs, AdminVerbs):
    """The contract as generators; see :mod:`coatcheck.redis.calls`."""


def method(verb: Callable[Concatenate[Verbs, P], Flow[R]]) -> Callable[Concatenate[RedisStore, P], R]:
    """The verb as a method of the store for threads."""

    @functools.wraps(verb)
    def run(store: RedisStore, /, *arguments: P.args, **named: P.kwargs) -> R:
        return store.driver.run(verb(store.verbs, *arguments, **named))

    return run


def coroutine(
    verb: Callable[Concatenate[Verbs, P], Flow[R]],
) -> Callable[Concatenate[AsyncRedisStore, P], Coroutine[Any, Any, R]]:
    """The verb as a method of the store for asyncio."""

    @functools.wraps(verb)
    async def run(store: AsyncRedisStore, /, *arguments: P.args, **named: P.kwargs) -> R:
        return await store.driver.run(verb(store.verbs, *arguments, **named))

    return run
