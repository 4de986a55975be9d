"""LMDB's errors in coatcheck's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb

from coatcheck.errors import ConfigurationError, CorruptRecord, StoreFull, StoreUnavailable

_DAMAGED: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.BadTxnError)
_FOREIGN: Final = (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.IncompatibleError, lmdb.DbsFullError)


@contextmanager
def translated(home: Path) -> Iterator[None]:
    """Turn an ``lmdb.Error`` into one of coatcheck's, naming the place and the remedy."""
    try:
        yield
    except lmdb.Error as error:
        raise translate(error, home) from error


def translate(error: lmdb.Error, home: Path) -> Exception:
    """The error of coatcheck for one of LMDB."""
    text = str(error)
    if isinstance(error, lmdb.MapFullError):
        return StoreFull(f"the store in {home} has reached its map_size: raise it, or end sessions")
    if isinstance(error, lmdb.DiskError) or _says(text, errno.ENOSPC) or _says(text, errno.EDQUOT):
        return StoreFull(f"the disk below {home} is full: nothing was changed; make room")
    if _says(text, errno.EFBIG) or _says(text, errno.EIO):
        return StoreFull(f"the disk below {home} refuses to take more ({text}): nothing was changed")
    if isinstance(error, _DAMAGED):
        return CorruptRecord(f"{home}/data.mdb is damaged ({text}): stop the service and restore a backup")
    if isinstance(error, _FOREIGN):
        return ConfigurationError(f"{home}/data.mdb was not written by this version of coatcheck ({text})")
    if isinstance(error, lmdb.ReadersFullError):
        return StoreUnavailable(f"more than the allowed number of readers on {home}: use fewer processes or threads")
    if isinstance(error, lmdb.LockError):
        return StoreUnavailable(f"the lock file of {home} cannot be used ({text}): see that this user may write it")
    return StoreUnavailable(f"LMDB on {home}: {text}")


def _says(text: str, number: int) -> bool:
    return os.strerror(number) in text
