"""Clients of redis-py: made of a URL and options, or given ready-made.

=====================================================  ============================================================
URL                                                    what is connected to
=====================================================  ============================================================
``redis://``, ``rediss://``, ``unix://``               one server, as redis-py reads them; ``rediss`` is TLS
``redis+cluster://host:port``, ``rediss+cluster://``   a Cluster, found through that node
``redis+sentinel://host:port,host:port/service/db``    the master of a service, asked from those Sentinels
=====================================================  ============================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff

from coatcheck.errors import ConfigurationError

TIMEOUT: Final = 2.0
"""Seconds for an answer, and for a connection, unless the options say otherwise."""

DEFAULT_URL: Final = "redis://localhost"

SENTINEL_PORT: Final = 26379

_FORMS: Final = (
    "redis://, rediss://, unix://, redis+cluster://, rediss+cluster://, redis+sentinel://host:port,.../service/db"
)
_DECODES: Final = "the client of redis-py decodes responses, but sessions are bytes: leave decode_responses out"
_FLAVOURS: Final = ("redis+sentinel", "rediss+sentinel")


def maker(
    make: Callable[[str, dict[str, Any]], Any], url: str | None, client: Any, options: dict[str, Any]
) -> Callable[[], Any]:
    """What makes the client when it is needed. Raises ConfigurationError at once for what cannot be."""
    if client is not None:
        if url is not None or options:
            msg = "a client of redis-py was given, and a URL or options beside it: give one or the other"
            raise ConfigurationError(msg)
        if is_async(client) != (make is async_client_of):
            msg = (
                f"a client of {type(client).__module__} was given, but RedisStore takes one of redis, and "
                f"AsyncRedisStore one of redis.asyncio"
            )
            raise ConfigurationError(msg)
        _require_bytes(client)
        return lambda: client
    address = url or DEFAULT_URL
    if options.get("decode_responses"):
        raise ConfigurationError(_DECODES)
    if not _parts(address).scheme.endswith("+cluster"):
        make(address, options)  # connects to nothing yet; that of a Cluster would
    return lambda: make(address, options)


def client_of(url: str, options: dict[str, Any]) -> Any:
    """A client for threads. Raises ConfigurationError for a URL that cannot be."""
    retry = redis.retry.Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return _made(url, options, redis, retry)


def async_client_of(url: str, options: dict[str, Any]) -> Any:
    """A client for asyncio. Raises ConfigurationError for a URL that cannot be."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return _made(url, options, redis.asyncio, retry)


def _made(url: str, options: dict[str, Any], module: Any, retry: Any) -> Any:
    parts = _parts(url)
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, **options}
    try:
        if parts.scheme.endswith("+cluster"):
            return module.RedisCluster.from_url(url.replace("+cluster", "", 1), **options)
        # Whatever is sent twice because a connection broke is applied once: requests have ids.
        options = {"retry": retry, "retry_on_error": [redis.ConnectionError], **options}
        if parts.scheme in _FLAVOURS:
            client = _of_sentinel(parts, options, module)
        else:
            client = module.Redis.from_url(url, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing, but knows which options there are
    except TypeError as error:
        msg = f"redis-py does not know an option that was given: {error}"
        raise ConfigurationError(msg) from error
    except ValueError as error:
        msg = f"the URL or the options of Redis cannot be: use one of {_FORMS}, and redis-py's own options"
        raise ConfigurationError(msg) from error
    return client


def _parts(url: str) -> Any:
    schemes = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", *_FLAVOURS)
    try:
        parts = urlsplit(url)
    except (ValueError, AttributeError, TypeError):
        parts = None
    if parts is None or parts.scheme not in schemes:
        # Not the URL itself: there may be a password in it.
        msg = f"that is no URL of Redis: use one of {_FORMS}"
        raise ConfigurationError(msg)
    return parts


def _of_sentinel(parts: Any, options: dict[str, Any], module: Any) -> Any:
    names, hosts = parts.netloc.rpartition("@")[::2]
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        msg = "the URL of Sentinels names no service: redis+sentinel://host:port,host:port/service/db"
        raise ConfigurationError(msg)
    sentinels = []
    for each in hosts.split(","):
        host, _, port = each.rpartition(":") if ":" in each else (each, "", SENTINEL_PORT)
        sentinels.append((host, int(port)))
    user, _, password = names.partition(":")
    access: dict[str, Any] = {"username": unquote(user) or None, "password": unquote(password) or None} if names else {}
    if parts.scheme.startswith("rediss"):
        access["ssl"] = True
    own = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl"))}
    asked = {**own, **options.pop("sentinel_kwargs", {})}
    sentinel = module.sentinel.Sentinel(sentinels, sentinel_kwargs=asked)
    return sentinel.master_for(service, db=int(database or 0), **access, **options)


def _require_bytes(client: Any) -> None:
    if client.get_encoder().decode_responses:
        raise ConfigurationError(_DECODES)


def is_async(client: Any) -> bool:
    """Whether it is for asyncio."""
    return isinstance(client, (redis.asyncio.Redis, redis.asyncio.RedisCluster))


def is_cluster(client: Any) -> bool:
    """Whether it speaks to a Cluster."""
    return isinstance(client, (redis.RedisCluster, redis.asyncio.RedisCluster))
