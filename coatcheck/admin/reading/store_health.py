"""What the files of a store say about how it is, whether or not an actor system runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck.admin.reading.findings import Finding
from coatcheck.admin.reading.words import duration, size
from coatcheck.errors import CoatcheckError, ConfigurationError, StoreFull, StoreUnavailable
from coatcheck.store import files
from coatcheck.store.room import MAP_SHARE
from coatcheck.store.upkeep import OVERDUE
from coatcheck.store.vitals import Disk, Vitals, disk_of, writer_of

if TYPE_CHECKING:
    from coatcheck.store.contract import StoreStats
    from coatcheck.store.lmdb import LmdbStore

SWEEP_LATE: Final = 60.0
"""Seconds that the sweep may be behind."""

MAP_LOW: Final = 0.75
"""Share of ``map_size`` in use from which on it is said; at 90 % nothing may grow."""

DISK_LOW: Final = 4
"""Free disk of so many times the reserve is little."""

WRITER_STUCK: Final = 1.0
"""Seconds inside the writer gate after which a writer does not seem to come out: it needs microseconds."""


@dataclass(frozen=True)
class StoreLook:
    """What a look at a store has shown, as far as it could be opened."""

    stats: StoreStats | None = None
    """Counts and sizes."""

    vitals: Vitals | None = None
    """Who is at it, what is not on the disk yet, whether its clock is believed."""

    disk: Disk | None = None
    """The disk below it."""

    writer: tuple[int, float] | None = None
    """The process inside the writer gate, and for how many seconds."""

    error: CoatcheckError | None = None
    """Why it could not be opened."""


def look_at(store: LmdbStore) -> StoreLook:
    """Look at a store that is there, without changing it. Waits for the writer gate as its settings say."""
    home = store.settings.home
    try:
        disk = disk_of(home)
    except OSError as error:
        return StoreLook(error=files.explained(error, home))
    try:
        return StoreLook(store.stats(), store.vitals(), disk, writer_of(home))
    except CoatcheckError as error:
        return StoreLook(disk=disk, writer=writer_of(home), error=error)
    except OSError as error:
        return StoreLook(disk=disk, error=files.explained(error, home))


def findings_of(look: StoreLook, home: object) -> Iterator[Finding]:
    """What is wrong with a store, as one look at it has shown."""
    if look.error is not None:
        yield _cannot_open(look.error)
    elif look.writer is not None and look.writer[1] > WRITER_STUCK:
        pid, seconds = look.writer
        yield _stuck(pid, f"process {pid} has been inside of a write for {duration(seconds)}")
    yield from _disk(look, home)
    if look.stats is not None:
        yield from _room(look.stats, home)
    if look.vitals is not None and look.stats is not None:
        yield from _sweep(look.vitals, look.stats)
        yield from _durability(look.vitals)
        yield from _readers(look.vitals)


def _cannot_open(error: CoatcheckError) -> Finding:
    if isinstance(error, StoreFull):
        return Finding("disk-full", "critical", str(error), "make room on the disk")
    pid = getattr(error, "holder_pid", None)
    if pid is not None:
        return _stuck(pid, str(error))
    if isinstance(error, StoreUnavailable):
        return Finding("store-busy", "critical", str(error), "wait until that has ended, or end it")
    code = "store-refused" if isinstance(error, ConfigurationError) else "store-damaged"
    remedy = (
        "do what it says; 'doctor' looks at secrets and permissions, 'restore' puts a backup in the place of a store"
    )
    return Finding(code, "critical", str(error), remedy)


def _stuck(pid: int, what: str) -> Finding:
    remedy = f"if it is stopped, continue it (kill -CONT {pid}) or end it; nobody else can write meanwhile"
    return Finding("writer-stuck", "critical", what, remedy)


def _disk(look: StoreLook, home: object) -> Iterator[Finding]:
    disk = look.disk
    if disk is None or disk.free >= DISK_LOW * disk.reserve:
        return
    what = f"{size(disk.free)} of disk are left below {home}"
    remedy = f"make room: with less than {size(disk.reserve)} sessions can end, but neither begin nor grow"
    if disk.free >= disk.reserve:
        yield Finding("disk-low", "warning", what, remedy)
    elif not isinstance(look.error, StoreFull):
        reusable = 0 if look.stats is None else look.stats.file_bytes - look.stats.used_bytes
        whether = "only free pages of the file are left to grow into" if reusable > disk.reserve else "nothing may grow"
        severity = "warning" if reusable > disk.reserve else "critical"
        yield Finding("disk-full", severity, f"only {what}: {whether}", remedy)  # type: ignore[arg-type]


def _room(stats: StoreStats, home: object) -> Iterator[Finding]:
    share = stats.used_bytes / stats.map_bytes
    if share < MAP_LOW:
        return
    what = f"{share:.0%} of the map_size of {size(stats.map_bytes)} are in use"
    remedy = f"raise it while everything is stopped: coatcheck change --home {home} map_size={stats.map_bytes * 2}"
    full = share >= MAP_SHARE
    yield Finding("map-full" if full else "map-low", "critical" if full else "warning", what, remedy)


def _sweep(vitals: Vitals, stats: StoreStats) -> Iterator[Finding]:
    clock = vitals.clock
    if clock.held:
        jump = f"by {duration(clock.jump)}" if clock.jump else "a while ago"
        yield Finding(
            "clock-stepped",
            "warning",
            f"the wall clock has jumped {jump}: nothing is swept for the next {duration(clock.trusted_in)}",
            "see that it is right (timedatectl): it is believed after ten minutes, or at once: coatcheck doctor "
            "--trust-clock",
        )
    elif stats.oldest_due > SWEEP_LATE:
        yield Finding(
            "sweep-behind",
            "warning",
            f"the sweep is {duration(stats.oldest_due)} behind: {stats.due} entries are due"
            + (" or more" if stats.due >= 10_000 else "")
            + (f", process {vitals.duty[0]} has the duty" if vitals.duty else ", and nobody has the duty"),
            "they are refused all the same, but keep their room: see that the process that has the duty is not "
            "stopped, or start an actor system",
        )


def _durability(vitals: Vitals) -> Iterator[Finding]:
    if vitals.unsynced and (vitals.synced_ago is None or vitals.synced_ago > 2 * OVERDUE):
        ago = "never" if vitals.synced_ago is None else f"{duration(vitals.synced_ago)} ago"
        who = f"process {vitals.duty[0]} has the duty" if vitals.duty else "nobody has the duty"
        yield Finding(
            "sync-behind",
            "warning",
            f"the last sync point was made {ago}, and {vitals.unsynced} transactions since: {who}",
            "a power loss would take them: see that the process with the duty is not stopped, and the disk not stuck; "
            "or start an actor system",
        )


def _readers(vitals: Vitals) -> Iterator[Finding]:
    for reader in vitals.stale:
        pid = reader.pid
        gone = "the slot is freed by whoever looks after the store: start an actor system if none runs"
        yield Finding(
            "stale-reader",
            "warning",
            f"process {pid}{'' if reader.alive else ', which is gone,'} still reads what was {reader.behind} "
            f"transactions ago: pages that are free since cannot be used again, and the file grows",
            f"if it is stopped, continue it (kill -CONT {pid}) or end it" if reader.alive else gone,
        )
