"""Replacing the server's secret in three steps, none of which signs anybody out.

A process reads the secret file when it opens the store, and keeps what it read. So the new secret is first put at the
end, where nobody uses it yet; when every process knows it, it becomes the newest; and when no live session has a token
from before that, the old ones go. The file remembers the step in comments, which name a secret by its fingerprint.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.keyring import Keyring, load_or_create, parse_secrets
from coatcheck.store.files import write_private
from coatcheck.system.process import stat_of

_MARK: Final = re.compile(r"^# (next|newest) ([0-9a-f]{16}) since (\S+)$")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class SecretFile:
    """What is in the file."""

    roots: tuple[bytes, ...]
    """Newest first."""

    mark: tuple[str, float] | None
    """``next`` or ``newest``, and since when (seconds since 1970): the step that a rotation has reached."""


def fingerprint(root: bytes) -> str:
    """What names a secret and tells nothing about it: 16 hex digits."""
    return Keyring([root]).fingerprints()[0].hex()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Inside, no other rotation changes the file. Raises ConfigurationError for a file that cannot be used."""
    load_or_create(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != path.stat().st_ino:
            raise BlockingIOError  # it was replaced between the two
        yield
    except BlockingIOError:
        msg = f"another rotation is changing {path}: see what it says, and try again"
        raise StoreUnavailable(msg) from None
    finally:
        os.close(descriptor)


def read(path: Path) -> SecretFile:
    """The file as it is. Raises ConfigurationError for what cannot be used."""
    load_or_create(path)
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    roots = tuple(parse_secrets("\n".join(each for each in lines if not each.lstrip().startswith("#"))))
    names = {fingerprint(each): each for each in roots}
    for kind, name, since in (found.groups() for found in map(_MARK.match, lines) if found):
        if name in names:
            rest = tuple(each for each in roots if each != names[name])
            ordered = (*rest, names[name]) if kind == "next" else (names[name], *rest)
            return SecretFile(ordered, (kind, datetime.fromisoformat(since).timestamp()))
    return SecretFile(roots, None)


def write(path: Path, roots: tuple[bytes, ...], kind: str | None) -> None:
    """Put these secrets in the place of the file, whole or not at all. ``kind``: the step that is reached."""
    Keyring(roots)  # raises for what cannot be
    lines = [each.decode("utf-8", "surrogateescape") for each in roots]
    if kind is not None:
        name = fingerprint(roots[-1] if kind == "next" else roots[0])
        lines.insert(0, f"# {kind} {name} since {datetime.now(timezone.utc).isoformat()}")
    write_private(path, "\n".join(lines) + "\n")


def new_root() -> bytes:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32).encode()


def began(pid: int) -> float | None:
    """When the program of a process began to run (seconds since 1970); None where that is not known.

    A forked worker has what its parent had read, so it is the oldest ancestor that runs the same program which counts.
    """
    program, oldest = _program(pid), None
    while pid > 1 and program is not None and _program(pid) == program:
        found = _stat(pid)
        if found is None:
            break
        pid, oldest = found
    return oldest


def older_than(pids: tuple[int, ...], moment: float) -> list[int]:
    """Of these processes those that may have read the file before that moment."""
    starts = {pid: began(pid) for pid in pids}
    return [pid for pid, start in starts.items() if start is None or start <= moment]


def _program(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - text, and of what may be deleted
    except OSError:
        return None


def _stat(pid: int) -> tuple[int, float] | None:
    """The parent of a process, and when it was started."""
    fields = stat_of(pid)
    try:
        booted = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()
            if "btime" in line
        )
    except (OSError, StopIteration):
        return None
    if not fields:
        return None
    return int(fields[1]), booted + int(fields[19]) / _TICKS


def require_file(path: Path, given: object) -> None:
    """Raise ConfigurationError where the secrets are not those of the file."""
    if given is not None:
        msg = (
            "the secrets are those of COATCHECK_SECRET, which is for you to change: put a new one at its end and "
            "restart everything, then to its front and restart; drop the old one after the longest absolute lifetime"
        )
        raise ConfigurationError(msg)
    if not path.exists():
        msg = f"there is no {path}: its first user makes it"
        raise ConfigurationError(msg)
