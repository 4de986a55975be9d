"""A full map, a full disk: StoreFull, nothing confirmed is lost, and people can still log out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from coatcheck.changes import Clear, Set
from coatcheck.errors import StoreFull
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from coatcheck.testing.contract_base import outcome
from tests.support.processes import Job

MAP = 4 << 20
DISK = 90 << 20


def fill(store: LmdbStore, *, user: str = "ann") -> list[str]:
    """Create sessions until the store is full; their tokens."""
    tokens: list[str] = []
    hour = Lifetimes(idle=3600, absolute=None)
    while len(tokens) < 10_000:
        data = {"number": len(tokens), "blob": b"x" * (len(tokens) % 20 * 500)}
        made = outcome(partial(store.create, data, principal=user, lifetimes=hour))
        if isinstance(made, StoreFull):
            assert "map_size" in str(made)
            return tokens
        tokens.append(made[0])
    raise AssertionError


@pytest.fixture
def small(home: Path, clock: FakeClock) -> Iterator[LmdbStore]:
    """A store of four megabytes."""
    store = LmdbStore(Settings(home=home, map_size=MAP), clock=clock, background=False)
    yield store
    assert store.check().problems == ()
    store.close()


@pytest.fixture
def full(small: LmdbStore) -> list[str]:
    """The tokens of all sessions that went into the small store before it was full."""
    return fill(small)


def test_nothing_confirmed_is_lost(home: Path, small: LmdbStore, full: list[str]) -> None:
    """All sessions that were confirmed are there, in this process and after a restart."""
    assert len(full) > 100
    for _ in range(2):
        for number, token in enumerate(full):
            record = small.load(token)
            assert record is not None
            assert record.data["number"] == number
        small.close()


def test_what_grows_is_refused(small: LmdbStore, full: list[str]) -> None:
    """A growing save, a flash and a create are StoreFull, and leave the session as it was."""
    before = small.load(full[0])
    assert before is not None
    for grow in (
        lambda: small.save(full[0], [Set("more", "x" * 1000)]),
        lambda: small.add_flash(full[0], FlashMessage.info("x" * 1000)),
        lambda: small.create({"more": 1}),
    ):
        with pytest.raises(StoreFull):
            grow()

    after = small.load(full[0])
    assert after is not None
    assert after.to_wire() == before.to_wire()


def test_people_can_log_out_of_a_full_store(small: LmdbStore, full: list[str]) -> None:
    """Delete, revoke by sid and revoke all work in a full store, down to the last session."""
    record = small.load(full[1])
    assert record is not None

    assert small.delete(full[0]) is True
    assert small.revoke_sid(record.sid) is True
    assert small.revoke("ann") == len(full) - 2

    assert small.stats().sessions == 0
    assert small.create({"room": "again"})


def test_one_by_one_out_of_a_full_store(small: LmdbStore, full: list[str]) -> None:
    """Every single user can log out, although each logout writes a tombstone."""
    assert [small.delete(token) for token in full] == [True] * len(full)
    assert small.stats().sessions == 0


def test_what_does_not_grow_goes_on(small: LmdbStore, full: list[str], clock: FakeClock) -> None:
    """In a full store sessions are still touched, rotated, and made smaller."""
    clock.advance(600)
    loaded = small.load(full[5])
    assert loaded is not None
    assert loaded.last_seen_at == clock.now()
    assert small.touch(full[6]).last_seen_at == clock.now()
    assert small.save(full[7], [Set("number", 8)]).data["number"] == 8
    assert small.save(full[19], [Clear()]).data == {}
    for token in full[20:40]:
        rotated, _ = small.rotate(token)
        assert rotated is not None


def test_the_sweep_makes_room(small: LmdbStore, full: list[str], clock: FakeClock) -> None:
    """A full store is swept like any other, and then takes new sessions."""
    clock.advance(3600)

    while (report := small.sweep()).more:
        assert not report.held

    assert small.stats().sessions == 0
    assert len([small.create({"blob": "x" * 5000}) for _ in range(100)]) == 100


def test_filled_and_emptied_again_and_again(small: LmdbStore, clock: FakeClock) -> None:
    """What is freed can be used again, as often as one likes."""
    counts = []
    for _ in range(4):
        counts.append(len(fill(small)))
        small.revoke("ann")
        clock.advance(90_000)
        while small.sweep().more:
            pass

    assert min(counts) > max(counts) * 0.8


def test_a_disk_that_takes_no_more(home: Path) -> None:
    """When the kernel refuses to let the file grow: StoreFull, nothing lost, and all is well when there is room."""
    with Job("file_limit", home, module="tests.faults.full_jobs") as job:
        answer = json.loads(job.line(60))

    assert answer["confirmed"] > 5
    assert str(home) in answer["text"]
    assert answer["refused"] == ["StoreFull", "StoreFull"]
    assert answer["lost"] == []
    assert answer["after"] == 1
    assert answer["check"] == []
    assert LmdbStore(Settings(home=home)).check().problems == ()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 90 MiB."""
    if os.geteuid():
        pytest.skip("only root can mount a small file system; test_a_disk_that_takes_no_more has the like for others")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this root may not mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_small_disk(small_disk: Path) -> None:
    """Growth stops while 64 MiB are free; with not a byte left nothing is lost, and afterwards all goes on."""
    places = [small_disk / each for each in ("state", "filler", "ballast")]
    with Job("small_disk", *places, module="tests.faults.full_jobs") as job:
        answer = json.loads(job.line(60))

    assert answer["confirmed"] > 100
    assert "64 MiB" in answer["text"]
    assert str(small_disk) in answer["text"]
    assert answer["lost"] == answer["kept"] == []
    assert answer["free"] < 65_536
    assert answer["create"] == "StoreFull"
    assert set(answer["errors"]) <= {"StoreFull"}
    assert answer["left"] == answer["confirmed"] - answer["half"]
    assert answer["check"] == []


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 4, 6, 8, 12, 20, 40])
def test_a_disk_that_is_full_from_the_start(small_disk: Path, pages: int) -> None:
    """A store that is begun where there is no room for one says so, and neither dies by a signal nor breaks."""
    with (small_disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - pages * 4096)

    with Job("full_from_the_start", small_disk / "state", module="tests.faults.full_jobs") as job:
        [line] = job.finish()

    kind, text = json.loads(line)
    assert kind in {"StoreFull", "ConfigurationError"}
    assert str(small_disk) in text
    assert "No space left" in text or "make room" in text

    (small_disk / "filler").unlink()
    with Job("full_from_the_start", small_disk / "state", module="tests.faults.full_jobs") as job:
        assert job.finish() == ["open"]
