"""What the actor system keeps in the state directory: where it listens, and the lock that makes it the only one."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coatcheck.errors import CoatcheckError, ConfigurationError, StoreUnavailable
from coatcheck.keyring import Keyring, keyring_from
from coatcheck.store.files import SECRET, open_private, prepare_directory, write_private
from coatcheck.store.gate import holders
from coatcheck.system.seal import EPOCH_SIZE, Seal

if TYPE_CHECKING:
    from coatcheck.settings import Settings

SYSTEM: Final = "system.json"
"""Where the running system listens; not there when none runs."""

LOOPBACK: Final = "127.0.0.1"

LOCK: Final = "system"
"""Held by the process that runs the system."""

HOW_TO_START: Final = "start one with: python -m coatcheck.system --home {home}"


class SystemRuns(CoatcheckError):
    """Another process runs an actor system on this state directory; ``pid`` says which, where that is known."""

    def __init__(self, home: Path, pid: int | None) -> None:
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{who} runs an actor system on {home} already: join that one, or stop it first")
        self.pid = pid


@dataclass(frozen=True)
class Whereabouts:
    """Where a running system is to be found. Not a secret by itself: without the server's secret nobody is heard."""

    port: int
    """The port of its admin."""

    epoch: bytes
    """16 bytes, other ones after each start of the admin."""

    pid: int
    """The process that runs it."""

    started_at: int
    """Microseconds UTC."""

    host: str = LOOPBACK
    """The address on which it listens."""

    boot: str = ""
    """The boot of the machine that it runs on; empty where that is not known."""

    version: str = ""
    """The version of coatcheck that runs it; empty where that was not written down."""

    restarted: tuple[int, ...] = ()
    """When the admin was started again, the last ten times: microseconds UTC."""

    def write(self, home: Path) -> None:
        """Write the file, whole or not at all, for this user only."""
        values = {**vars(self), "epoch": self.epoch.hex()}
        write_private(home / SYSTEM, json.dumps(values) + "\n")

    @classmethod
    def read(cls, home: Path) -> Whereabouts:
        """Where the system of this state directory is. Raises StoreUnavailable when none runs, saying what to do."""
        advice = HOW_TO_START.format(home=home)
        try:
            values = json.loads((home / SYSTEM).read_text(encoding="ascii"))
            found = cls(
                port=int(values["port"]),
                epoch=bytes.fromhex(values["epoch"]),
                pid=int(values["pid"]),
                started_at=int(values["started_at"]),
                host=str(values.get("host", LOOPBACK)),
                boot=str(values.get("boot", "")),
                version=str(values.get("version", "")),
                restarted=tuple(int(each) for each in values.get("restarted", ())),
            )
        except FileNotFoundError:
            msg = f"no actor system runs on {home}: {advice}"
            raise StoreUnavailable(msg) from None
        except PermissionError as error:
            msg = f"{home / SYSTEM}: {error.strerror}; join as the user who runs the actor system"
            raise ConfigurationError(msg) from None
        except (OSError, ValueError, KeyError, TypeError):
            msg = f"{home / SYSTEM} cannot be read: stop the actor system of {home}, and {advice}"
            raise StoreUnavailable(msg) from None
        if len(found.epoch) != EPOCH_SIZE or not 0 < found.port < 65536:
            msg = f"{home / SYSTEM} is no file of coatcheck: stop the actor system of {home}, and {advice}"
            raise StoreUnavailable(msg)
        return found


def forget_whereabouts(home: Path) -> None:
    """Remove the file: nobody is to join any more."""
    (home / SYSTEM).unlink(missing_ok=True)


def lock_system(home: Path) -> int:
    """Become the one who runs the system of this state directory, until the descriptor is closed.

    Raises SystemRuns when somebody else is, ConfigurationError when the directory cannot be used.
    """
    prepare_directory(home)
    descriptor = open_private(home / LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        pids = holders(home / LOCK)
        raise SystemRuns(home, pids[0] if pids else None) from None
    return descriptor


def keyring_of(settings: Settings) -> Keyring:
    """The secrets of a system: those of the settings, or of the file in the state directory, which is not made here.

    Where there is none the system that runs has its secrets from somewhere else: ConfigurationError.
    """
    if settings.secrets is None and not (settings.home / SECRET).exists():
        msg = f"the actor system of {settings.home} has its secrets from COATCHECK_SECRET: set it here, too"
        raise ConfigurationError(msg)
    return keyring_from(settings.secrets, settings.home / SECRET)


def seal_for(settings: Settings, epoch: bytes) -> Seal:
    """The seal of that epoch of the system of these settings."""
    return Seal(keyring_of(settings).derive("wire"), epoch)


def now_in_microseconds() -> int:
    """The wall clock."""
    return time.time_ns() // 1000
