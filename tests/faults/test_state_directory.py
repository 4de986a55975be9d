"""A state directory that cannot work: the error says which file, what is wrong with it, and what to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coatcheck.errors import CoatcheckError, ConfigurationError, CorruptRecord, StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.processes import ROOT, Job

SECRET = "a-secret-of-the-operators-own-0123456789"
OTHER = "another-secret-of-the-operators-9876543210"


def open_it(home: Path, **settings: object) -> None:
    """Open the store and use it."""
    store = LmdbStore(Settings.load(home, {}, **settings), background=False)
    try:
        store.create({"a": 1})
    finally:
        store.close()


def refusal(home: Path, **settings: object) -> str:
    """What is said when it cannot be opened."""
    with pytest.raises(ConfigurationError) as caught:
        open_it(home, **settings)
    assert not isinstance(caught.value, StoreUnavailable)
    return str(caught.value)


@pytest.fixture
def filled(home: Path) -> Path:
    """A state directory with a store in it, closed."""
    store = LmdbStore(Settings(home=home), background=False)
    for number in range(50):
        store.create({"number": number, "pad": "x" * 2000}, principal="ann")
    store.close()
    return home


# Who may read and write it. ------------------------------------------------------------------------------------


def test_everything_is_private(filled: Path) -> None:
    """The directory is 0700, and every file in it 0600, whatever the umask."""
    assert filled.stat().st_mode & 0o777 == 0o700
    modes = {each.name: each.stat().st_mode & 0o777 for each in filled.iterdir()}
    assert set(modes.values()) == {0o600}, modes
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


# What is in the data file. -------------------------------------------------------------------------------------


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def _text(path: Path) -> None:
    path.write_text("#!/bin/sh\necho this is no data file\n" * 500)


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _one_page(path: Path) -> None:
    os.truncate(path, 4096)


def _cut_in_a_page(path: Path) -> None:
    os.truncate(path, 100)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _gone(path: Path) -> None:
    path.unlink()


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _other_lmdb_version(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in (0, 4096):
        struct.pack_into("<I", data, page + 20, 7)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [_garbage, _text, _truncated, _one_page, _cut_in_a_page, _empty, _gone, _zeros, _other_lmdb_version]
)
def test_a_broken_data_file(filled: Path, damage: Callable[[Path], None]) -> None:
    """Whatever became of the data file, it is named, with what to do, and it is left as it is."""
    path = filled / "data.mdb"
    damage(path)
    before = path.read_bytes() if path.exists() else None

    text = refusal(filled)

    assert str(path) in text
    assert "restore a backup" in text
    assert (path.read_bytes() if path.exists() else None) == before


def test_damage_inside_the_data_file(filled: Path) -> None:
    """Pages overwritten behind the first two are an error or a finding of check, and never end the process."""
    code = f"""
import json
from coatcheck.errors import CoatcheckError
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
try:
    store = LmdbStore(Settings(home={str(filled)!r}), background=False)
    report = store.check()
    print(json.dumps(["checked", len(report.problems)]))
except CoatcheckError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    data = bytearray((filled / "data.mdb").read_bytes())
    for start in range(4096 * 2, len(data), 4096 * 3):
        data[start : start + 2000] = os.urandom(2000)
    (filled / "data.mdb").write_bytes(data)

    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stderr
    kind, detail = json.loads(answer.stdout)
    if kind == "checked":
        assert detail > 0
    else:
        assert kind in {CorruptRecord.__name__, ConfigurationError.__name__}
        assert str(filled) in detail
        assert "restore a backup" in detail


def test_the_data_file_of_another_application(tmp_path: Path, home: Path) -> None:
    """An LMDB file in which somebody else keeps something is refused and left alone."""
    home.mkdir(mode=0o700)
    code = """
import lmdb, os, sys
environment = lmdb.open(sys.argv[1], max_dbs=4, mode=0o600)
with environment.begin(write=True) as transaction:
    transaction.put(b"theirs", b"x")
    transaction.put(b"a", b"b", db=environment.open_db(b"their-table", txn=transaction))
"""
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)
    before = (home / "data.mdb").read_bytes()

    text = refusal(home)

    assert str(home / "data.mdb") in text
    assert (home / "data.mdb").read_bytes() == before


def set_meta(home: Path, key: bytes, value: bytes) -> None:
    """Write into the table that all openers read, behind the store's back."""
    code = """
import lmdb, sys
environment = lmdb.open(sys.argv[1], max_dbs=16, map_size=1 << 30)
with environment.begin(write=True) as transaction:
    meta = environment.open_db(b"meta", txn=transaction)
    transaction.put(bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]), db=meta)
"""
    subprocess.run([sys.executable, "-c", code, str(home), key.hex(), value.hex()], check=True)


def test_the_store_of_another_format(filled: Path) -> None:
    """A store that a later coatcheck has written is refused with both format numbers and the remedy."""
    set_meta(filled, b"format", b"7")

    text = refusal(filled)

    assert str(filled) in text
    assert re.search(r"format 7\b.*format 1\b", text)
    assert "use the coatcheck that wrote it" in text


# What the opener asks for. -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "has", "asked"),
    [
        ("durability", "second", "commit"),
        ("map_size", 1 << 30, 2 << 30),
        ("max_session_bytes", 10_000, 20_000),
        ("max_flashes", 10, 20),
        ("max_sessions_per_principal", 3, 4),
        ("on_principal_limit", "refuse", "evict-oldest"),
    ],
)
def test_settings_that_differ_from_the_stores(home: Path, name: str, has: object, asked: object) -> None:
    """An opener that asks for another store-wide setting than the store has is told both values."""
    open_it(home, **{name: has})

    text = refusal(home, **{name: asked})

    assert name in text
    assert repr(has) in text
    assert repr(asked) in text
    assert str(home) in text
    open_it(home, **{name: has})
    open_it(home)


def test_two_openers_of_one_process_must_agree_too(home: Path) -> None:
    """The second store of a process is asked as the first one was."""
    first = LmdbStore(Settings(home=home, max_flashes=10), background=False)
    first.create({})

    assert "max_flashes" in refusal(home, max_flashes=20)

    assert first.stats().sessions == 1
    first.close()


def test_a_wrong_secret(home: Path) -> None:
    """With a secret that the store does not know every session would look forged: refused, and no secret is shown."""
    open_it(home, secrets=(SECRET,))

    text = refusal(home, secrets=(OTHER,))

    assert str(home) in text
    assert "COATCHECK_SECRET" in text
    assert OTHER not in text
    assert SECRET not in text


def test_a_new_secret_in_front(home: Path) -> None:
    """With a new secret in front of the known one old tokens work on, new ones are made under the new one."""
    old = LmdbStore(Settings(home=home, secrets=(SECRET,)), background=False)
    token, _ = old.create({"a": 1}, principal="ann")
    old.close()
    both = LmdbStore(Settings(home=home, secrets=(OTHER, SECRET)), background=False)

    assert both.load(token) is not None
    fresh, _ = both.create({"b": 2}, principal="ann")
    assert len(both.sessions_of("ann")) == 2
    bound, _ = both.login(token, "ann")
    assert both.check().problems == ()
    both.close()

    new = LmdbStore(Settings(home=home, secrets=(OTHER,)), background=False)
    for each in (fresh, bound):
        assert new.load(each) is not None
    assert new.find(token).reason == "forged"
    assert new.revoke("ann") == 2
    new.close()


@pytest.mark.parametrize("secret", ["short", ""])
def test_a_weak_secret(home: Path, secret: str) -> None:
    """A secret that can be guessed is refused, with the command that makes a good one."""
    text = refusal(home, secrets=(secret,))

    assert "secrets.token_urlsafe(32)" in text
    assert not list(home.glob("data.mdb"))


def test_a_lost_secret_is_not_replaced_in_silence(filled: Path) -> None:
    """Without its secret file a store is not given a new one: everybody would be logged out, and nobody know why."""
    (filled / "secret").unlink()

    assert "secret" in refusal(filled)


def test_another_pid_namespace(home: Path) -> None:
    """A process of another container is refused while the store is open here: it would take live readers for dead."""
    store = LmdbStore(Settings(home=home), background=False)
    store.create({})
    inside = ["unshare", "--fork", "--pid", "--mount-proc"]
    if os.geteuid() or subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make a PID namespace")

    command = [*inside, sys.executable, "-m", "tests.faults.jobs", "open_and_say", str(home), "{}"]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    kind, text = json.loads(answer.stdout)
    assert kind == "ConfigurationError"
    assert "namespace" in text
    assert str(home) in text
    assert store.stats().sessions == 1
    store.close()


def test_no_error_is_a_surprise(filled: Path) -> None:
    """Errors of opening are coatcheck's own in another process too, and leave nothing locked."""
    (filled / "secret").chmod(0o644)
    with Job("open_and_say", filled, "{}") as job:
        assert json.loads(job.line())[0] == "ConfigurationError"
    with pytest.raises(CoatcheckError):
        open_it(filled)

    (filled / "secret").chmod(0o600)

    open_it(filled)
