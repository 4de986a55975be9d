"""Redis: what administrators ask the RedisPersistence of a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coatcheck.messages.packing import Reply, Request, message


@message
class InspectRedis(Request):
    """Message to ask the RedisPersistence how the host stands with Redis. Answer: :class:`RedisInspected`.

    It answers at once, from what its last step has seen.
    """


@message
class RedisInspected(Reply):
    """How the host stands with Redis."""

    mode: str
    """``standby`` or ``shared``."""

    error: str | None
    """Why its duty cannot be done at present; None while it can."""

    findings: Sequence[Mapping[str, Any]]
    """What is wrong with the configuration of Redis: ``code``, ``severe``, ``text``."""

    signals: Mapping[str, Any]
    """Numbers and names, by mode: see docs/redis.md."""
