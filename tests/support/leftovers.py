"""Processes that a test run has started and not ended."""

from __future__ import annotations

import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

MARK: Final = "COATCHECK_TEST_RUN"
"""In the environment of everything that the run starts, so that a process which left its parent is found too."""

_OURS: Final = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Helpers of multiprocessing, which end with the process they help."""


def mark_this_run() -> str:
    """Put a mark that no other run has into the environment, and return it."""
    os.environ[MARK] = uuid.uuid4().hex
    return os.environ[MARK]


def leftovers(mark: str, patience: float = 10.0, *, children: bool = True) -> dict[int, str]:
    """What is left of this run after at most ``patience`` seconds, by process id; it is killed then.

    ``children``: all children of this process count, and theirs, marked or not.
    """
    deadline = time.monotonic() + patience
    while (left := _alive(mark, children=children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def _alive(mark: str, *, children: bool) -> dict[int, str]:
    parents: dict[int, int] = {}
    lines: dict[int, str] = {}
    marked = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            environ = (entry / "environ").read_bytes()
        except OSError:  # it ended while we looked, or belongs to somebody else
            continue
        pid = int(entry.name)
        if state == "Z" or any(each in line for each in _OURS):
            continue
        parents[pid], lines[pid] = int(parent), line
        if f"{MARK}={mark}".encode() in environ:
            marked.add(pid)
    here = os.getpid()
    found = {pid for pid in parents if pid in marked or (children and _descends(pid, here, parents))}
    return {pid: lines[pid] for pid in found - {here}}


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False
