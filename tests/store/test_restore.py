"""Restore: a backup in the place of a store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from coatcheck.changes import Set
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store import restore as room
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.restore import restore
from tests.support.processes import Job

ANOTHER = "another-secret-that-is-long-enough-0123456789"


@pytest.fixture
def settings(home: Path) -> Settings:
    """Those of the store."""
    return Settings(home=home)


@pytest.fixture
def saved(settings: Settings, tmp_path: Path) -> tuple[str, Path]:
    """A session with ``n`` = 1 in a backup, and ``n`` = 2 in the store since; the token, and the backup."""
    store = LmdbStore(settings, background=False)
    token, _ = store.create({"n": 1, "blob": "x" * 9000}, principal="ann")
    store.backup(tmp_path / "backup")
    store.save(token, [Set("n", 2)])
    store.create({"later": 1})
    store.sync()
    store.close()
    return token, tmp_path / "backup"


def number_in(settings: Settings, token: str) -> int:
    """What ``n`` is, in a store that is sound."""
    store = LmdbStore(settings, background=False)
    record = store.load(token)
    assert record is not None
    assert store.check().clean
    store.close()
    number: int = record.data["n"]
    return number


def test_the_store_is_as_it_was(settings: Settings, saved: tuple[str, Path]) -> None:
    """Every session of the backup is there as it was, none of later, and what was there is kept aside."""
    token, backup = saved

    done = restore(settings, backup)

    assert (done.sessions, done.secret_taken) == (1, False)
    assert number_in(settings, token) == 1
    assert done.replaced == settings.home / room.REPLACED
    shutil.copy(done.replaced, settings.home / "data.mdb")
    assert number_in(settings, token) == 2


def test_it_goes_on_from_there(settings: Settings, saved: tuple[str, Path]) -> None:
    """What is written after a restore is kept, and no sync point of before leads back into the old file."""
    token, backup = saved
    restore(settings, backup)
    store = LmdbStore(settings, background=False)
    store.save(token, [Set("n", 3)])
    store.sync()
    store.close()

    assert number_in(settings, token) == 3


@pytest.mark.parametrize("damage", ["cut", "zeroed", "gone"])
def test_a_damaged_store_is_what_it_is_for(damage: str, settings: Settings, saved: tuple[str, Path]) -> None:
    """Whatever became of the data file, the backup takes its place."""
    token, backup = saved
    path = settings.home / "data.mdb"
    if damage == "cut":
        os.truncate(path, 5000)
    elif damage == "zeroed":
        path.write_bytes(bytes(path.stat().st_size))
    else:
        path.unlink()
    with pytest.raises(ConfigurationError, match=r"coatcheck\.system restore --home"):
        LmdbStore(settings, background=False).stats()

    done = restore(settings, backup)

    assert (done.replaced is None) is (damage == "gone")
    assert number_in(settings, token) == 1


def test_on_another_machine(tmp_path: Path, saved: tuple[str, Path]) -> None:
    """An empty place becomes the store, with the secret that is in the backup: nobody is logged out."""
    token, backup = saved
    elsewhere = Settings(home=tmp_path / "elsewhere")

    done = restore(elsewhere, backup)

    assert done.replaced is None
    assert number_in(elsewhere, token) == 1


def test_a_state_directory_with_another_secret(tmp_path: Path, saved: tuple[str, Path]) -> None:
    """The secret of the backup goes behind the one that is there, which goes on making the new tokens."""
    token, backup = saved
    other = Settings(home=tmp_path / "other")
    store = LmdbStore(other, background=False)
    mine, _ = store.create({"n": 9})
    store.close()
    first = (other.home / "secret").read_text().split()

    done = restore(other, backup)

    assert done.secret_taken
    assert number_in(other, token) == 1
    assert (other.home / "secret").read_text().split() == [*first, *(backup / "secret").read_text().split()]
    assert (other.home / "secret").stat().st_mode & 0o777 == 0o600
    store = LmdbStore(other, background=False)
    assert store.find(mine).reason == "unknown"  # not forged: its secret is still in the list
    store.close()


def test_a_backup_under_a_secret_that_nobody_has(settings: Settings, saved: tuple[str, Path]) -> None:
    """It would open as a store in which every token is forged; so it is refused, and nothing is changed."""
    _, backup = saved
    (backup / "secret").unlink()
    (settings.home / "secret").write_text(ANOTHER)

    with pytest.raises(ConfigurationError, match=r"cannot be used: the server secret .* nothing was changed"):
        restore(settings, backup)
    with pytest.raises(ConfigurationError, match="the server secret"):
        restore(Settings(home=settings.home, secrets=(ANOTHER,)), backup)

    assert not (settings.home / room.REPLACED).exists()
    assert not list(settings.home.glob(".restore*"))


def test_a_damaged_backup_changes_nothing(settings: Settings, saved: tuple[str, Path]) -> None:
    """Every record of the backup is read before anything is replaced."""
    token, backup = saved
    data = bytearray((backup / "data.mdb").read_bytes())
    for start in range(8192, len(data), 4096):
        data[start : start + 64] = os.urandom(64)
    (backup / "data.mdb").write_bytes(data)

    with pytest.raises(ConfigurationError, match=r"nothing was changed|is cut short"):
        restore(settings, backup)

    assert number_in(settings, token) == 2


@pytest.mark.parametrize("what", ["nothing", "empty", "itself", "half"])
def test_what_is_no_backup(what: str, settings: Settings, saved: tuple[str, Path], tmp_path: Path) -> None:
    """A wrong directory is named, and the store is as it was; so is a backup that was interrupted."""
    token, backup = saved
    source = {"nothing": tmp_path / "no", "empty": tmp_path / "empty", "itself": settings.home, "half": backup}[what]
    (tmp_path / "empty").mkdir()
    if what == "half":
        (backup / "store").unlink()

    with pytest.raises(ConfigurationError, match=r"is no backup|is the state directory itself"):
        restore(settings, source)

    assert number_in(settings, token) == 2


def test_it_is_done_alone(settings: Settings, saved: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has the store open would go on with the old file: refused, naming the process."""
    monkeypatch.setattr(room, "ALONE_WITHIN", 0.3)
    token, backup = saved
    with Job("see", settings.home, token) as job:
        job.say("look")
        job.line()

        with pytest.raises(StoreUnavailable, match=rf"\b{job.pid}\b"):
            restore(settings, backup)

    assert number_in(settings, token) == 2


def test_it_is_private(settings: Settings, saved: tuple[str, Path]) -> None:
    """Whatever the backup's files were open to, the store's are the owner's alone."""
    _, backup = saved
    (backup / "data.mdb").chmod(0o600)

    restore(settings, backup)

    assert {each.stat().st_mode & 0o777 for each in settings.home.iterdir() if each.is_file()} == {0o600}
