"""coatcheck: sessions for Python web applications, kept in shared memory by actors.

The public names are imported when they are first used, so that ``import coatcheck`` is quick and needs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "connect": "coatcheck.client",
    "SessionClient": "coatcheck.client",
    "Session": "coatcheck.session",
    "acting_as": "coatcheck.acting",
    "FlashMessage": "coatcheck.flashes",
    "Lifetimes": "coatcheck.lifetimes",
    "Settings": "coatcheck.settings",
    "Record": "coatcheck.store.record",
    "SessionInfo": "coatcheck.store.contract",
    **dict.fromkeys(("Set", "Unset", "Clear", "Increment", "Append", "SetLifetimes"), "coatcheck.changes"),
    **dict.fromkeys(
        (
            "CoatcheckError",
            "ConfigurationError",
            "EncryptionKeyMissing",
            "StoreUnavailable",
            "StoreFull",
            "RequestTimeout",
            "SessionMissing",
            "BadToken",
            "SessionConflict",
            "SessionTooLarge",
            "PrincipalLimit",
            "ReauthenticationRequired",
            "CorruptRecord",
            "UnstorableValue",
            "ChangeRefused",
        ),
        "coatcheck.errors",
    ),
}

if TYPE_CHECKING:
    from coatcheck.acting import acting_as as acting_as
    from coatcheck.changes import Append as Append
    from coatcheck.changes import Clear as Clear
    from coatcheck.changes import Increment as Increment
    from coatcheck.changes import Set as Set
    from coatcheck.changes import SetLifetimes as SetLifetimes
    from coatcheck.changes import Unset as Unset
    from coatcheck.client import SessionClient as SessionClient
    from coatcheck.client import connect as connect
    from coatcheck.errors import BadToken as BadToken
    from coatcheck.errors import ChangeRefused as ChangeRefused
    from coatcheck.errors import CoatcheckError as CoatcheckError
    from coatcheck.errors import ConfigurationError as ConfigurationError
    from coatcheck.errors import CorruptRecord as CorruptRecord
    from coatcheck.errors import EncryptionKeyMissing as EncryptionKeyMissing
    from coatcheck.errors import PrincipalLimit as PrincipalLimit
    from coatcheck.errors import ReauthenticationRequired as ReauthenticationRequired
    from coatcheck.errors import RequestTimeout as RequestTimeout
    from coatcheck.errors import SessionConflict as SessionConflict
    from coatcheck.errors import SessionMissing as SessionMissing
    from coatcheck.errors import SessionTooLarge as SessionTooLarge
    from coatcheck.errors import StoreFull as StoreFull
    from coatcheck.errors import StoreUnavailable as StoreUnavailable
    from coatcheck.errors import UnstorableValue as UnstorableValue
    from coatcheck.flashes import FlashMessage as FlashMessage
    from coatcheck.lifetimes import Lifetimes as Lifetimes
    from coatcheck.session import Session as Session
    from coatcheck.settings import Settings as Settings
    from coatcheck.store.contract import SessionInfo as SessionInfo
    from coatcheck.store.record import Record as Record

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605 - sorted from the table above


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'coatcheck' has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)
