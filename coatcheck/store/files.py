"""The state directory: what is in it, who may read it, and on what it may lie."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path
from typing import Final

from lmdb.verify import VerifyError, verify

from coatcheck.errors import CoatcheckError, ConfigurationError, StoreFull, StoreUnavailable

DATA: Final = "data.mdb"
LOCK: Final = "lock.mdb"
MARKER: Final = "store"
GATE: Final = "gate"
WRITER: Final = "writer"
DUTY: Final = "duty"
SECRET: Final = "secret"  # noqa: S105 - a file name
OPENER: Final = "opener"
IGNORE: Final = ".gitignore"
DEFAULT: Final = "coatcheck-state"

HOW_TO_RESTORE: Final = "restore a backup: python -m coatcheck.system restore --home {home} DIRECTORY"
"""What to do about a damaged store."""

_NETWORK: Final = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs 9p afs ceph lustre glusterfs fuse.sshfs fuse.glusterfs fuse.s3fs".split()
)
ROOM_TO_BEGIN: Final = 1 << 20
"""Free bytes of disk without which no store is begun."""

_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_META: Final = struct.Struct("<IIQQ")
_META_MAGIC: Final = 0xBEEFC0DE


def prepare_directory(home: Path) -> None:
    """Make the state directory, or see that it can be one. Raises ConfigurationError."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries = list(home.iterdir())
        status = home.stat()
    except FileExistsError:
        msg = f"{home} is not a directory: name another state directory"
        raise ConfigurationError(msg) from None
    except OSError as error:
        if error.errno in (*_NO_DESCRIPTORS, *_NO_ROOM):
            raise explained(error, home) from error
        msg = f"state directory {home}: {error.strerror}; make it writable for this user, or name another"
        raise ConfigurationError(msg) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        msg = f"state directory {home} is not writable for user {os.geteuid()}: chown it, or name another"
        raise ConfigurationError(msg)
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        if entries and not any((home / name).exists() for name in (DATA, MARKER, SECRET)):
            msg = f"{home} is no state directory and holds other files: name one of its own, such as {home}/{DEFAULT}"
            raise ConfigurationError(msg)
        if entries or status.st_uid != os.geteuid() or status.st_mode & stat.S_ISVTX:
            msg = f"state directory {home} is open to other users (mode {mode}): chmod 700 {home}"
            raise ConfigurationError(msg)
        home.chmod(0o700)
    _refuse_network(home)


def check_home(home: Path) -> None:
    """See, without touching anything, that the state directory can be one. Raises ConfigurationError."""
    there = home
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        msg = f"state directory {home}: {there} is not a directory; name another state directory"
        raise ConfigurationError(msg)
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        msg = f"state directory {home}: {there} is not writable for user {os.geteuid()}; chown it, or name another"
        raise ConfigurationError(msg)


def check_is_store(home: Path) -> None:
    """See that there is a store, where none is to be made. Raises ConfigurationError."""
    if not (home / DATA).exists():
        msg = f"there is no store in {home}: name its state directory with --home or COATCHECK_HOME"
        raise ConfigurationError(msg)


def explained(error: OSError, path: Path) -> CoatcheckError:
    """What an error of the operating system means for a store, and what to do."""
    where = error.filename or path
    if error.errno in _NO_DESCRIPTORS:
        return StoreUnavailable(f"{where}: {error.strerror}; raise the limit of open files (ulimit -n)")
    if error.errno in _NO_ROOM:
        return StoreFull(f"{where} cannot be written ({error.strerror}): make room on the disk")
    return ConfigurationError(f"{where}: {error.strerror}; see that it is a file that this user may read and write")


def open_private(path: Path) -> int:
    """A descriptor of a 0600 file that is made when absent, and never followed through a link."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise explained(error, path) from error
    _require_regular(descriptor, path)
    return descriptor


def read_private(path: Path) -> bytes:
    """What is in a file. Raises FileNotFoundError, and ConfigurationError for a link, a pipe or a directory."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise explained(error, path) from error
    _require_regular(descriptor, path)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _require_regular(descriptor: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        msg = f"{path} is no regular file: move it away"
        raise ConfigurationError(msg)


def create_private(path: Path) -> int:
    """A descriptor of a new 0600 file; it must not be there yet."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file so that after a crash it is there whole or not at all."""
    write_private_bytes(path, text.encode())


def write_private_bytes(path: Path, content: bytes) -> None:
    """The same for bytes. Raises StoreFull and ConfigurationError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise explained(error, path) from error


def require_room_to_begin(home: Path) -> None:
    """Raise StoreFull where files that are mapped into memory have still to be made, and the disk is full.

    Touching a mapped page for which there is no room on the disk is not an error but SIGBUS, the end of the process.
    """
    if all(_blocks(home / name) for name in (DATA, LOCK, WRITER)):
        return
    status = os.statvfs(home)
    free = status.f_bavail * status.f_frsize
    if free < ROOM_TO_BEGIN:
        msg = f"only {free >> 10} KiB of disk are left below {home}: make room for a store ({ROOM_TO_BEGIN >> 20} MiB)"
        raise StoreFull(msg)


def _blocks(path: Path) -> int:
    try:
        return path.stat().st_blocks
    except OSError:
        return 0


def sync_directory(path: Path) -> None:
    """Make renames in this directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_data_file(home: Path) -> None:
    """See that ``data.mdb`` can be mapped at all: a file cut short would end the process with SIGBUS.

    Raises ConfigurationError naming the file and what to do.
    """
    path = home / DATA
    advice = f"{HOW_TO_RESTORE.format(home=home)} (or move the directory away, to start with an empty store)"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        _require_regular(descriptor, path)
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            pages = file.read(2 * 65536)
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        size, pages, mode = 0, b"", 0
    except OSError as error:
        raise explained(error, path) from error
    if mode & 0o077:
        msg = f"{path} is open to other users (mode {mode:04o}): chmod 600 {path}"
        raise ConfigurationError(msg)
    if not size:
        if (home / MARKER).exists():
            msg = f"{path} is empty or missing, but {home} has held a store: {advice}"
            raise ConfigurationError(msg)
        return
    needed = _bytes_in_use(pages)
    if needed is None:
        msg = f"{path} is not an LMDB data file of format 1, or its first pages are damaged: {advice}"
        raise ConfigurationError(msg)
    if size < needed and _damaged(path):
        msg = f"{path} is cut short ({size} bytes, {needed} in use): {advice}"
        raise ConfigurationError(msg)


def _damaged(path: Path) -> bool:
    # Free pages at the end may never have been written; only a walk over the pages in use can tell.
    try:
        return bool(verify(os.fspath(path), subdir=False))  # type: ignore[no-untyped-call]
    except VerifyError:
        return True


def _bytes_in_use(pages: bytes) -> int | None:
    """What the newer of the two meta pages says is in use; None when neither is one."""
    # Page header of 16 bytes, then magic, version, address, map size, two 48 byte tables, last page, transaction.
    best: tuple[int, int] | None = None
    size = struct.unpack_from("<I", pages, 40)[0] if len(pages) >= 44 else 0
    if size not in (4096, 8192, 16384, 32768, 65536):
        return None
    for start in (0, size):
        if len(pages) < start + 152:
            return None
        magic, version, _, _ = _META.unpack_from(pages, start + 16)
        if magic != _META_MAGIC or version != 1:
            return None
        last_page, transaction = struct.unpack_from("<QQ", pages, start + 16 + 24 + 96)
        if best is None or transaction > best[0]:
            best = transaction, (last_page + 1) * size
    return None if best is None else best[1]


def _refuse_network(home: Path) -> None:
    kind = _file_system(home)
    if kind in _NETWORK:
        msg = f"{home} lies on a network file system ({kind}), where shared memory cannot work: use a local disk"
        raise ConfigurationError(msg)


def _file_system(path: Path) -> str:
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        fields = line.split()
        if len(fields) > 2 and fields[2] == wanted and "-" in fields:
            return fields[fields.index("-") + 1]
    return ""
