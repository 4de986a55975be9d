"""The audit file: every audit event as a line of JSON, exactly once, also when its writer is killed at any moment.

Each line holds the position behind it. So there is no second file that could say something else: whoever goes on reads
the last whole line, cuts off what a killed writer has left behind it, and continues there. Only where somebody has
taken the file away (logrotate, say) a small file in the state directory tells where it had come to.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coatcheck.admin.events import RINGS, Batch, Event, Reader
from coatcheck.errors import CoatcheckError
from coatcheck.store import files

if TYPE_CHECKING:
    from coatcheck.store.lmdb import LmdbStore

POLL: Final = 0.1
"""Seconds between two looks at the rings."""

_POSITION: Final = "audit-position"
_LOCK: Final = "audit-file"
_SYNC_EVERY: Final = 10
_CHUNK: Final = 64 << 10
_STOP_WITHIN: Final = 2.0
_log = logging.getLogger("coatcheck.audit")

_Position = dict[str, tuple[int, int]]
"""By ring the number of the last event written, and its time."""


class AuditFile:
    """Writes the events of a store into a file, and rotates it by size. One at a time over all processes."""

    def __init__(self, store: LmdbStore, path: Path, *, most_bytes: int = 10 << 20, count: int = 10) -> None:
        """Open nothing yet. ``most_bytes`` a file may have, about; ``count`` former ones are kept (``PATH.1``, ...)."""
        self._store = store
        self._path = path
        self._most_bytes = most_bytes
        self._count = count
        self._lock: int | None = None
        self._descriptor: int | None = None
        self._reader: Reader | None = None
        self._position: _Position = {}
        self.missed = 0
        """Events that the rings have lost before they were written, since this writer began."""

    def step(self) -> int:
        """Write what has happened since the last step; how many lines. 0 also where another process writes.

        Raises OSError and CoatcheckError; then nothing is lost or doubled, and the next step tries again.
        """
        if self._reader is None and not self._begin():
            return 0
        assert self._reader is not None
        written = 0
        while True:
            before = dict(self._reader.position)
            batch = self._reader.read()
            if not batch.events:
                return written
            try:
                self._write(batch)
            except BaseException:
                self._reader.position = before
                raise
            written += len(batch.events)
            if batch.missed:
                self.missed += batch.missed
                _log.error(
                    "%d audit events were overwritten before they could be written to %s", batch.missed, self._path
                )
            # Not among what is tried again: the lines are there, and would be there twice.
            self._note_position()
            if not batch.more:
                return written

    def sync(self) -> None:
        """Force what was written onto the disk."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Leave the file to somebody else."""
        with suppress(OSError):
            self.sync()
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = self._reader = None

    # Beginning -------------------------------------------------------------------------------------------------

    def _begin(self) -> bool:
        home = self._store.settings.home
        if self._lock is None:
            lock = files.open_private(home / _LOCK)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        self._open()
        self._position = self._last_position()
        position = {name: self._agreed(name, *last) for name, last in self._position.items() if name in RINGS}
        self._reader = Reader(self._store, position)
        return True

    def _open(self) -> None:
        """Open the file, without what a killed writer has left of its last line."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._descriptor = os.open(self._path, flags, 0o600)
        tail, start = _tail(self._descriptor)
        end = start + tail.rfind(b"\n") + 1
        if end != os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, end)

    def _last_position(self) -> _Position:
        for number in range(self._count + 1):
            try:
                descriptor = os.open(self._name(number), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                line = _tail(descriptor)[0].rstrip(b"\n").rpartition(b"\n")[2]
            finally:
                os.close(descriptor)
            if line:
                with suppress(ValueError, KeyError, TypeError):
                    return _read_position(json.loads(line)["position"])
        with suppress(OSError, ValueError, TypeError, AttributeError):
            return _read_position(json.loads((self._store.settings.home / _POSITION).read_text(encoding="utf-8")))
        return {}

    def _agreed(self, ring: str, number: int, at: int) -> int:
        """Where to go on in a ring; other than behind ``number`` when the store has gone back since.

        After a power loss, or a restore, the ring counts on from an earlier number. What it has had before is not newer
        than the last line; what came afterwards is.
        """
        key = RINGS[ring]
        same = self._store.events(after=number - 1, limit=1, ring=key)
        if number < 0 or not same or same[0].sequence > number:
            if self._store.last_event(key) >= number:
                return number  # it has fallen out of the ring: what is missing is told
        elif same[0].at == at:
            return number
        common = -1
        while rows := self._store.events(after=common, limit=1000, ring=key):
            older = [row.sequence for row in rows if row.at <= at]
            common = older[-1] if older else common
            if len(older) < len(rows):
                break
        _log.error(
            "the store has gone back in time: the ring %s continues in %s after event %d", ring, self._path, common
        )
        return common

    # Writing ---------------------------------------------------------------------------------------------------

    def _write(self, batch: Batch) -> None:
        self._look_at_the_file()
        position, lines = dict(self._position), []
        for event in batch.events:
            position[event.ring] = event.sequence, event.at
            lines.append(_line(event, position))
        content = b"".join(lines)
        assert self._descriptor is not None
        size = os.fstat(self._descriptor).st_size
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise
        self._position = position

    def _look_at_the_file(self) -> None:
        """Open it anew where somebody has taken it away, and rotate it where it is long enough."""
        assert self._descriptor is not None
        status = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
            self._open()
        elif status.st_size >= self._most_bytes:
            os.fsync(self._descriptor)
            for number in range(self._count - 1, -1, -1):
                with suppress(FileNotFoundError):
                    self._name(number).replace(self._name(number + 1))
            if not self._count:
                self._path.unlink(missing_ok=True)
            self._open()

    def _note_position(self) -> None:
        path = self._store.settings.home / _POSITION
        beginning = path.with_name(f".{_POSITION}")
        descriptor = os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._position, file)
        beginning.replace(path)

    def _name(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class AuditWriter:
    """A thread that keeps an audit file up to date. What fails is said once, and tried again."""

    def __init__(self, file: AuditFile) -> None:
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coatcheck-audit", daemon=True)
        self._failed = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is there, and end."""
        self._stop.set()
        self._thread.join(_STOP_WITHIN)

    def _run(self) -> None:
        turns = dirty = 0
        while not self._stop.wait(POLL):
            turns += 1
            dirty += self._step()
            if dirty and turns % _SYNC_EVERY == 0:
                with suppress(OSError):
                    self._file.sync()
                dirty = 0
        self._step()
        self._file.close()

    def _step(self) -> int:
        try:
            written = self._file.step()
        except (CoatcheckError, OSError) as error:
            if str(error) != self._failed:
                self._failed = str(error)
                _log.error("the audit file is not written, and will be as soon as it can: %s", error)
            return 0
        except Exception:  # noqa: BLE001 - the thread must outlive what it does not foresee
            _log.exception("the audit file is not written")
            return 0
        if self._failed:
            self._failed = ""
            _log.warning("the audit file is written again")
        return written


def _line(event: Event, position: _Position) -> bytes:
    return json.dumps({**event.as_json(), "position": position}, ensure_ascii=False).encode() + b"\n"


def _read_position(value: dict[str, Any]) -> _Position:
    return {str(name): (int(number), int(at)) for name, (number, at) in value.items()}


def _tail(descriptor: int) -> tuple[bytes, int]:
    """The end of a file, from a whole line on where there is one, and where that begins."""
    size = os.fstat(descriptor).st_size
    length = _CHUNK
    while True:
        start = max(0, size - length)
        tail = os.pread(descriptor, size - start, start)
        if tail.rstrip(b"\n").count(b"\n") > 1 or not start:
            return tail, start
        length *= 4
