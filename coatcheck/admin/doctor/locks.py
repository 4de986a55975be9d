"""Who holds the locks of a state directory, and whether they are who they should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coatcheck.admin.reading.findings import Finding
from coatcheck.store.files import DATA, DUTY, GATE, WRITER
from coatcheck.store.gate import holders
from coatcheck.system.files import LOCK
from coatcheck.system.process import state_of

_LOCKS: Final = (GATE, WRITER, DUTY, LOCK)
_WITHOUT_STORE: Final = frozenset({LOCK})
"""The process that runs a system does not have the store open itself."""


def findings(home: Path) -> Iterator[Finding]:
    """Locks held by what is stopped, or is none of coatcheck's."""
    seen: set[int] = set()
    for lock in _LOCKS:
        for pid in holders(home / lock) or ():
            if pid in seen:
                continue
            if state_of(pid) == "stopped":
                seen.add(pid)
                what = f"process {pid} ({_program(pid)}) holds the lock {home / lock} and is stopped"
                yield Finding("stopped-holder", "critical", what, f"continue it (kill -CONT {pid}) or end it")
            elif lock not in _WITHOUT_STORE and not _has_open(pid, home / DATA):
                seen.add(pid)
                what = (
                    f"process {pid} ({_program(pid)}) holds a lock on {home / lock}, and does not have the store open"
                )
                remedy = f"it is none of coatcheck's, or is opening just now: look again, then end it (kill {pid})"
                yield Finding("foreign-lock", "warning", what, remedy)


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file mapped; True where that cannot be seen."""
    try:
        status = path.stat()
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    return any(len(fields := line.split()) > 4 and fields[4] == str(status.st_ino) for line in lines)


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return "gone"
    return Path(words[0]).name or "?"
