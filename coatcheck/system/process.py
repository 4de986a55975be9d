"""Processes on Linux: who ends with whom, and who looks after whose children."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(option, value, 0, 0, 0) == 0)


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends. False where the system cannot do that."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int, number: int = signal.SIGTERM, *, wait: float = 0.0) -> bool:
    """Have this process signalled when its parent, the process ``parent``, ends. To be called from the main thread.

    ``wait``: for that many seconds ``parent`` may not be the parent yet, because the process between is about to end.
    False when ``parent`` is not the parent: it has ended before, or was never there to end with.
    """
    deadline = time.monotonic() + wait
    # Asked for too early, the signal would come when the process between ends.
    while os.getppid() != parent:
        if time.monotonic() >= deadline or not alive(parent):
            return False
        time.sleep(0.001)
    _prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent


def alive(pid: int) -> bool:
    """Whether there is a process of this id that is not just waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return stat_of(pid)[:1] != [b"Z"]


def state_of(pid: int) -> str:
    """``alive``, ``stopped`` (by SIGSTOP or a debugger) or ``absent``."""
    if not alive(pid):
        return "absent"
    return "stopped" if stat_of(pid)[:1] in ([b"T"], [b"t"]) else "alive"


def sessions_of_children(others: set[int]) -> list[int]:
    """The children of this process but ``others`` that are alive and in another session than it is."""
    found = []
    for pid in set(children(os.getpid())) - others:
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) != os.getsid(0) and alive(pid):
                found.append(pid)
    return found


def stat_of(pid: int) -> list[bytes]:
    """State, parent, group and session of a process, and more; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def admin_of(runner: int) -> int | None:
    """The admin of the actor system that a process runs: its child in another session than it is; None without one."""
    for pid in children(runner):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) != os.getsid(runner) and alive(pid):
                return pid
    return None


def raise_open_files(wanted: int = 65536) -> None:
    """Let this process and its children open as many files as they may, up to ``wanted``.

    The manager has a connection from each endpoint of each worker, and cannot go on without a free descriptor.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def end_group(group: int) -> bool:
    """End a whole process group at once. False when there is none."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def reap(pid: int, timeout: float) -> bool:
    """Wait for a child of this process to end; False when it goes on."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            done, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if done == pid:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)


def children(pid: int) -> list[int]:
    """The processes whose parent is ``pid`` (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        fields = stat_of(int(entry.name))
        if len(fields) > 1 and int(fields[1]) == pid:
            found.append(int(entry.name))
    return found
