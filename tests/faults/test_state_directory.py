"""A state directory that others can read, or that cannot be written: the error has the path and what to do."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store.gate import holders
from coatcheck.store.lmdb import LmdbStore
from tests.support.opening import open_it, refusal
from tests.support.processes import ROOT


def test_everything_is_private(filled: Path) -> None:
    """The directory and those in it are 0700, and every file 0600, whatever the umask."""
    assert filled.stat().st_mode & 0o777 == 0o700
    found = list(filled.rglob("*"))
    modes = {each.name: each.stat().st_mode & 0o777 for each in found if each.is_file()}
    assert set(modes.values()) == {0o600}, modes
    assert {each.stat().st_mode & 0o777 for each in found if each.is_dir()} <= {0o700}
    assert {"data.mdb", "secret"} <= set(modes)


def test_a_wide_umask_opens_nothing(home: Path) -> None:
    """With a umask of 0 nothing becomes readable for others."""
    before = os.umask(0)
    try:
        open_it(home)
    finally:
        os.umask(before)

    assert {each.stat().st_mode & 0o077 for each in (home, *home.iterdir())} == {0}


def test_a_secret_that_others_can_read(filled: Path) -> None:
    """A secret that others can read is none: the error has the path, the mode and the command."""
    (filled / "secret").chmod(0o644)

    text = refusal(filled)

    assert str(filled / "secret") in text
    assert "0644" in text
    assert "chmod 600" in text


def test_a_directory_that_others_can_enter(filled: Path) -> None:
    """A state directory with something in it must be the user's alone."""
    filled.chmod(0o755)

    text = refusal(filled)

    assert f"{filled} is open to other users (mode 0755)" in text
    assert "chmod 700" in text


def test_a_data_file_that_others_can_read(filled: Path) -> None:
    """Sessions are not for other users to read."""
    (filled / "data.mdb").chmod(0o640)

    text = refusal(filled)

    assert str(filled / "data.mdb") in text
    assert "chmod 600" in text


UNPRIVILEGED = """
import json, os, sys
from pathlib import Path
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
import coatcheck.store.backup, encodings.idna, lmdb, msgpack
if not os.geteuid():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
store = LmdbStore(Settings(home=Path(sys.argv[1])), background=False)
try:
    store.create({})
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    print(json.dumps(["open", ""]))
"""


def as_nobody(home: Path) -> tuple[str, str]:
    """The kind and text of the error that a user without any rights gets."""
    answer = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(home)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    kind, text = json.loads(answer.stdout)
    return kind, text


def test_a_directory_that_is_not_writable(tmp_path: Path) -> None:
    """Somebody who may not write there is told the directory and the remedy."""
    # A place that anybody may enter: the directories of pytest are root's alone.
    place = Path("/tmp") / f"coatcheck-not-writable-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        home = place / "state"
        kind, text = as_nobody(home) if not os.geteuid() else _read_only(place, home)
        assert kind == "ConfigurationError"
        assert str(home) in text
        assert "writable" in text

        home.mkdir(mode=0o555)
        home.chmod(0o555)
        kind, text = as_nobody(home)
        assert kind == "ConfigurationError"
        assert str(home) in text
        assert re.search(r"writable|open to other users", text)
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


def _read_only(place: Path, home: Path) -> tuple[str, str]:
    place.chmod(0o555)
    try:
        return as_nobody(home)
    finally:
        place.chmod(0o755)


def test_a_file_in_its_place(tmp_path: Path) -> None:
    """A state directory that is a file is named as such."""
    home = tmp_path / "state"
    home.write_text("not a directory")

    assert str(home) in refusal(home)


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    """So is one that cannot be made because its parent is a file."""
    (tmp_path / "file").write_text("x")

    assert str(tmp_path / "file") in refusal(tmp_path / "file" / "state")


@pytest.mark.parametrize("name", ["secret", "writer", "gate"])
def test_no_file_is_followed_through_a_link(tmp_path: Path, home: Path, name: str) -> None:
    """A link in the state directory leads nowhere: what it points to is neither read nor written."""
    target = tmp_path / "target"
    target.write_bytes(b"")
    target.chmod(0o600)
    home.mkdir(mode=0o700)
    (home / name).symlink_to(target)

    text = refusal(home)

    assert str(home / name) in text
    assert target.read_bytes() == b""


def test_files_that_are_removed_while_open(home: Path) -> None:
    """Whoever has the store open is told, instead of writing to files without a name; then there is a new store."""
    store = LmdbStore(Settings(home=home), background=False)
    store.create({"a": 1})
    shutil.rmtree(home)

    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        store.sync()

    token, _ = store.create({"b": 1})
    assert store.load(token) is not None
    assert (home / "data.mdb").exists()
    store.close()


@pytest.mark.parametrize("name", ["data.mdb", "synced", "opener", "writer", "gate"])
def test_a_pipe_in_the_place_of_a_file(filled: Path, name: str) -> None:
    """Nobody waits for what will never come: the file is named."""
    (filled / name).unlink()
    os.mkfifo(filled / name)

    with pytest.raises(ConfigurationError, match=rf"{name} is no regular file"):
        LmdbStore(Settings(home=filled)).stats()


def test_garbage_in_the_place_of_the_opener(filled: Path) -> None:
    """Nobody has the store open, so what the file says of whoever has does not matter."""
    (filled / "opener").write_bytes(b"\xff\xfe")

    store = LmdbStore(Settings(home=filled))

    assert store.stats().sessions == 50
    store.close()


def test_a_relative_home_stays_where_it_was(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that changes its working directory keeps its store."""
    monkeypatch.chdir(tmp_path)
    store = LmdbStore(Settings.load(home.name))
    token, _ = store.create({})
    store.close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert store.load(token) is not None

    store.close()


def test_preparing_leaves_nothing(home: Path) -> None:
    """A process that prepares a store for others does not look after it: no thread, nothing open."""
    before = threading.active_count()

    LmdbStore(Settings(home=home)).prepare()

    assert threading.active_count() == before
    assert holders(home / "gate") == []
    with (home / "gate").open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has it, this process neither
