"""What all openers of a store must agree on; kept in the store itself, settled by the one that made it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import msgpack

from coatcheck.errors import ConfigurationError
from coatcheck.store import encryption
from coatcheck.store.tables import Tables, Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coatcheck.sealing import Sealing
    from coatcheck.settings import Settings

HOW_TO_CHANGE: Final = "python -m coatcheck.system change --home {home} {name}={value}"
"""The command that changes a store-wide setting."""

STORE_FORMAT: Final = 1
"""The layout of the tables. A newer one is refused, an older one would be upgraded under the exclusive gate."""

CHANGEABLE: Final = (
    "map_size", "max_session_bytes", "max_flashes", "max_sessions_per_principal", "on_principal_limit", "redis",
    "redis_prefix",
)  # fmt: skip
"""What can be changed in a store that exists, while nobody has it open. Durability stays as it was settled."""

_FORMAT: Final = b"format"
_POLICY: Final = b"policy"
_FINGERPRINTS: Final = b"fingerprints"


@dataclass(frozen=True)
class Policy:
    """The store-wide settings in force; the defaults are those of a new store."""

    durability: str = "second"
    map_size: int = 64 << 30
    max_session_bytes: int = 65536
    max_flashes: int = 100
    max_sessions_per_principal: int = 0
    on_principal_limit: str = "evict-oldest"
    redis: str = "none"
    redis_prefix: str = "coatcheck"


def settle(
    transaction: Transaction,
    tables: Tables,
    settings: Settings,
    fingerprints: Sequence[bytes],
    sealing: Sealing | None = None,
    *,
    any_keys: bool = False,
) -> Policy:
    """The policy of the store, written when the store is new. Raises ConfigurationError when this opener differs.

    ``any_keys``: the encryption keys need not fit.
    """
    stored = transaction.get(_POLICY, db=tables.meta)
    if stored is None:
        policy = Policy(**{name: value for name, value in _wishes(settings).items() if value is not None})
        transaction.put(_FORMAT, str(STORE_FORMAT).encode(), db=tables.meta)
        write(transaction, tables, policy)
        transaction.put(_FINGERPRINTS, b"".join(fingerprints), db=tables.meta)
        if sealing is not None:
            encryption.note(transaction, tables, [sealing.newest])
        _require_mode(policy, settings)
        return policy
    policy = read(transaction, tables, settings.home)
    compare(policy, settings)
    _require_mode(policy, settings)
    _compare_secrets(transaction, tables, settings.home, fingerprints)
    encryption.agree(transaction, tables, settings.home, sealing, any_keys=any_keys)
    return policy


def read(transaction: Transaction, tables: Tables, home: Path) -> Policy:
    """The policy of a store that exists. Raises ConfigurationError for another format."""
    stored_format = (transaction.get(_FORMAT, db=tables.meta) or b"?").decode(errors="replace")
    if stored_format != str(STORE_FORMAT):
        msg = (
            f"the store in {home} has format {stored_format}, this coatcheck reads format {STORE_FORMAT}: "
            f"use the coatcheck that wrote it, or another state directory"
        )
        raise ConfigurationError(msg)
    values: dict[str, Any] = msgpack.unpackb(transaction.get(_POLICY, db=tables.meta))
    known = {each.name for each in fields(Policy)}
    return Policy(**{name: value for name, value in values.items() if name in known})


def compare(policy: Policy, settings: Settings) -> None:
    """Raise ConfigurationError naming both values where this opener asks for something else."""
    for name, wish in _wishes(settings).items():
        have = getattr(policy, name)
        if wish is not None and wish != have:
            other = f"change it: {HOW_TO_CHANGE.format(home=settings.home, name=name, value=wish)}"
            msg = (
                f"{name} is {have!r} in the store {settings.home}, but {wish!r} was asked for: leave the setting out "
                f"to use the store's, or {other if name in CHANGEABLE else 'make a new store'}"
            )
            raise ConfigurationError(msg)


def _require_mode(policy: Policy, settings: Settings) -> None:
    """A URL says where Redis is, not what for: guessed wrong, either nothing would be kept there or it would rule."""
    if settings.redis_url is not None and policy.redis == "none":
        command = HOW_TO_CHANGE.format(home=settings.home, name="redis", value="standby|shared")
        msg = (
            f"redis_url is given, but the store {settings.home} has redis='none': say what Redis is for, when the "
            f"store is made with redis='standby' or redis='shared' (COATCHECK_REDIS), later with {command}; or "
            f"leave the URL out"
        )
        raise ConfigurationError(msg)


def write(transaction: Transaction, tables: Tables, policy: Policy) -> None:
    """Put another policy in the place of the store's."""
    transaction.put(_POLICY, msgpack.packb(asdict(policy)), db=tables.meta)


def asks_for_anything(settings: Settings) -> bool:
    """Whether these settings ask for anything store-wide at all."""
    return any(wish is not None for wish in _wishes(settings).values())


def is_new(transaction: Transaction, tables: Tables) -> bool:
    """Whether nobody has settled this store yet."""
    return transaction.get(_POLICY, db=tables.meta) is None


def _wishes(settings: Settings) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in fields(Policy)}


def _compare_secrets(transaction: Transaction, tables: Tables, home: Path, fingerprints: Sequence[bytes]) -> None:
    stored = transaction.get(_FINGERPRINTS, db=tables.meta) or b""
    known = [stored[i : i + 8] for i in range(0, len(stored), 8)]
    if not set(known) & set(fingerprints):
        msg = (
            f"the server secret is not one that the store in {home} was made with, so every session would look "
            f"forged: set COATCHECK_SECRET (or the file 'secret') as before, with new secrets put in front"
        )
        raise ConfigurationError(msg)
    added = [each for each in fingerprints if each not in known]
    if added:
        transaction.put(_FINGERPRINTS, b"".join([*added, *known]), db=tables.meta)
