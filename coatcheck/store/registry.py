"""The environments of this process, one for each state directory, and what happens to them around a fork."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from coatcheck.store import files
from coatcheck.store.environment import Environment
from coatcheck.store.handle import Founder

if TYPE_CHECKING:
    from coatcheck.clock import Clock

_log = logging.getLogger("coatcheck.store")

# An environment stays here when it is closed: a thread may be on its way into a transaction that opens it again, and a
# second one on the same files would be refused by LMDB for good.
_table: dict[tuple[int, int], Environment] = {}
_table_lock = threading.RLock()  # a signal handler may fork, or use a store, while its thread has it


def table_lock() -> threading.RLock:
    """The lock on who uses what; another one after a fork."""
    return _table_lock


def environment_at(home: Path, founder: Founder, clock: Clock) -> Environment:
    """The environment of this process for a state directory, counted; give it back with ``release``.

    ``founder`` and ``clock`` are used when this process has none yet.
    """
    files.prepare_directory(home)
    status = home.stat()
    with _table_lock:
        environment = _table.get((status.st_dev, status.st_ino))
        if environment is None:
            environment = Environment(home.resolve(), founder, clock)
            _table[status.st_dev, status.st_ino] = environment
        elif not environment.users:
            environment.renew(home.resolve(), founder, clock)
        environment.users += 1
        return environment


def release(environment: Environment) -> None:
    """The end of one use; the last one closes."""
    with _table_lock:
        environment.users -= 1
        if environment.users:
            return
        upkeep = environment.upkeep
    environment.clean_up()
    upkeep.stop()
    environment.close_if_unused()


def _before_fork() -> None:
    _table_lock.acquire()
    for environment in list(_table.values()):
        environment.before_fork()


def _after_fork_in_parent() -> None:
    try:
        for environment in list(_table.values()):
            try:
                environment.after_fork_in_parent()
            except RuntimeError:
                pass  # made by a signal handler since
            except Exception:  # noqa: BLE001 - the others have to be let in too; the next verb tries again
                _log.exception("the store in %s could not be opened again after a fork", environment.home)
    finally:
        _table_lock.release()


def _after_fork_in_child() -> None:
    global _table_lock  # noqa: PLW0603 - the old one may be held by a thread that does not exist here
    _table_lock = threading.RLock()
    for environment in list(_table.values()):
        environment.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
