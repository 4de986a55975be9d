"""Who may have the store open together: only processes that see each other's pids.

LMDB keeps readers by pid in shared memory. From another PID namespace (another container) they look dead, their slots
are taken from them, and pages they read are used again.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path

from coatcheck.errors import ConfigurationError
from coatcheck.store.files import OPENER, read_private, write_private
from coatcheck.store.gate import SharedGate


@cache
def boot_id() -> bytes:
    """What names this boot of the machine; empty where the kernel does not say."""
    if sys.platform == "darwin":
        return _sysctl(b"kern.bootsessionuuid")
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return b""


def _sysctl(name: bytes) -> bytes:
    libc = ctypes.CDLL(None)
    text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    return text.value if libc.sysctlbyname(name, text, ctypes.byref(size), None, 0) == 0 else b""


def namespace() -> str:
    """This boot and PID namespace, as a line of text; empty where there are none."""
    try:
        return f"{boot_id().decode()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def agree_on_namespace(home: Path, gate: SharedGate, *, alone: bool, timeout: float) -> None:
    """Enter the gate shared, after seeing that those who hold it live in the same PID namespace.

    Raises ConfigurationError when they do not.
    """
    path = home / OPENER
    mine = namespace()
    if alone and _read(path) != mine:
        write_private(path, mine)
    gate.enter_shared(timeout)
    # Going from alone to shared is not atomic: somebody else may have been alone in between, so look again.
    if _read(path) not in (mine, ""):
        msg = (
            f"{home} is open in another container or PID namespace ({path}): processes that share a store must share "
            f"it (docker: --pid=container:... or --pid=host)"
        )
        raise ConfigurationError(msg)


def _read(path: Path) -> str:
    try:
        return read_private(path).decode("ascii", "replace")
    except FileNotFoundError:
        return ""
