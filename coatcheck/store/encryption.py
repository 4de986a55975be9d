"""Whether a store is encrypted, and under which keys: settled by whoever made it, compared by whoever opens it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from coatcheck.errors import ConfigurationError, EncryptionKeyMissing
from coatcheck.sealing import ID_SIZE

if TYPE_CHECKING:
    from coatcheck.sealing import Sealing
    from coatcheck.store.tables import Tables, Transaction

HOW_TO_ENCRYPT: Final = "python -m coatcheck.system change --home {home} encryption=on"
"""The command that encrypts a store that exists."""

HOW_TO_RESEAL: Final = "python -m coatcheck.system reseal --home {home}"
"""The command that seals all sessions anew under the newest key."""

_KEYS: Final = b"encryption keys"


def noted(transaction: Transaction, tables: Tables) -> list[bytes]:
    """The ids of the keys that something in the store may be sealed under, newest first; none: it is not encrypted."""
    ids = transaction.get(_KEYS, db=tables.meta) or b""
    return [ids[start : start + ID_SIZE] for start in range(0, len(ids), ID_SIZE)]


def note(transaction: Transaction, tables: Tables, ids: list[bytes]) -> None:
    """Write down under which keys something may be sealed; none: the store is not encrypted."""
    if ids:
        transaction.put(_KEYS, b"".join(ids), db=tables.meta)
    else:
        transaction.delete(_KEYS, db=tables.meta)


def agree(
    transaction: Transaction, tables: Tables, home: Path, sealing: Sealing | None, *, any_keys: bool = False
) -> None:
    """See that this opener has the keys of the store, and note the key that it will seal under.

    Raises ConfigurationError naming what the store has and what the opener brings. ``any_keys``: they need not fit,
    and nothing is noted, for what is to change them.
    """
    ids = noted(transaction, tables)
    if any_keys:
        return
    if sealing is None:
        if ids:
            msg = (
                f"the store in {home} is encrypted (key {_names(ids)}), and this process has no key: set "
                f"COATCHECK_ENCRYPTION_KEYS or COATCHECK_ENCRYPTION_KEYS_FILE"
            )
            raise ConfigurationError(msg)
        return
    if not ids:
        msg = (
            f"the store in {home} is not encrypted, but encryption keys ({_names(sealing.ids)}) were given: encrypt it "
            f"with {HOW_TO_ENCRYPT.format(home=home)}, or leave the keys out"
        )
        raise ConfigurationError(msg)
    missing = [each for each in ids if each not in sealing.ids]
    if missing:
        msg = (
            f"the store in {home} is encrypted under {_names(ids)}, but this process has {_names(sealing.ids)}: put "
            f"the key {_names(missing)} back into COATCHECK_ENCRYPTION_KEYS, at the end; to give it up, run "
            f"{HOW_TO_RESEAL.format(home=home)} while it is there, or with --end-unreadable where it is lost"
        )
        raise EncryptionKeyMissing(missing[0].hex(), message=msg)
    if sealing.newest not in ids:
        note(transaction, tables, [sealing.newest, *ids])


def _names(ids: list[bytes]) -> str:
    return ", ".join(each.hex() for each in ids)
