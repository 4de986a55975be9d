"""How a store is: who is at it, what is not on the disk yet, whether its clock is believed. It changes nothing."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coatcheck.store import files
from coatcheck.store.clock_guard import ClockState, look
from coatcheck.store.gate import holders, writing
from coatcheck.store.room import RESERVED_DISK
from coatcheck.store.synced import SYNCED, read_both
from coatcheck.store.transactions import Read

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.store.environment import Environment

_SETTLED: Final = 1.2
"""Seconds after which whoever made a sync point before the last has let go of it, if it is well."""


@dataclass(frozen=True)
class Reader:
    """A read transaction that keeps free pages from being used again."""

    pid: int
    """Its process, which may have ended."""

    behind: int
    """How many transactions were committed since what it reads."""

    alive: bool
    """Whether the process is there."""


@dataclass(frozen=True)
class Disk:
    """The disk below the state directory."""

    free: int
    """Bytes that this user may still write."""

    total: int
    """Bytes."""

    reserve: int = RESERVED_DISK
    """With fewer free bytes than that sessions can end, but neither begin nor grow."""


@dataclass(frozen=True)
class Vitals:
    """What a look at a store has shown."""

    durability: str
    """``second`` or ``commit``."""

    unsynced: int
    """Transactions that a power loss would take now; 0 with ``commit``."""

    synced_ago: float | None
    """Seconds since the last sync point; None where there is none, as with ``commit``."""

    clock: ClockState
    """Whether the wall clock is believed."""

    duty: tuple[int, ...]
    """The processes that look after the store: one, or none. Where the kernel does not say, none."""

    openers: tuple[int, ...]
    """The other processes that have the store open."""

    stale: tuple[Reader, ...]
    """Read transactions that have been open for longer than any that is well."""

    transaction: int
    """The number of the newest transaction."""


def disk_of(home: Path) -> Disk:
    """The disk below a directory. Raises OSError."""
    status = os.statvfs(home)
    return Disk(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)


def writer_of(home: Path) -> tuple[int, float] | None:
    """The process that writes now, and for how many seconds; None when nobody does."""
    return writing(home / files.WRITER)


def vitals(environment: Environment, clock: Clock) -> Vitals:
    """Look at a store. Takes a second longer when it sees a reader that may be stale: it looks twice."""
    home = environment.home
    with Read(environment) as transaction:
        state = look(transaction, environment.tables, clock.now(), clock.boottime())
    durability = environment.policy.durability
    newest = environment.last_transaction()
    unsynced, ago = 0, None
    if durability == "second":
        points = read_both(home)
        unsynced = newest - points[0].transaction if points else newest
        ago = max(0.0, time.time() - (home / SYNCED).stat().st_mtime) if points else None
    return Vitals(
        durability=durability,
        unsynced=max(0, unsynced),
        synced_ago=ago,
        clock=state,
        duty=(os.getpid(),) if environment.upkeep.on_duty else tuple(holders(home / files.DUTY) or ()),
        openers=tuple(holders(home / files.GATE) or ()),
        stale=_stale(environment, newest),
        transaction=newest,
    )


def _stale(environment: Environment, newest: int) -> tuple[Reader, ...]:
    # The last sync point is pinned by a reader, and the one before it may be, for a moment.
    points = read_both(environment.home)
    oldest = points[-1].transaction if points else newest
    before = {slot for slot in environment.reader_slots() if slot[2] < oldest}
    if not before:
        return ()
    time.sleep(_SETTLED)
    slots = sorted(before & set(environment.reader_slots()))
    return tuple(Reader(pid, newest - number, _lives(pid)) for pid, _, number in slots if pid != os.getpid())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
