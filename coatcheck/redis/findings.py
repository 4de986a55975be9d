"""What is wrong with the Redis that is used, said plainly: looked at when a duty begins, and now and then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import StoreUnavailable
from coatcheck.redis.calls import Ask, Call, Command, Flow
from coatcheck.redis.policy import SHARED
from coatcheck.redis.scripts import Script

if TYPE_CHECKING:
    from coatcheck.redis.layout import Layout

OLDEST: Final = (6, 2)
"""The oldest version of Redis that the scripts run on."""

CLOCKS_APART: Final = 5.0
"""Seconds between our clock and that of a server from which on it is worth saying."""

_PROBE: Final = Script("""
local key = KEYS[1]
local function try(name, ...)
  local reply = redis.pcall(name, key, ...)
  if type(reply) == 'table' and reply.err then return name end
end
local function all()
  return try('DEL') or try('SET', '1', 'PX', 1000) or try('GET') or try('PERSIST') or try('DEL')
    or try('HSET', 'a', '1') or try('HGET', 'a') or try('HDEL', 'b') or try('HGETALL') or try('EXISTS') or try('DEL')
    or try('RPUSH', '1') or try('LTRIM', 0, 1) or try('LRANGE', 0, 1) or try('DEL')
    or try('ZADD', 1, 'a') or try('ZRANGE', 0, 1) or try('ZREM', 'b') or try('ZRANGEBYSCORE', 0, 1)
    or try('ZREMRANGEBYSCORE', 5, 6) or try('DEL')
    or try('XADD', '*', 'a', '1') or try('PEXPIRE', 1000) or try('DEL')
end
return all() or ''
""")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    code: str
    """``version``, ``replica``, ``acl``, ``mode``, ``eviction``, ``persistence``, ``clock``, or ``unknown``."""

    severe: bool
    """Whether nothing works, or sessions can be lost, as long as it is so."""

    text: str
    """What it is, and the remedy."""

    def as_mapping(self) -> dict[str, Any]:
        """For a report."""
        return {"code": self.code, "severe": self.severe, "text": self.text}


def look(layout: Layout, mode: str, now: int) -> Flow[list[Finding]]:
    """Everything that is wrong with the servers; ``now`` is our time, microseconds UTC. Raises StoreUnavailable."""
    found: dict[str, Finding] = {}
    configs: list[Any] = yield Ask("CONFIG", ("GET", "save"))
    infos = yield Ask("INFO")
    for number, info in enumerate(infos):
        for each in _of_server(info, configs[number] if number < len(configs) else None):
            found.setdefault(each.code, each)
    if "replica" not in found and "version" not in found:
        yield from _permissions(layout, found)
        yield from _mode(layout, mode, found)
    yield from _clock(now, found)
    return list(found.values())


def _of_server(info: Any, config: Any) -> list[Finding]:
    if not isinstance(info, Mapping):
        text = "INFO is not allowed, so version, eviction, persistence and role are not known: allow +info"
        return [Finding("unknown", False, text)]
    found = []
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(each) for each in version.split(".")[:2] if each.isdigit())
    if numbers < OLDEST:
        found.append(Finding("version", True, f"Redis {version} is too old: 6.2 or later is needed, or Valkey"))
    if info.get("role") in ("slave", "replica"):
        text = "it is a read-only replica: connect to the master, through Sentinel or a Cluster where masters change"
        found.append(Finding("replica", True, text))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        text = f"maxmemory-policy is {policy}: when it is full it throws live sessions away; set noeviction"
        found.append(Finding("eviction", True, text))
    if not info.get("aof_enabled"):
        found.append(_without_aof(config))
    return found


def _without_aof(config: Any) -> Finding:
    words = [*config.values()] if isinstance(config, Mapping) else list(config or ())[1::2]
    if words and not any(words):
        text = "it keeps nothing on disk: a restart of it loses every session there; set appendonly yes"
        return Finding("persistence", True, text)
    text = "appendonly is off: a restart loses what was written since the last snapshot; set appendonly yes"
    return Finding("persistence", False, text)


def _permissions(layout: Layout, found: dict[str, Finding]) -> Flow[None]:
    key = layout.of_tag("0") + b"probe"
    try:
        refused = yield Call(_PROBE, (key,), ())
    except StoreUnavailable as error:
        found["acl"] = Finding("acl", True, f"a script cannot be run: {error}")
        return
    if refused:
        name = refused.decode() if isinstance(refused, bytes) else str(refused)
        text = f"{name} cannot be run on {layout.prefix}:*: see 'A user for it' in docs/redis.md, and its memory"
        found["acl"] = Finding("acl", True, text)


def _mode(layout: Layout, mode: str, found: dict[str, Finding]) -> Flow[None]:
    format_, have = yield Command("HMGET", (layout.meta, "format", "mode"))
    known = SHARED if have is None else have.decode(errors="replace") if isinstance(have, bytes) else str(have)
    if format_ is not None and known != mode:
        text = (
            f"what lies under {layout.prefix}:* was made with redis={known}, not {mode}: use it so, or another prefix"
        )
        found["mode"] = Finding("mode", True, text)


def _clock(now: int, found: dict[str, Finding]) -> Flow[None]:
    for reply in (yield Ask("TIME")):
        if reply is None:
            continue
        seconds, microseconds = reply
        apart = (now - int(seconds) * 1_000_000 - int(microseconds)) / 1e6
        if abs(apart) > CLOCKS_APART:
            text = (
                f"our clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} that of Redis: keep both in "
                f"step (NTP), or hosts will differ about what has expired"
            )
            found["clock"] = Finding("clock", False, text)
