"""Restore: a backup takes the place of a store, as a whole or not at all, while nobody has the store open."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CoatcheckError, ConfigurationError, CorruptRecord, StoreUnavailable
from coatcheck.store import files
from coatcheck.store.backup import put_in_place
from coatcheck.store.gate import SharedGate
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.progress import Progress
from coatcheck.store.recovery import recover

if TYPE_CHECKING:
    from coatcheck.settings import Settings

REPLACED: Final = "data.mdb.replaced"
"""Where the data file that was there is kept, until the next restore or until somebody removes it."""

ALONE_WITHIN: Final = 5.0
"""Seconds that a restore waits for others to leave the store."""

_STAGE: Final = ".restore"
_SPARE: Final = 64 << 20


@dataclass(frozen=True)
class Restored:
    """What a restore has done."""

    sessions: int
    """How many sessions are in the store now, those included that have expired since the backup."""

    replaced: Path | None
    """The data file that was there before; None when there was none."""

    secret_taken: bool
    """Whether the secret of the backup was added to that of the state directory."""


def restore(settings: Settings, source: str | os.PathLike[str], *, progress: Progress | None = None) -> Restored:
    """Put the backup ``source`` in the place of the store of these settings, which may be damaged or missing.

    The backup is copied and checked as a whole first, with every record and every index; a backup that is damaged, or
    was made under another secret, changes nothing. Then the copy gets the name of the data file in one step: whoever
    opens the store finds the old file or the new one, also after ``kill -9`` or a power loss in between. The secret of
    the state directory stays; where it does not open the backup, that of the backup is added to it.

    Raises ConfigurationError for what is no backup, or cannot be opened here; StoreUnavailable naming the processes
    that have the store open; StoreFull.
    """
    directory = Path(source).absolute()
    home = settings.home
    progress = progress or Progress()
    files.prepare_directory(home)
    _check_source(directory, home)
    gate = SharedGate(home / files.GATE)
    try:
        gate.enter_alone(ALONE_WITHIN)
        stage = home / _STAGE
        shutil.rmtree(stage, ignore_errors=True)  # of a restore that was killed
        try:
            _copy(directory, stage, home, progress)
            secret, sessions = _check_copy(settings, directory, stage, progress)
            replaced = _replace(home, stage, secret)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise files.explained(error, home) from error
    finally:
        gate.close()
    return Restored(sessions, replaced, secret is not None)


def _check_source(directory: Path, home: Path) -> None:
    if not (directory / files.MARKER).exists() or not (directory / files.DATA).exists():
        msg = f"{directory} is no backup: name the directory that 'backup' has written"
        raise ConfigurationError(msg)
    if home.samefile(directory):
        msg = f"{directory} is the state directory itself: name the backup"
        raise ConfigurationError(msg)
    files.check_data_file(directory)


def _copy(directory: Path, stage: Path, home: Path, progress: Progress) -> None:
    size = (directory / files.DATA).stat().st_size
    free = shutil.disk_usage(home).free
    if free < size + _SPARE:
        msg = f"the restore needs {(size + _SPARE) >> 20} MiB of free disk below {home}, there are {free >> 20}"
        raise StoreUnavailable(msg)
    stage.mkdir(mode=0o700)
    descriptor = files.create_private(stage / files.DATA)
    progress.begin("copying", size, stage / files.DATA)
    with os.fdopen(descriptor, "wb") as target, (directory / files.DATA).open("rb") as data:
        shutil.copyfileobj(data, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    files.write_private(stage / files.MARKER, "coatcheck store\n")


def _check_copy(settings: Settings, directory: Path, stage: Path, progress: Progress) -> tuple[str | None, int]:
    """The text of a secret file that opens the copy, None where the present secret does; and its sessions."""
    # Of the settings only those that say where and who: the backup may have been made under other limits.
    plain = settings.of_the_store(home=stage)
    mine, theirs = (_text(each / files.SECRET) for each in (settings.home, directory))
    if settings.secrets is None and mine:
        files.write_private(stage / files.SECRET, mine)
    if settings.secrets is not None or mine:
        try:
            return None, _sessions_in(plain, directory, progress)
        except ConfigurationError:
            if settings.secrets is not None or not theirs:
                raise
    if not theirs:
        msg = f"there is no secret for the backup {directory}: set COATCHECK_SECRET to the one it was made under"
        raise ConfigurationError(msg)
    known = mine.split()
    both = "\n".join([*mine.splitlines(), *(line for line in theirs.splitlines() if line.strip() not in known)]) + "\n"
    files.write_private(stage / files.SECRET, both)
    return both, _sessions_in(plain, directory, progress)


def _text(path: Path) -> str:
    try:
        return files.read_private(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _sessions_in(settings: Settings, directory: Path, progress: Progress) -> int:
    store = LmdbStore(settings, background=False)
    try:
        store.any_keys = True
        if not store.stats().encryption:
            # From before the store was encrypted: whoever opens it will be told how to do that.
            store.close()
            store = LmdbStore(replace(settings, encryption_keys=None, encryption_keys_file=None), background=False)
        store.any_keys = False
        store.close()
        report = store.check(progress=progress)
        if not report.problems:
            store.note_action("restored", source=str(directory))
    except (ConfigurationError, CorruptRecord) as error:
        # What is said of the copy, such as a command to run, goes for the backup, which is a state directory too.
        why = str(error).replace(str(settings.home), str(directory))
        msg = f"the backup {directory} cannot be used: {why}; nothing was changed"
        raise ConfigurationError(msg) from error
    finally:
        store.close()
    if report.problems:
        first = report.problems[0]
        msg = (
            f"the backup {directory} is damaged ({first.kind} at {first.where}): use an older one; nothing was changed"
        )
        raise ConfigurationError(msg)
    return report.sessions


def _replace(home: Path, stage: Path, secret: str | None) -> Path | None:
    data, kept = home / files.DATA, home / REPLACED
    there = data.exists()
    if there:
        # What is given up had better be whole, for whoever wants it back, or if this is killed before the new one has
        # its name; without its sync point it has to be. What is damaged stays so.
        with suppress(CoatcheckError, OSError):
            recover(home)
        _sync(data)
        kept.unlink(missing_ok=True)
        os.link(data, kept)
    if secret is not None:
        files.write_private(home / files.SECRET, secret)  # opens the store before the next step, and after it
    # Opening the copy may have written to it, as the secrets and keys that it was opened with.
    _sync(stage / files.DATA)
    put_in_place(home, stage / files.DATA)
    files.write_private(home / files.MARKER, "coatcheck store\n")
    return kept if there else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
