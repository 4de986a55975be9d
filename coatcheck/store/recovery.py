"""After a power loss: back to the last sync point."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from lmdb.verify import VerifyError, verify

from coatcheck.errors import ConfigurationError
from coatcheck.store import files
from coatcheck.store.opener import boot_id
from coatcheck.store.synced import MetaPages, read_synced

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("coatcheck.store")


def needs_recovery(home: Path) -> bool:
    """Whether the machine went down after the last sync point, and something had been written since."""
    synced = read_synced(home)
    if synced is None or synced.boot == boot_id() or not (home / files.DATA).exists():
        return False
    metas = MetaPages.read(home, synced.metas.size)
    # A file that is not younger than the sync point is not what became of it: it was put there, from a backup.
    return metas != synced.metas and not 0 <= metas.transaction <= synced.transaction


def recover(home: Path) -> bool:
    """Put the meta pages of the last sync point back if the machine went down after it; whether that was needed.

    To be called while nobody has the store open. What was written after the sync point may be on the disk in part:
    it is given up as a whole. Raises ConfigurationError when the file is damaged all the same.
    """
    if not needs_recovery(home):
        return False
    synced = read_synced(home)
    assert synced is not None
    metas = MetaPages.read(home, synced.metas.size)
    synced.metas.write(home)
    problems = _problems(home)
    if problems:
        # Perhaps it is another file, put there by hand: leave it as it was found.
        metas.write(home)
        msg = (
            f"{home / files.DATA} is damaged, also at its last sync point ({problems[0]}): "
            f"{files.HOW_TO_RESTORE.format(home=home)}"
        )
        raise ConfigurationError(msg)
    # It tells of readers and of a writer that do not exist any more.
    (home / "lock.mdb").unlink(missing_ok=True)
    _log.warning(
        "%s: the machine went down; the store is back at its last sync point (transaction %d of %d)",
        home, synced.transaction, metas.transaction,
    )  # fmt: skip
    return True


def _problems(home: Path) -> list[str]:
    try:
        problems: list[str] = verify(os.fspath(home / files.DATA), subdir=False)  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]
    return problems
