"""``python -m coatcheck.system status``: what is said of a system that runs, of one that hangs, and of none."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from coatcheck.system import command
from coatcheck.system.command import MISCONFIGURED, NOT_SERVING, main
from tests.system.running import ROOT, RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")

PATIENT = ("--timeout", "20")


def asked(home: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """The exit code of ``status --json``, its object, and what it says on stderr."""
    code = main(["status", "--home", str(home), "--json", *arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_each_actor_has_a_line(running: RunningSystem, capsys: pytest.CaptureFixture[str]) -> None:
    """A system that serves: exit 0, and for each actor its name, pid and state; nothing on stderr."""
    assert main(["status", "--home", str(running.home), *PATIENT]) == 0

    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == ["runner", "admin", "SystemSupervisor", "SessionManager"]
    assert [line[2] for line in lines] == ["alive"] * 4
    assert int(lines[1][1]) == running.admin()
    assert int(lines[0][1]) == running.pid
    assert {int(line[1]) for line in lines} <= running.family()
    assert f"port {running.whereabouts['port']}" in out
    assert "0 restarts, store open" in out
    assert err == ""


def test_programs_get_json(running: RunningSystem, capsys: pytest.CaptureFixture[str]) -> None:
    """The same and more as one object on one line."""
    code, found, err = asked(running.home, capsys, *PATIENT)

    assert (code, err) == (0, "")
    assert (found["home"], found["healthy"], found["problem"]) == (str(running.home), True, None)
    runner, admin, supervisor, manager = found["actors"]
    assert (admin["pid"], admin["restarts"]) == (running.admin(), 0)
    assert (runner["pid"], runner["port"]) == (running.pid, running.whereabouts["port"])
    assert supervisor["handled"]["InspectActor"] > 0
    assert manager["details"]["ready"] is True
    assert manager["restarts"] == 0
    assert manager["pid"] != supervisor["pid"]


def test_a_silent_manager_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manager that stands still is not served by: exit 7 within the deadline, and who is silent."""
    with RunningSystem(home):
        _, before, _ = asked(home, capsys, *PATIENT)
        pid = before["actors"][-1]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            code, found, err = asked(home, capsys, "--timeout", "1")
        finally:
            os.kill(pid, signal.SIGCONT)

        assert code == NOT_SERVING
        assert "the SessionManager does not answer in time" in err
        assert found["problem"] in err
        assert found["healthy"] is False
        states = [(each["actor"], each["state"]) for each in found["actors"]]
        assert states == [
            ("runner", "alive"),
            ("admin", "alive"),
            ("SystemSupervisor", "alive"),
            ("SessionManager", "silent"),
        ]
        assert found["actors"][-1]["pid"] == pid
        until(lambda: asked(home, capsys, *PATIENT)[0] == 0, "it does not recover")


def test_none_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a system: exit 7 with the command that starts one, and no directory is made."""
    assert main(["status", "--home", str(home)]) == NOT_SERVING
    out, err = capsys.readouterr()
    assert out == ""
    assert f"no actor system runs on {home}: start one with" in err

    code, found, _ = asked(home, capsys)
    assert (code, found["healthy"], found["actors"]) == (NOT_SERVING, False, [])
    assert not home.exists()


def test_it_has_ended(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file that a killed system has left behind does not make it alive."""
    with RunningSystem(home) as system:
        system.process.kill()
        system.process.wait()

        code, found, err = asked(home, capsys)

    assert (code, found["actors"]) == (NOT_SERVING, [])
    assert "any more" in err


def test_no_secret_is_made(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the system has its secrets from the environment and this process has none, it is told so."""
    with RunningSystem(home, COATCHECK_SECRET="squeamish-ossifrage-squeamish-ossifrage"):
        assert main(["status", "--home", str(home)]) == MISCONFIGURED

        assert "COATCHECK_SECRET" in capsys.readouterr().err
        assert not (home / "secret").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--json"], ["demo", "--timeout", "3"], ["status", "--timeout", "0"], ["status", "--timeout", "nan"]],
)
def test_wrong_arguments(arguments: list[str]) -> None:
    """Its options go with it, and a deadline is above 0."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2


def test_the_page_has_all_exit_codes() -> None:
    """docs/actor-system.md has a row for every exit code that the command line knows."""
    page = (ROOT / "docs" / "actor-system.md").read_text(encoding="utf-8")
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    codes = {value for name, value in vars(command).items() if name.isupper() and isinstance(value, int)}

    assert rows == {0, 2} | codes
    assert codes == {3, 4, 5, 6, 7, 8}
