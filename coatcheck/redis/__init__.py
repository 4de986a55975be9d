"""Sessions in Redis or Valkey, for any number of hosts.

    from coatcheck import Settings
    from coatcheck.redis import RedisStore

    store = RedisStore(Settings(secrets=[...]), "rediss://user:password@redis.internal/0")

:class:`RedisStore` keeps the whole contract of :mod:`coatcheck.store.contract` by itself;
:class:`AsyncRedisStore` is the same for asyncio. They need the extra ``redis``.
"""

from __future__ import annotations

try:
    import redis as _redis  # noqa: F401 - to say what is missing
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    msg = "coatcheck.redis needs redis-py: pip install 'coatcheck[redis]'"
    raise ModuleNotFoundError(msg, name="redis") from error

from coatcheck.redis.astore import AsyncRedisStore
from coatcheck.redis.store import RedisStore

__all__ = ["AsyncRedisStore", "RedisStore"]
