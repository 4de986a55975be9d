"""What redis-py raises, as what coatcheck raises. No text of Redis is passed on: it may quote what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions as raised

from coatcheck.errors import (
    CoatcheckError,
    ConfigurationError,
    CorruptRecord,
    RequestTimeout,
    StoreFull,
    StoreUnavailable,
)

_MEANING: Final = {
    "READONLY": "it is a replica: connect to the master, through Sentinel or a Cluster where masters change",
    "MISCONF": "it takes no writes because it cannot save to its disk: look at its log",
    "LOADING": "it is reading its data: try again",
    "MASTERDOWN": "its master is down",
    "CLUSTERDOWN": "its cluster is down: part of the hash slots have no master",
    "TRYAGAIN": "its cluster moves these keys at present: try again",
    "non local key": "its cluster moves these keys at present: try again",
    "TTL exhausted": "its cluster moves these keys at present: try again",
    "BUSY": "it is busy with the script of somebody else: see its 'lua-time-limit' and SCRIPT KILL",
    "NOREPLICAS": "it takes no writes because too few replicas are there",
    "NOPERM": "its ACL does not allow this user all that is needed: see docs/redis.md",
    "NOAUTH": "it wants a password: put it into the URL",
    "WRONGPASS": "it does not know this user and password",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise inside what redis-py raises as one of our errors."""
    try:
        yield
    except raised.RedisError as error:
        raise of(error) from None if _quotes(error) else error
    except raised.RedisClusterException as error:
        msg = f"the Cluster cannot be reached: {error}"
        raise StoreUnavailable(msg) from error
    except OSError as error:
        msg = f"Redis cannot be reached: {error}"
        raise StoreUnavailable(msg) from error


def _quotes(error: Exception) -> bool:
    return isinstance(error, raised.ResponseError)


def of(error: raised.RedisError) -> CoatcheckError:
    """The error to raise for one of redis-py."""
    text = str(error)
    return _known(error, text) or _other(error, text)


def _known(error: raised.RedisError, text: str) -> CoatcheckError | None:
    if isinstance(error, raised.OutOfMemoryError) or "OOM command" in text:
        msg = "Redis has reached its maxmemory: sessions can end but not grow; raise it, or give Redis more room"
        return StoreFull(msg)
    if isinstance(error, raised.TimeoutError):
        msg = "Redis has not answered in time (socket_timeout); whether a write was applied is unknown"
        return RequestTimeout(msg)
    if "WRONGTYPE" in text:
        msg = "a key of the store in Redis is of another type: something else writes there; give it another prefix"
        return CorruptRecord(msg)
    for code, meaning in _MEANING.items():
        if code in text or code == _code_of(error):
            return StoreUnavailable(f"Redis refuses ({code}): {meaning}")
    return None


def _other(error: raised.RedisError, text: str) -> CoatcheckError:
    if isinstance(error, raised.ConnectionError):
        return StoreUnavailable(f"Redis cannot be reached: {text}")
    kind = type(error).__name__
    if isinstance(error, raised.DataError):
        return ConfigurationError(f"redis-py refuses what it was given ({kind}): are the versions supported?")
    return StoreUnavailable(f"Redis refuses ({text.split(' ', 1)[0]}), {kind}")


def _code_of(error: raised.RedisError) -> str:
    names = {
        raised.ReadOnlyError: "READONLY",
        raised.BusyLoadingError: "LOADING",
        raised.AuthenticationError: "WRONGPASS",
        raised.NoPermissionError: "NOPERM",
    }
    return next((code for kind, code in names.items() if isinstance(error, kind)), "")
