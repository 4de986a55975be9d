"""What all openers of a store in Redis must agree on; kept in Redis, settled by the first of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

import msgpack

from coatcheck.errors import ConfigurationError
from coatcheck.redis.calls import Call, Command, Flow, Write, was_done
from coatcheck.redis.scripts import READ
from coatcheck.store.policy import Policy

if TYPE_CHECKING:
    from coatcheck.redis.layout import Layout
    from coatcheck.settings import Settings

FORMAT: Final = b"1"
"""The layout of the keys."""

_SERVERS: Final = ("durability", "map_size")
_OURS: Final = ("redis", "redis_prefix")
"""What is not compared like a limit: the mode is, see ``_compare_mode``."""

SHARED: Final = "shared"
STANDBY: Final = "standby"

_SIZE: Final = 8


def settle(layout: Layout, settings: Settings, fingerprints: Sequence[bytes]) -> Flow[Policy]:
    """The policy of the store, written when the store is new. Raises ConfigurationError when this opener differs."""
    for name in _SERVERS:
        if getattr(settings, name) is not None:
            msg = f"{name} was asked for, but in Redis that is the server's: leave it out, and configure the server"
            raise ConfigurationError(msg)
    if mode_of(settings) == SHARED and (settings.encryption_keys or settings.encryption_keys_file):
        msg = "a RedisStore does not encrypt yet: leave encryption_keys out, and use TLS and disk encryption of Redis"
        raise ConfigurationError(msg)
    while True:
        stored = yield Command("HGETALL", (layout.meta,))
        found = dict(zip(stored[::2], stored[1::2], strict=True)) if isinstance(stored, list) else stored
        if found:
            policy = _read(found, layout)
            _compare(policy, settings, layout)
            _compare_mode(found, settings, layout)
            yield from _compare_secrets(found, layout, fingerprints)
            return policy
        wishes = {each.name: getattr(settings, each.name) for each in fields(Policy)}
        policy = Policy(**{name: value for name, value in wishes.items() if value is not None and name not in _OURS})
        write = Write(Call(READ, (layout.meta,), (layout.of_tag("0"), b"-", b"")))
        write.guard("absent", layout.meta)
        write.run(
            "HSET", layout.meta, "format", FORMAT, "policy", msgpack.packb(asdict(policy)),
            "fingerprints", b"".join(fingerprints), "incarnation", secrets.token_bytes(16),
            "mode", mode_of(settings),
        )  # fmt: skip
        if was_done((yield write.call())):
            return policy


def _read(found: dict[bytes, bytes], layout: Layout) -> Policy:
    if found.get(b"format") != FORMAT:
        msg = (
            f"the store {layout.prefix!r} in Redis has format {found.get(b'format', b'?').decode(errors='replace')}, "
            f"this coatcheck reads format {FORMAT.decode()}: use the coatcheck that wrote it, or another prefix"
        )
        raise ConfigurationError(msg)
    values: dict[str, Any] = msgpack.unpackb(found[b"policy"])
    known = {each.name for each in fields(Policy)}
    return Policy(**{name: value for name, value in values.items() if name in known})


def _compare(policy: Policy, settings: Settings, layout: Layout) -> None:
    for each in fields(Policy):
        wish, have = getattr(settings, each.name), getattr(policy, each.name)
        if wish is not None and wish != have and each.name not in _OURS:
            msg = (
                f"{each.name} is {have!r} in the store {layout.prefix!r} in Redis, but {wish!r} was asked for: leave "
                f"the setting out to use the store's, or use another prefix"
            )
            raise ConfigurationError(msg)


def mode_of(settings: Settings) -> str:
    """What a store that opens Redis with these settings takes it for."""
    return STANDBY if settings.redis == STANDBY else SHARED


def _compare_mode(found: dict[bytes, bytes], settings: Settings, layout: Layout) -> None:
    have, wish = found.get(b"mode", SHARED.encode()).decode(errors="replace"), mode_of(settings)
    if have != wish:
        why = (
            "the copy of a standby host, which would not know of what others write there"
            if have == STANDBY
            else "the truth of its hosts, which one host's copy would write over"
        )
        msg = (
            f"the store {layout.prefix!r} in Redis has redis={have!r}, but redis={wish!r} was asked for: it is {why}; "
            f"use the same mode, or another prefix; docs/redis.md says how to change it"
        )
        raise ConfigurationError(msg)


def _compare_secrets(found: dict[bytes, bytes], layout: Layout, fingerprints: Sequence[bytes]) -> Flow[None]:
    stored = found.get(b"fingerprints", b"")
    known = [stored[start : start + _SIZE] for start in range(0, len(stored), _SIZE)]
    if not set(known) & set(fingerprints):
        msg = (
            f"the server secret is not one that the store {layout.prefix!r} in Redis was made with, so every session "
            f"would look forged: give all hosts the same COATCHECK_SECRET, with new secrets put in front"
        )
        raise ConfigurationError(msg)
    added = [each for each in fingerprints if each not in known]
    if added:
        yield Command("HSET", (layout.meta, "fingerprints", b"".join([*added, *known])))
