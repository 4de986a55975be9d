"""The file that holds the server's secrets: read only when nobody else can, made once however many try.

Made by writing a temporary file and giving it the real name with a hard link, which fails when the name is taken:
whoever loses reads what the winner wrote, and nobody ever sees half a secret.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shlex
import stat
from pathlib import Path

from coatcheck.errors import ConfigurationError, StoreFull


def read_or_create(path: Path) -> str:
    """The text of the secret file at ``path``, made with one new secret when it is not there.

    Raises ConfigurationError, with the path, what is wrong and the command that repairs it, for a file that cannot
    be read or made, or that is not this user's alone.
    """
    try:
        text = read_private(path)
        if text is None:
            _create(path)
            text = read_private(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            msg = f"{path} cannot be made ({error.strerror}): make room on the disk"
            raise StoreFull(msg) from error
        msg = f"{path} cannot be read or made ({error.strerror}): {_remedy(path, error)}"
        raise ConfigurationError(msg) from error
    if text is None:
        msg = f"{path} vanished as soon as it was made: see what else removes files in {path.parent}"
        raise ConfigurationError(msg)
    return text


def read_private(path: Path) -> str | None:
    """The text of a file that is this user's alone; None when it is not there. Raises ConfigurationError, OSError."""
    try:
        # Not blocking, because a pipe in the file's place would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.EMLINK}:
            raise
        name = _quoted(path)
        msg = f'{path} is a symbolic link: put the file itself there: mv "$(readlink -f {name})" {name}'
        raise ConfigurationError(msg) from None
    try:
        # Asked of the open file, not of its name, which could be another file's by now.
        _check(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result) -> None:
    mode, user = stat.S_IMODE(status.st_mode), os.geteuid()
    if not stat.S_ISREG(status.st_mode):
        msg = f"{path} is no regular file: rm -r {_quoted(path)}"
    elif status.st_uid != user:
        msg = f"{path} belongs to user {status.st_uid}, not to {user} who runs this: chown {user} {_quoted(path)}"
    elif mode & 0o077:
        msg = f"{path} is open to others (mode {mode:04o}): chmod 600 {_quoted(path)}"
    else:
        return
    raise ConfigurationError(msg)


def _create(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # the umask may have taken more away than it should
            file.write(secrets.token_urlsafe(32).encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    # The loser too: it is about to rely on the winner's name, which may not be on disk yet.
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remedy(path: Path, error: OSError) -> str:
    name, directory, user = _quoted(path), _quoted(path.parent), os.geteuid()
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return f"mkdir -p -m 700 {directory}"
    if error.errno == errno.EACCES:
        return f"chown {user} {directory} {name}; chmod 700 {directory}; chmod 600 {name}"
    return f"{directory} has to be on a local file system with hard links and room"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
