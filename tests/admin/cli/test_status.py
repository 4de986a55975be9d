"""``coatcheck status``: each thing that it tells is caused first."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from coatcheck.admin import exits
from coatcheck.client import connect
from coatcheck.lifetimes import Lifetimes
from coatcheck.system import process
from coatcheck.testing import FakeClock
from tests.admin.cli.running import ROOT, Said, coatcheck, codes
from tests.support.processes import Job
from tests.system.running import RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


def status(home: Path, *arguments: str, **environ: str) -> Said:
    """What it says to programs."""
    return coatcheck(home, "status", "--json", *arguments, **environ)


def row(said: Said, actor: str) -> dict[str, object]:
    """What it says of one actor."""
    return next(each for each in said.json["actors"] if each["actor"] == actor)


@contextmanager
def children_killed(parent: int) -> Iterator[None]:
    """Inside, each child of this process is killed as soon as it is there."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.05):
            for pid in process.children(parent):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        yield
    finally:
        over.set()
        killing.join()


def test_a_system_that_is_well(home: Path) -> None:
    """The tree with pids, uptime, messages, epoch; store, sweep, durability and outbox; exit 0."""
    with RunningSystem(home) as system:
        said = status(home, "--timeout", "20")
        page = coatcheck(home, "status", "--timeout", "20").out

        assert (said.code, said.json["verdict"], said.json["serving"]) == (0, "ok", True)
        parents = {each["actor"]: each["parent"] for each in said.json["actors"]}
        assert parents == {
            "runner": None,
            "admin": "runner",
            "SystemSupervisor": "admin",
            "SessionManager": "SystemSupervisor",
        }
        assert {each["pid"] for each in said.json["actors"]} <= system.family()
        assert row(said, "SystemSupervisor")["handled"]
        assert system.whereabouts["epoch"].startswith(said.json["system"]["epoch"])
        for part in ("SessionManager", "handled", "failed", "queue 0", "epoch", "sweep", "second", "outbox", "up "):
            assert part in page


def test_the_manager_is_silent_then_dead(home: Path) -> None:
    """One that stands still is named; one that is killed again and again is a restart loop, and there is none."""
    with RunningSystem(home):
        said = status(home, "--timeout", "20")
        pid, supervisor = (int(str(row(said, name)["pid"])) for name in ("SessionManager", "SystemSupervisor"))
        os.kill(pid, signal.SIGSTOP)
        said = status(home, "--timeout", "1.5")
        assert (said.code, codes(said)[0]) == (exits.CRITICAL, "manager-silent")
        assert f"process {pid}" in said.json["findings"][0]["what"]
        os.kill(pid, signal.SIGKILL)

        dead: list[str] = []

        def is_dead() -> bool:
            dead[:] = codes(status(home, "--timeout", "0.6"))
            return "manager-dead" in dead and "restart-loop" in dead

        with children_killed(supervisor):
            until(is_dead, f"no restart loop and dead manager: {dead}")
        until(lambda: status(home, "--timeout", "20").json["serving"], "it does not recover")


def test_the_admin_is_dead(home: Path) -> None:
    """While the process that would start it again stands still; afterwards it is well, and the restart is counted."""
    with RunningSystem(home) as system:
        before = system.whereabouts["epoch"]
        admin = system.admin()
        os.kill(system.pid, signal.SIGSTOP)
        try:
            os.kill(admin, signal.SIGKILL)
            said = until(
                lambda: (found := status(home, "--timeout", "1")).json["actors"][-1]["state"] == "absent" and found,
                "the admin is there",
            )
        finally:
            os.kill(system.pid, signal.SIGCONT)
        assert said.code == exits.CRITICAL
        assert codes(said)[0] == "runner-stopped"
        assert row(said, "admin")["state"] == "absent"
        assert f"kill -CONT {system.pid}" in said.json["findings"][0]["remedy"]

        until(lambda: system.whereabouts["epoch"] != before, "it is not started again")
        said = status(home, "--timeout", "20")
        assert (said.code, row(said, "admin")["restarts"]) == (0, 1)


def test_the_system_is_down(home: Path) -> None:
    """Killed with all it had: critical, with the command that starts one."""
    with RunningSystem(home) as system:
        os.kill(system.pid, signal.SIGKILL)
        system.process.wait()
        said = status(home)

    assert (said.code, codes(said)[0]) == (exits.CRITICAL, "system-down")
    assert "start one with" in said.json["findings"][0]["remedy"]


def test_sweep_and_clock(home: Path, tmp_path: Path) -> None:
    """A sweep that is behind, as nobody sweeps, and a clock that was stepped; believed when an operator says so."""
    clock = FakeClock(tmp_path / "clock")
    with connect(home, clock=clock.setting) as client:
        client.create({}, principal="ann", lifetimes=Lifetimes(idle=60))
        client.sweep()
    environ = {"COATCHECK_CLOCK": clock.setting}
    clock.advance(300)
    said = status(home, "--fail-on", "warning", **environ)
    assert (said.code, codes(said)[0]) == (exits.WARNED, "sweep-behind")
    assert said.json["sweep"]["lag"] == 240

    clock.step(7200)
    assert codes(status(home, **environ))[0] == "clock-stepped"
    assert coatcheck(home, "doctor", "--trust-clock", **environ).code == 0
    assert codes(status(home, **environ))[0] == "sweep-behind"


def test_a_stale_reader_and_a_stuck_writer(home: Path) -> None:
    """Both are named with their pid."""
    with connect(home) as client, Job("pause_inside", home, token := client.create({})[0], "k") as writer:
        writer.expect("ready")
        with Job("hold_read", home, token) as reader:
            reader.expect("reading")
            for number in range(3):
                client.create({"n": number})
                client.sync()
            said = status(home)
            assert codes(said)[0] == "stale-reader"
            assert f"process {reader.pid} " in said.json["findings"][0]["what"]
        writer.say("go")
        writer.expect("inside")
        said = status(home, "--timeout", "1.5")
        assert (said.code, codes(said)[0]) == (exits.CRITICAL, "writer-stuck")
        assert f"process {writer.pid} " in said.json["findings"][0]["what"]


def test_a_full_disk(tmp_path: Path) -> None:
    """A file system with less than the reserve free: it says so before and after the store can be opened."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=72m,mode=700", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        home = place / "state"
        with connect(home) as client:
            client.create({"a": 1})
        assert codes(status(home))[0] == "disk-low"
        with (place / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, 40 << 20)
        said = status(home)
        assert (said.code, codes(said)[0]) == (exits.CRITICAL, "disk-full")
        assert "nothing may grow" in said.json["findings"][0]["what"]
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_two_versions(home: Path, tmp_path: Path) -> None:
    """A system of another version than that of this command."""
    copy = tmp_path / "other"
    for name in ("coatcheck", "actors", "messages"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "coatcheck" / "__init__.py"
    text = file.read_text()
    assert '"0.1.0"' in text
    file.write_text(text.replace('"0.1.0"', '"9.9.9"'))
    program = (
        f"import sys; sys.path.insert(0, {str(copy)!r}); from coatcheck.system.command import main; sys.exit(main())"
    )
    log = tmp_path / "log"
    with log.open("wb") as out:
        environ = {**os.environ, "PYTHONPATH": str(copy)}
        running = subprocess.Popen(
            [sys.executable, "-c", program, "--home", str(home)], stdout=out, stderr=out, env=environ, cwd=copy
        )
    try:
        until(lambda: " runs on " in log.read_text(), f"it does not start: {log.read_text()}")
        said = status(home, "--timeout", "20")
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)
    (finding,) = (each for each in said.json["findings"] if each["code"] == "two-versions")
    assert "SessionManager 9.9.9" in finding["what"]
    assert "this command 0.1.0" in finding["what"]
    assert (said.code, said.json["verdict"]) == (0, "warning")


def test_it_changes_nothing(home: Path) -> None:
    """Where nothing is, nothing is made; exit 7, and what to do."""
    said = status(home)

    assert (said.code, codes(said)[0]) == (exits.CRITICAL, "no-store")
    assert not home.exists()
    assert json.loads(said.out)["store"] is None
