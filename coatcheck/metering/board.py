"""The folder ``counters`` of a state directory: a file for each process that counts, and the total of those that ended.

A process holds a lock on its file as long as it lives, so whoever gets the lock knows that it has ended, however that
came, and adds its numbers to the total. Each number is in the total or in one file, never in both and never in none:
so nothing that is read here ever goes back, whoever is killed at whatever moment. (A power loss may: then the counters
begin again, which readers of counters know to deal with.)
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgpack

FOLDER: Final = "counters"
"""The name of the folder in the state directory."""

_TOTAL: Final = "total"
_LOCK: Final = "lock"
_BEGINNING: Final = "."
_HEAD: Final = struct.Struct(">QII")
"""Which write it was, the length of what follows, and its checksum."""

_HALF: Final = 32 << 10
_TRIES: Final = 20
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True)
class Process:
    """A process that counts."""

    pid: int
    """Its number."""

    program: str
    """What it was started as."""

    counts: Mapping[str, int]
    """What it has counted, by name."""


@dataclass(frozen=True)
class Tally:
    """All counters of a state directory, at about one moment."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Sums over all processes, those that have ended included. They only grow."""

    processes: tuple[Process, ...] = ()
    """Those that live."""


class Sheet:
    """The file of one process."""

    def __init__(self, home: Path) -> None:
        """Make it. Raises OSError, as where the state directory is gone."""
        folder = home / FOLDER
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        beginning = folder / f"{_BEGINNING}{name}"
        self._descriptor = os.open(beginning, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        try:
            # Locked before it has its name: nobody may take it for the file of a process that has ended.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            beginning.rename(folder / name)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._about = {"pid": os.getpid(), "program": Path(sys.argv[0] or "python").name[:64]}
        self._number = 0

    @property
    def is_gone(self) -> bool:
        """Whether somebody has removed it."""
        return not os.fstat(self._descriptor).st_nlink

    def write(self, counts: Mapping[str, int]) -> None:
        """Put these numbers in the place of the former ones.

        Two halves in turns: when a process is killed in the middle of a write, the numbers of before are still there.
        """
        packed: bytes = msgpack.packb({**self._about, "counts": counts})
        if len(packed) > _HALF - _HEAD.size:
            msg = f"{len(counts)} counters are too many for one file"
            raise ValueError(msg)
        self._number += 1
        head = _HEAD.pack(self._number, len(packed), zlib.crc32(packed))
        os.pwrite(self._descriptor, head + packed, (self._number & 1) * _HALF)

    def close(self) -> None:
        """Leave it to whoever adds it to the total."""
        os.close(self._descriptor)


def read(home: Path) -> Tally:
    """What all processes have counted. Empty where nobody has."""
    folder = home / FOLDER
    for _ in range(_TRIES):
        before = _read_total(folder)
        sums, processes = Counter(before["counts"]), []
        for path in _sheets(folder):
            if path.name not in before["added"] and (found := _read_sheet(path)) is not None:
                lives, content = found
                sums.update(content["counts"])
                if lives:
                    processes.append(Process(content["pid"], content["program"], content["counts"]))
        # Meanwhile somebody may have moved a file into the total: then it was seen twice, or not at all.
        if _read_total(folder)["number"] == before["number"]:
            break
    return Tally(dict(sums), tuple(sorted(processes, key=lambda each: each.pid)))


def add_up(home: Path) -> int:
    """Move the numbers of processes that have ended into the total; of how many. Does nothing beside another one."""
    folder = home / FOLDER
    try:
        with _alone(folder):
            return _add_up(folder)
    except (BlockingIOError, FileNotFoundError):
        return 0


def _add_up(folder: Path) -> int:
    total = _read_total(folder)
    for name in total["added"]:
        (folder / name).unlink(missing_ok=True)  # whoever added it was killed before
    ended = []
    sums = Counter(total["counts"])
    for path in _sheets(folder):
        found = _read_sheet(path)
        if found is not None and not found[0]:
            sums.update(found[1]["counts"])
            ended.append(path)
    _remove_beginnings(folder)
    if not ended:
        return 0
    names = [path.name for path in ended]
    content = json.dumps({"number": total["number"] + 1, "counts": dict(sums), "added": names})
    beginning = folder / f"{_BEGINNING}{_TOTAL}"
    descriptor = os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    # In one step with their names: from here on their files count no more.
    beginning.rename(folder / _TOTAL)
    for path in ended:
        path.unlink(missing_ok=True)
    return len(ended)


def _remove_beginnings(folder: Path) -> None:
    """Remove files whose processes were killed while they made them. Who is making one just now makes another."""
    for path in folder.iterdir():
        if path.name[:1] == _BEGINNING and path.name[1:2].isdigit():
            found = _read_sheet(path)
            if found is not None and not found[0]:
                path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _sheets(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.name[:1].isdigit()]
    except FileNotFoundError:
        return []


def _read_total(folder: Path) -> dict[str, Any]:
    try:
        total = json.loads((folder / _TOTAL).read_text(encoding="utf-8"))
        return {"number": int(total["number"]), "counts": dict(total["counts"]), "added": list(total["added"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"number": 0, "counts": {}, "added": []}  # nobody has ended yet, or a power loss has taken it


def _read_sheet(path: Path) -> tuple[bool, dict[str, Any]] | None:
    """Whether its process lives, and what it has written; None when it is gone."""
    nothing = {"pid": 0, "program": "", "counts": {}}
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            lives = False
        except BlockingIOError:
            lives = True
        for _ in range(_TRIES):  # its process may be writing just now
            content = _newest(os.pread(descriptor, 2 * _HALF, 0))
            if content is not None:
                return lives, content
        return lives, nothing
    finally:
        os.close(descriptor)


def _newest(content: bytes) -> dict[str, Any] | None:
    best: tuple[int, bytes] | None = None
    for start in (0, _HALF):
        if len(content) < start + _HEAD.size:
            continue
        number, length, checksum = _HEAD.unpack_from(content, start)
        packed = content[start + _HEAD.size : start + _HEAD.size + length]
        if number and zlib.crc32(packed) == checksum and (best is None or number > best[0]):
            best = number, packed
    return None if best is None else msgpack.unpackb(best[1])
