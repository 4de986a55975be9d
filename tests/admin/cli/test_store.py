"""``coatcheck stats``, ``check``, ``backup``, ``restore``, ``compact``, ``change`` and ``policy``."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from coatcheck.admin import exits
from coatcheck.client import connect
from tests.admin.cli.conftest import Shop
from tests.admin.cli.running import COMMAND, ROOT, coatcheck


def test_there_and_back(home: Path, shop: Shop, tmp_path: Path) -> None:
    """A backup while the application runs; restored while it does not, with what was there kept."""
    saved = coatcheck(home, "backup", tmp_path / "copy", "--json").json
    assert saved["secret"] is True
    assert saved["bytes"] > 0
    shop.client.delete(shop.ann)

    busy = coatcheck(home, "restore", tmp_path / "copy")
    assert busy.code == exits.UNAVAILABLE
    assert f"process {os.getpid()}" in busy.err
    shop.client.close()
    done = coatcheck(home, "restore", tmp_path / "copy", "--json").json
    assert done["sessions"] == 4
    assert shop.client.load(shop.ann) is not None


def test_a_backup_needs_a_new_directory(home: Path, shop: Shop, tmp_path: Path) -> None:
    """What is there stays as it is, and nothing half done is left."""
    (tmp_path / "full").mkdir(mode=0o700)
    (tmp_path / "full" / "mine").write_text("mine")

    assert coatcheck(home, "backup", tmp_path / "full").code == exits.MISCONFIGURED
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["mine"]
    assert coatcheck(home, "restore", tmp_path / "full").code == exits.MISCONFIGURED
    (tmp_path / "empty").mkdir()
    assert coatcheck(home, "backup", tmp_path / "empty").code == 0
    assert not list(tmp_path.glob(".*"))


def test_progress_is_shown_to_people(home: Path, shop: Shop) -> None:
    """On a terminal only: a program that reads stderr gets no bar."""
    assert coatcheck(home, "check").err == ""
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "check", "--home", str(home)], cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        drawn = b""
        try:
            while chunk := os.read(mine, 4096):
                drawn += chunk
        except OSError:
            pass  # the other side is closed
        assert process.stdout is not None
        assert b"no problems" in process.stdout.read()
    os.close(mine)
    assert drawn


def test_check_and_stats(home: Path, shop: Shop) -> None:
    """Beside the application; a store that is not sound is exit 8, and says what does not fit."""
    assert coatcheck(home, "stats", "--json").json["sessions"] == 4
    assert coatcheck(home, "check", "--json").json["clean"] is True
    environment = shop.client.store.environment  # type: ignore[attr-defined]
    transaction = environment.begin_write(1.0)
    transaction.delete(bytes.fromhex(shop.sids["ann"]), db=environment.tables.sessions)
    environment.end_write(transaction, commit=True)

    said = coatcheck(home, "check", "--json")
    assert said.code == exits.UNSOUND
    assert "token-without-session" in {each["kind"] for each in said.json["problems"]}


def test_limits_are_changed_alone(home: Path, shop: Shop) -> None:
    """While somebody has the store open it is refused, naming who; afterwards what is in force is said."""
    assert coatcheck(home, "change", "max_flashes=7").code == exits.UNAVAILABLE
    shop.client.close()
    assert coatcheck(home, "change", "max_flashes=7", "--json").json["max_flashes"] == 7
    assert coatcheck(home, "change", "max_flashes").code == exits.WRONG_ARGUMENTS
    assert coatcheck(home, "change", "nonsense=1").code == exits.MISCONFIGURED
    assert coatcheck(home, "compact", "--json").json["after"] > 0


def test_the_policy_says_what_is_in_force(home: Path, shop: Shop) -> None:
    """The limits of the store, lifetimes in use that deviate, and numbers of the standards."""
    shop.client.close()
    coatcheck(home, "change", "max_sessions_per_principal=3")
    with connect(home, signed_in=__import__("coatcheck").Lifetimes(idle=86400 * 7, absolute=None)) as other:
        other.create({}, principal="dora")

    said = coatcheck(home, "policy", "--json").json
    clauses = {each["title"]: each for each in said["clauses"]}
    assert "3 sessions at the same time; a further login ends the oldest" in clauses["Parallel sessions"]["text"]
    assert "7 d without use, and no overall limit" in clauses["Deviations in use"]["text"]
    assert {"7.1.1", "7.3.1", "7.3.2"} <= set(clauses["Lifetimes"]["asvs"])
    assert clauses["Re-authentication"]["whose"] == "application"
    numbers = {number for each in said["clauses"] for number in each["asvs"]}
    wanted = (
        "7.1.1 7.1.2 7.1.3 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.5.3 7.6.1"
    )
    assert set(wanted.split()) <= numbers
    assert coatcheck(home, "policy", "--markdown").out.startswith(f"# Session policy of {home}")


def test_nothing_is_made_where_nothing_is(home: Path) -> None:
    """A command that looks at a store makes none: exit 4, with what to do."""
    for command in (["list"], ["stats"], ["find", "--user", "a"], ["check"], ["tail", "--no-follow"], ["policy"]):
        said = coatcheck(home, *command)
        assert said.code == exits.MISCONFIGURED, command
        assert "--home or COATCHECK_HOME" in said.err
    assert not home.exists()
