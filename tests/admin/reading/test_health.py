"""Health: what is said of a store, with and without an actor system. What needs a running one is in tests/admin/cli."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from coatcheck.admin.reading.findings import Finding, verdict_of, worst_first
from coatcheck.admin.reading.health import Health, health
from coatcheck.admin.reading.store_health import StoreLook, findings_of, look_at
from coatcheck.changes import Set
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.vitals import Disk
from coatcheck.testing import FakeClock
from tests.support.processes import Job


def codes(found: Health) -> list[str]:
    """The codes of the findings, the worst first."""
    return [each.code for each in found.findings]


@pytest.fixture
def shared_clock(tmp_path: Path) -> FakeClock:
    """A held clock that settings can name."""
    return FakeClock(tmp_path / "clock")


@pytest.fixture
def settings(home: Path, shared_clock: FakeClock) -> Settings:
    """Of a store with one session that lives for an hour."""
    settings = Settings(home=home, clock=shared_clock.setting)
    store = LmdbStore(settings, background=False)
    store.create({}, principal="ann", lifetimes=Lifetimes(idle=3600))
    store.close()
    return settings


def test_no_store(home: Path) -> None:
    """Neither a directory nor a secret is made by the look."""
    found = health(Settings(home=home))

    assert codes(found) == ["no-store", "no-system"]
    assert (found.verdict, found.serving, found.store) == ("critical", False, None)
    assert not home.exists()


def test_a_store_without_a_system_is_well(settings: Settings) -> None:
    """On the direct lane no system is needed; all of it can be written as JSON, and tells no token."""
    found = health(settings)

    assert (found.verdict, codes(found)) == ("ok", ["no-system"])
    told = json.loads(json.dumps(found.as_dict()))
    assert told["store"]["sessions"] == 1
    assert told["sweep"] == {"due": 0, "lag": 0.0, "held": False}
    assert told["durability"]["mode"] == "second"
    assert told["disk"]["free"] > 0
    assert told["actors"] == []
    assert told["at"] == "2026-01-01T00:00:00+00:00"


def test_on_the_actor_lane_a_system_is_needed(settings: Settings) -> None:
    """There nothing is served without one."""
    found = health(replace(settings, lane="actor"))

    assert codes(found) == ["system-down"]
    assert found.verdict == "critical"
    assert "start one with" in found.findings[0].remedy


def test_the_sweep_is_behind(settings: Settings, shared_clock: FakeClock) -> None:
    """Entries that are due for more than a minute, and nobody who sweeps."""
    shared_clock.advance(3600 + 59)
    assert codes(health(settings)) == ["no-system"]
    shared_clock.advance(61)

    found = health(settings)
    assert codes(found) == ["sweep-behind", "no-system"]
    assert "2 min behind: 1 entries are due, and nobody has the duty" in found.findings[0].what
    assert found.sweep == {"due": 1, "lag": 120.0, "held": False}


def test_the_clock_was_stepped(settings: Settings, shared_clock: FakeClock) -> None:
    """Seen before the sweep has met it, and after; believed again after ten minutes, or when somebody says so."""
    store = LmdbStore(settings, background=False)
    store.sweep()
    shared_clock.step(86400)

    found = health(settings, store=store)
    assert codes(found) == ["clock-stepped", "no-system"]
    assert "jumped by 1 d: nothing is swept for the next 10 min" in found.findings[0].what
    assert store.sweep().held
    shared_clock.advance(540)
    found = health(settings, store=store)
    assert "a while ago: nothing is swept for the next 1 min" in found.findings[0].what
    assert found.sweep["held"] is True

    store.trust_clock()
    assert codes(health(settings, store=store)) == ["sweep-behind", "no-system"]
    assert store.sweep().removed == 1
    store.close()


def test_the_clock_went_back(settings: Settings, shared_clock: FakeClock) -> None:
    """A step back is one too."""
    store = LmdbStore(settings, background=False)
    store.sweep()
    shared_clock.step(-3600)

    assert "jumped by -1 h" in health(settings, store=store).findings[0].what
    store.close()


@pytest.fixture
def token(home: Path) -> str:
    """A session by the clock of the machine."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({})
    store.close()
    return token


def test_a_writer_that_stands_still_is_named(home: Path, token: str) -> None:
    """Its pid, whether or not the store is open already."""
    settings = Settings(home=home)
    store = LmdbStore(settings, background=False)
    store.stats()
    with Job("pause_inside", home, token, "k") as job:
        job.expect("ready")
        job.say("go")
        job.expect("inside")
        found = health(settings, 1.5)
        open_already = health(settings, store=store)

    assert codes(found)[0] == codes(open_already)[0] == "writer-stuck"
    assert f"process {job.pid}" in found.findings[0].what
    assert f"kill -CONT {job.pid}" in open_already.findings[0].remedy
    assert (found.verdict, found.processes["writer"]) == ("critical", job.pid)
    store.close()


def test_a_stale_reader_is_named(home: Path, token: str) -> None:
    """A process that stands still inside a read, while others write and sync; pins of sync points are none."""
    settings = Settings(home=home)
    store = LmdbStore(settings, background=False)
    with Job("hold_read", home, token) as job:
        job.expect("reading")
        assert "stale-reader" not in codes(health(settings, store=store))
        for number in range(3):
            store.save(token, [Set("n", number)])
            store.sync()

        found = health(settings, store=store)
        assert codes(found)[0] == "stale-reader"
        assert f"process {job.pid} still reads what was" in found.findings[0].what
        assert f"kill -CONT {job.pid}" in found.findings[0].remedy
        job.kill()
        gone = health(settings, store=store)
        assert f"process {job.pid}, which is gone, still reads" in gone.findings[0].what

    store.reader_check()
    assert "stale-reader" not in codes(health(settings, store=store))
    store.close()


def test_other_secrets_are_no_damage(settings: Settings) -> None:
    """Who asks with another secret is told so, and changes nothing."""
    found = health(replace(settings, secrets=["x" * 40]))

    assert codes(found)[0] == "store-refused"
    assert "secret" in found.findings[0].what


def test_little_disk(settings: Settings, home: Path) -> None:
    """Little is a warning; less than the reserve is critical, unless the file has pages to grow into."""
    store = LmdbStore(settings, background=False)
    seen = look_at(store)
    store.close()
    reserve = Disk(0, 0).reserve

    def said(free: int, file_bytes: int = 0) -> list[tuple[str, str]]:
        assert seen.stats is not None
        stats = replace(seen.stats, file_bytes=max(seen.stats.file_bytes, file_bytes))
        look = StoreLook(stats, seen.vitals, Disk(free, free * 2))
        return [(each.code, each.severity) for each in findings_of(look, home)]

    assert said(reserve * 4) == []
    assert said(reserve * 4 - 1) == [("disk-low", "warning")]
    assert said(reserve - 1) == [("disk-full", "critical")]
    assert said(reserve - 1, file_bytes=reserve * 3) == [("disk-full", "warning")]


def test_a_full_map(home: Path) -> None:
    """From three quarters on it is said, with the command that raises it."""
    settings = Settings(home=home, map_size=1 << 20)
    store = LmdbStore(settings, background=False)
    while store.stats().used_bytes < 0.75 * (1 << 20):
        store.create({"a": "x" * 20_000})

    found = health(settings, store=store)
    assert codes(found)[0] == "map-low"
    assert f"map_size={2 << 20}" in found.findings[0].remedy
    store.close()


def test_a_look_from_this_process_sees_its_own_duty(settings: Settings) -> None:
    """A tool that keeps the store open may have the duty itself."""
    store = LmdbStore(settings, background=False)
    assert store.upkeep.acquire()

    assert health(settings, store=store).processes["duty"] == [os.getpid()]
    store.upkeep.release()
    assert health(settings, store=store).processes["duty"] == []
    store.close()


def test_the_worst_counts() -> None:
    """The verdict is that of the worst finding, which comes first."""
    info, warning, critical = (
        Finding("a", "info", "", ""),
        Finding("b", "warning", "", ""),
        Finding("c", "critical", "", ""),
    )

    assert verdict_of([]) == verdict_of([info]) == "ok"
    assert verdict_of([info, warning]) == "warning"
    assert verdict_of([info, critical, warning]) == "critical"
    assert worst_first([info, warning, critical]) == (critical, warning, info)
