"""``python -m coatcheck.system`` check, backup, compact and restore."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coatcheck.settings import Settings
from coatcheck.store import restore as room
from coatcheck.store.lmdb import LmdbStore
from coatcheck.system.command import IN_USE, MISCONFIGURED, UNSOUND, main
from tests.support.processes import Job


@pytest.fixture
def token(home: Path) -> str:
    """The token of the only session in the store."""
    store = LmdbStore(Settings(home=home), background=False)
    token, _ = store.create({"n": 1})
    store.close()
    return token


def run(*arguments: str | Path) -> int:
    """The exit code of a command."""
    return main([str(each) for each in arguments])


@pytest.mark.usefixtures("token")
def test_a_sound_store(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Check says what it has read, and that nothing is wrong."""
    assert run("check", "--home", home) == 0

    assert re.search(r"^1 sessions, \d+ index entries: no problems\n", capsys.readouterr().out)


def test_a_store_that_is_not_sound(home: Path, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit is shown, without anything of the session, and the exit code says so."""
    store = LmdbStore(Settings(home=home), background=False)
    record = store.load(token)
    assert record is not None
    environment = store.environment
    transaction = environment.begin_write(1.0)
    transaction.delete(bytes.fromhex(record.sid), db=environment.tables.sessions)
    environment.end_write(transaction, commit=True)
    store.close()

    assert run("check", "--home", home) == UNSOUND

    said = capsys.readouterr().out
    assert "token-without-session at" in said
    assert token not in said


def test_there_and_back(home: Path, token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A backup is restored by the command of the same words, and each says what it has done."""
    assert run("backup", "--home", home, tmp_path / "copy") == 0
    store = LmdbStore(Settings(home=home), background=False)
    store.delete(token)
    store.close()
    assert run("restore", "--home", home, tmp_path / "copy") == 0
    assert run("compact", "--home", home) == 0

    said = capsys.readouterr().out
    assert f"{home} has the 1 sessions of {tmp_path / 'copy'}" in said
    assert f"the data file that was there is {home / room.REPLACED}" in said
    store = LmdbStore(Settings(home=home), background=False)
    assert store.load(token) is not None
    store.close()


def test_in_use(home: Path, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it open keeps it; check and backup do not mind."""
    monkeypatch.setattr(room, "ALONE_WITHIN", 0.2)
    monkeypatch.setattr("coatcheck.store.backup.ALONE_WITHIN", 0.2)
    with Job("see", home, token) as job:
        job.say("look")
        job.line()

        assert run("backup", "--home", home, tmp_path / "copy") == 0
        assert run("check", "--home", home) == 0
        assert run("restore", "--home", home, tmp_path / "copy") == IN_USE
        assert run("compact", "--home", home) == IN_USE


@pytest.mark.parametrize("arguments", [["check", "it"], ["backup"], ["restore", "a", "b"], ["change"], ["serve", "x"]])
def test_operands_go_with_their_command(arguments: list[str]) -> None:
    """A missing one or one too many is a mistake that is said."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2


def test_a_wrong_directory(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a store nor a backup is made where there is none."""
    for command in (["check"], ["compact"], ["backup", str(tmp_path / "copy")]):
        assert run(*command, "--home", home) == MISCONFIGURED
        assert "there is no store in" in capsys.readouterr().err
    assert not home.exists()
    assert run("restore", "--home", home, tmp_path / "none") == MISCONFIGURED
    assert "is no backup" in capsys.readouterr().err
