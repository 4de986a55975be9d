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
from coatcheck.store.files import HOW_TO_RESTORE


class NoPages(StoreFull):
    """No page could be had, from the map or from the disk; those that are free may be kept back by readers."""


_DAMAGED: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.BadTxnError)
_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_REMEDIES: Final = {
    lmdb.ReadersFullError: "use fewer processes or threads",
    lmdb.LockError: "see that this user may write the lock file",
}
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
        return NoPages(f"the store in {home} has reached its map_size: raise it, or end sessions")
    if isinstance(error, lmdb.DiskError) or any(os.strerror(number) in text for number in _DISK):
        return NoPages(f"the disk below {home} takes no more ({text}): nothing was changed; make room")
    if isinstance(error, _DAMAGED):
        return CorruptRecord(
            f"{home}/data.mdb is damaged ({text}): stop the service, and {HOW_TO_RESTORE.format(home=home)}"
        )
    if isinstance(error, _FOREIGN):
        return ConfigurationError(f"{home}/data.mdb was not written by this version of coatcheck ({text})")
    for kind, remedy in _REMEDIES.items():
        if isinstance(error, kind):
            return StoreUnavailable(f"LMDB on {home}: {text}; {remedy}")
    return StoreUnavailable(f"LMDB on {home}: {text}")
