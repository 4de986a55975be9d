"""Backup and compaction: whole copies of the data file."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.store import files
from coatcheck.store.lmdb_errors import translated
from coatcheck.store.synced import SYNCED

if TYPE_CHECKING:
    from coatcheck.store.environment import Environment
    from coatcheck.store.progress import Progress

ALONE_WITHIN = 5.0
"""Seconds that compaction waits for others to leave."""

_SPARE = 16 << 20


def backup(environment: Environment, target: str | PathLike[str], progress: Progress | None = None) -> None:
    """Copy the store, and its secret where that is a file, into a directory that is new or empty.

    The copy is a state directory itself. It holds the secret: guard it like the store. It is made beside the target,
    as ``.NAME.PID``, and gets its name in one step, so a backup is there whole or not at all; where the target is
    empty and cannot be replaced, as a volume, it is made in it, and complete once the file ``store`` is there.
    Raises ConfigurationError for a directory that is in use.
    """
    directory = Path(target).absolute()
    new = not directory.exists()
    files.prepare_directory(directory)
    if any(directory.iterdir()):
        msg = f"{directory} is not empty: name a new directory for the backup"
        raise ConfigurationError(msg)
    stage = directory.with_name(f".{directory.name}.{os.getpid()}")
    try:
        try:
            shutil.rmtree(stage, ignore_errors=True)  # of a process of this number that was killed
            stage.mkdir(mode=0o700)
        except OSError:
            _copy_into(environment, directory, progress)  # what is above it is not this user's
            return
        _copy_into(environment, stage, progress)
        _give_name(stage, directory)
    except BaseException as error:
        # On a full disk it would be in the way of the next one, and of everybody else.
        with suppress(OSError):
            for name in (files.MARKER, files.SECRET, files.DATA):
                (directory / name).unlink(missing_ok=True)
            if new:
                directory.rmdir()
        if isinstance(error, OSError):
            raise files.explained(error, directory) from error
        raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _copy_into(environment: Environment, directory: Path, progress: Progress | None) -> None:
    copy_data(environment, directory / files.DATA, progress)
    secret = environment.home / files.SECRET
    if secret.exists():
        files.write_private(directory / files.SECRET, secret.read_text(encoding="utf-8"))
    files.write_private(directory / files.MARKER, "coatcheck store\n")


def _give_name(stage: Path, directory: Path) -> None:
    try:
        stage.rename(directory)  # takes the place of an empty directory
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM):
            raise
        # The mark comes last.
        for name in (files.DATA, files.SECRET, files.MARKER):
            if (stage / name).exists():
                shutil.copyfile(stage / name, directory / name)
                _make_durable(directory / name)
    files.sync_directory(directory)
    files.sync_directory(directory.parent)


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_data(environment: Environment, target: Path, progress: Progress | None = None) -> None:
    """A compacted, synced copy of the data file, readable by its owner only."""
    if progress is not None:
        progress.begin("copying", environment.used_bytes(), target)
    handle = environment.outside_transactions()
    try:
        descriptor = files.create_private(target)
        try:
            with translated(environment.home):
                handle.copyfd(descriptor, compact=True)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        environment.leave()
    files.sync_directory(target.parent)


def put_in_place(home: Path, data: Path) -> None:
    """Give a data file the name of the store's own, in one step. Both are synced, and nobody has the store open."""
    # The old sync point must not lead into the new file.
    (home / SYNCED).unlink(missing_ok=True)
    files.sync_directory(home)
    data.rename(home / files.DATA)
    # The old lock file speaks of pages that are elsewhere now.
    (home / files.LOCK).unlink(missing_ok=True)
    files.sync_directory(home)


def compact(environment: Environment, progress: Progress | None = None) -> tuple[int, int]:
    """Put a compacted copy in the place of the data file; bytes before and after.

    Raises StoreUnavailable naming the processes that have the store open: they would go on with the old file.
    """
    home = environment.home
    before = (home / files.DATA).stat().st_size
    needed, free = environment.used_bytes() + _SPARE, shutil.disk_usage(home).free
    if free < needed:
        msg = f"compaction needs {(needed >> 20) + 1} MiB of free disk below {home}, there are {free >> 20}: make room"
        raise StoreUnavailable(msg)
    temporary = home / f".{files.DATA}.compact"
    if progress is not None:
        progress.begin("copying", environment.used_bytes(), temporary)
    with environment.alone(ALONE_WITHIN):
        temporary.unlink(missing_ok=True)
        environment.copy_closed(temporary)
        put_in_place(home, temporary)  # the old file was synced for the copy
    return before, (home / files.DATA).stat().st_size
