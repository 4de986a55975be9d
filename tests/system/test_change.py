"""``python -m coatcheck.system change``: other limits for a store that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.system.command import IN_USE, MISCONFIGURED, main
from tests.support.processes import Job


def test_limits_are_changed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what is in force now, and whoever opens the store next has it."""
    LmdbStore(Settings(home=home)).prepare()

    assert main(["change", "--home", str(home), "max_flashes=7", "on_principal_limit=refuse"]) == 0

    assert "max_flashes=7\n" in capsys.readouterr().out
    LmdbStore(Settings(home=home, max_flashes=7, on_principal_limit="refuse")).prepare()


def test_the_environment_may_ask_for_the_new_limit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works also where the environment already says what the store is to become."""
    LmdbStore(Settings(home=home)).prepare()
    monkeypatch.setenv("COATCHECK_MAX_FLASHES", "7")

    assert main(["change", "--home", str(home), "max_flashes=7"]) == 0

    LmdbStore(Settings.load(home)).prepare()


@pytest.mark.parametrize(
    ("assignment", "why"),
    [
        ("max_flashes", "NAME=VALUE"),
        ("max_flashes=many", "max_flashes is 'many'"),
        ("durability=commit", "durability cannot be changed"),
    ],
)
def test_a_wrong_change_is_named(home: Path, assignment: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong stands on stderr, and the exit code says that it is the setting."""
    LmdbStore(Settings(home=home)).prepare()

    assert main(["change", "--home", str(home), assignment]) == MISCONFIGURED

    assert why in capsys.readouterr().err


def test_no_store_is_made(home: Path) -> None:
    """A wrong path gets no store of its own."""
    assert main(["change", "--home", str(home), "max_flashes=7"]) == MISCONFIGURED

    assert not home.exists()


def test_a_store_in_use_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody who has it open would go on with the old limits: the command names that process."""
    monkeypatch.setattr("coatcheck.store.backup.ALONE_WITHIN", 0.3)
    store = LmdbStore(Settings(home=home))
    token, _ = store.create({"a": 1})
    store.close()
    with Job("see", home, token) as job:
        job.say("look")
        job.line()

        assert main(["change", "--home", str(home), "max_flashes=7"]) == IN_USE

        assert str(job.pid) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["change"], ["serve", "max_flashes=7"]])
def test_assignments_go_with_change(arguments: list[str]) -> None:
    """Elsewhere they are a mistake, and so is a change of nothing."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
