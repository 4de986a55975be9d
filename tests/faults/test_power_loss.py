"""Power losses, simulated: the disk as of the last sync point, plus any of the pages that were written since."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coatcheck.changes import Set
from coatcheck.errors import ConfigurationError
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.restore import REPLACED, restore
from coatcheck.store.synced import read_synced

PAGE = 4096
SEEDS = int(os.environ.get("COATCHECK_POWER_LOSSES", "40"))
SIZES = (50, 500, 3000, 9000)

State = dict[str, dict[str, Any] | None]


class Machine:
    """A store that is written to, and the disk as it would be found after a power loss."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.random = random.Random(seed)
        self.store = LmdbStore(Settings(home=home), background=False)
        self.tokens = [self.store.create({"pad": "x" * self.random.choice(SIZES)})[0] for _ in range(200)]

    def write(self, count: int) -> None:
        """Any writes, as they come."""
        for number in range(count):
            token = self.random.choice(self.tokens)
            kind = self.random.random()
            pad = "y" * self.random.choice(SIZES)
            if kind < 0.1:
                self.store.delete(token)
            elif kind < 0.3 or self.store.load(token) is None:
                self.tokens.append(self.store.create({"n": number, "pad": pad})[0])
            else:
                self.store.save(token, [Set("n", number), Set("pad", pad)])

    def state(self, store: LmdbStore, tokens: list[str]) -> State:
        """What a store says of these tokens."""
        records = [(token, store.load(token, touch=False)) for token in tokens]
        return {token: None if record is None else record.values() for token, record in records}

    def lose_power(self, target: Path, synced: bytes, before: bytes) -> None:
        """The disk: what was synced, and of each page written since either the old or the new form."""
        after = (self.home / "data.mdb").read_bytes()
        image = bytearray(before.ljust(len(after), b"\0"))
        if self.random.random() < 0.3:
            del image[len(before) :]
        for start in range(0, min(len(image), len(after)), PAGE):
            if self.random.random() < 0.5:
                image[start : start + PAGE] = after[start : start + PAGE]
        shutil.copytree(self.home, target, ignore=shutil.ignore_patterns("lock.mdb"))
        target.chmod(0o700)
        (target / "data.mdb").write_bytes(image)
        (target / "synced").write_bytes(synced)
        boot_again(target)


def boot_again(home: Path) -> None:
    """Make the sync point one of an earlier boot, as a machine that was restarted finds it."""
    synced = read_synced(home)
    assert synced is not None
    for turn in (1, 2):  # both slots
        replace(synced, boot=b"an earlier boot", sequence=synced.sequence + turn).write(home)


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    """A machine before its power loss."""
    made = Machine(home, 0)
    yield made
    made.store.close()


@pytest.mark.timeout(600)
def test_every_power_loss_ends_at_the_last_sync_point(machine: Machine, tmp_path: Path) -> None:
    """Whatever reached the disk: the store opens at exactly its last sync point, is sound, and takes writes."""
    for seed in range(SEEDS):
        machine.random.seed(seed)
        machine.write(machine.random.choice((0, 40)))
        machine.store.sync()
        tokens = list(machine.tokens)
        expected = machine.state(machine.store, tokens)
        synced, before = ((machine.home / name).read_bytes() for name in ("synced", "data.mdb"))
        machine.write(machine.random.choice((1, 5, 80, 200)))
        target = tmp_path / f"after-{seed}"

        machine.lose_power(target, synced, before)

        found = LmdbStore(Settings(home=target), background=False)
        assert machine.state(found, tokens) == expected, seed
        assert found.check().problems == (), seed
        if seed % 2:
            made = [found.create({"pad": "z" * 3000})[0] for _ in range(40)]
            found.sync()
            assert found.check().problems == (), seed
            assert None not in machine.state(found, made).values()
        found.close()
        shutil.rmtree(target)


def test_a_restart_without_a_loss_keeps_everything(machine: Machine) -> None:
    """After a boot that found all pages on the disk nothing is given up."""
    machine.write(50)
    machine.store.sync()
    expected = machine.state(machine.store, machine.tokens)
    machine.store.close()
    boot_again(machine.home)

    assert machine.state(machine.store, machine.tokens) == expected


def test_killed_processes_lose_nothing(machine: Machine) -> None:
    """Without a restart of the machine the pages are all there, and the sync point is not gone back to."""
    machine.store.sync()
    machine.write(50)
    expected = machine.state(machine.store, machine.tokens)
    machine.store.close()

    assert machine.state(machine.store, machine.tokens) == expected


def test_a_torn_sync_point_leaves_the_one_before(machine: Machine, tmp_path: Path) -> None:
    """A power loss in the middle of writing the file itself: the other slot counts."""
    machine.store.sync()
    expected = machine.state(machine.store, tokens := list(machine.tokens))
    first = (machine.home / "synced").read_bytes()
    before = (machine.home / "data.mdb").read_bytes()
    machine.write(1)
    machine.store.sync()
    torn = bytearray((machine.home / "synced").read_bytes())
    for start in range(0, len(torn), PAGE):
        if torn[start : start + PAGE] != first[start : start + PAGE]:
            torn[start + 100 : start + PAGE] = bytes(PAGE - 100)
    target = tmp_path / "torn"

    machine.lose_power(target, bytes(torn), before)

    found = LmdbStore(Settings(home=target), background=False)
    assert machine.state(found, tokens) == expected
    found.close()


def test_a_file_that_is_damaged_all_the_same_is_left_as_found(machine: Machine, tmp_path: Path) -> None:
    """Pages lost below the sync point: a clear error that says to restore a backup, and the file is not touched."""
    machine.store.sync()
    synced = (machine.home / "synced").read_bytes()
    machine.write(200)
    target = tmp_path / "damaged"
    machine.lose_power(target, synced, b"\0" * 2 * PAGE)
    image = bytearray((target / "data.mdb").read_bytes())
    image[: 2 * PAGE] = (machine.home / "data.mdb").read_bytes()[: 2 * PAGE]
    image[2 * PAGE :] = bytes(len(image) - 2 * PAGE)
    (target / "data.mdb").write_bytes(image)

    with pytest.raises(ConfigurationError, match=r"data\.mdb is damaged.*backup"):
        LmdbStore(Settings(home=target), background=False).stats()

    assert (target / "data.mdb").read_bytes() == image


def test_a_backup_in_the_place_of_the_file(machine: Machine, tmp_path: Path) -> None:
    """After a restart an older file counts as what was put there, and not as what became of the sync point."""
    machine.store.backup(tmp_path / "backup")
    tokens = list(machine.tokens)
    expected = machine.state(machine.store, tokens)
    machine.write(100)
    machine.store.sync()
    machine.store.close()
    boot_again(machine.home)
    shutil.copy(tmp_path / "backup" / "data.mdb", machine.home / "data.mdb")

    found = LmdbStore(Settings(home=machine.home), background=False)

    assert machine.state(found, tokens) == expected
    found.close()


@pytest.mark.parametrize("killed", [True, False])
def test_a_restore_after_a_power_loss(
    killed: bool, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has opened the store since: what a restore leaves or puts aside is the last sync point, and no ruin."""
    machine.store.backup(tmp_path / "backup")
    machine.write(40)
    machine.store.sync()
    tokens = list(machine.tokens)
    expected = machine.state(machine.store, tokens)
    synced, before = ((machine.home / name).read_bytes() for name in ("synced", "data.mdb"))
    machine.write(200)
    target = tmp_path / "after"
    machine.lose_power(target, synced, before)

    if killed:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", _interrupted(Path.rename))
            with pytest.raises(KeyboardInterrupt):
                restore(Settings(home=target), tmp_path / "backup")
    else:
        restore(Settings(home=target), tmp_path / "backup")
        (target / REPLACED).rename(target / "data.mdb")

    found = LmdbStore(Settings(home=target), background=False)
    assert machine.state(found, tokens) == expected
    assert found.check().clean
    found.close()


def _interrupted(rename: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
    """Ends the restore at the moment in which the new data file would get its name."""

    def interrupted(path: Path, target: Path) -> Path:
        if target.name == "data.mdb":
            raise KeyboardInterrupt
        return rename(path, target)

    return interrupted


def test_what_a_restore_puts_there_is_on_the_disk(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening the copy notes the secrets it was opened with: that too is synced before it gets its name."""
    store = LmdbStore(Settings(home=home), background=False)
    store.create({"n": 1})
    store.backup(tmp_path / "backup")
    store.close()
    other = Settings(home=tmp_path / "other")
    LmdbStore(other, background=False).prepare()
    on_disk: dict[int, bytes] = {}

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            on_disk[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        restore(other, tmp_path / "backup")

    data = other.home / "data.mdb"
    assert on_disk[data.stat().st_ino] == data.read_bytes()
