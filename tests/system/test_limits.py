"""The stated limits of starting and stopping: who is too many says so at once, and SIGTERM ends everything in time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coatcheck.client.actor_lane import ActorStore
from coatcheck.settings import Settings
from coatcheck.system import process
from coatcheck.system.command import OTHER_RUNS
from coatcheck.testing import together
from tests.system.running import ROOT, RunningSystem, until
from tests.system.test_runner import gone, is_free, manager_pid, serves, supervisor_report

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")

REFUSED_WITHIN = 2.0
"""Seconds, from its start, in which a system that is one too many has said so and ended."""

IDLE_STOP_WITHIN = 2.0
"""Seconds from SIGTERM until an idle system has gone."""

STUCK_STOP_WITHIN = 12.0
"""Seconds from SIGTERM until a system has gone of which somebody does not listen any more."""


def allowed() -> float:
    """The limit; more on a machine that has other things to do, by what ten interpreters take there that do nothing."""
    begin = time.monotonic()
    idle = [subprocess.Popen([sys.executable, "-c", "import argparse, json, logging.config"]) for _ in range(10)]
    for each in idle:
        assert each.wait(60) == 0
    return max(REFUSED_WITHIN, 4 * (time.monotonic() - begin))


def test_of_ten_that_start_at_once_one_runs(home: Path) -> None:
    """The nine others name the one that runs, exit with 3 within two seconds of their start, and do it no harm."""
    systems = []
    ended: dict[int, float] = {}
    with contextlib.ExitStack() as cleanup:
        began = {}
        for number in range(10):
            system = RunningSystem(home, log=home.with_name(f"{number}.log"))
            began[number] = time.monotonic()
            systems.append(system.start())
            cleanup.callback(system.process.kill)

        def nine_have_ended() -> bool:
            for number, system in enumerate(systems):
                if number not in ended and system.process.poll() is not None:
                    ended[number] = time.monotonic() - began[number]
            return len(ended) >= 9

        until(nine_have_ended, "more than one goes on")
        (one,) = set(range(10)) - set(ended)
        systems[one].ready()

        assert {systems[number].process.returncode for number in ended} == {OTHER_RUNS}
        for number in ended:
            assert f"process {systems[one].pid} runs an actor system on {home} already" in systems[number].log
        assert max(ended.values()) < allowed(), ended
        store = ActorStore(Settings(home=home))
        assert serves(store)
        store.close()
        assert systems[one].whereabouts["pid"] == systems[one].pid
        assert systems[one].stop() == 0


def stop_and_measure(system: RunningSystem) -> float:
    """Seconds from SIGTERM until it has ended with 0, and nobody of it is alive and nobody listens."""
    family, port = system.family(), system.whereabouts["port"]
    begin = time.monotonic()
    assert system.stop(signal.SIGTERM) == 0
    took = time.monotonic() - begin
    assert gone(family)
    assert is_free(port)
    return took


def test_an_idle_one_stops_within_two_seconds(home: Path) -> None:
    """It has served and has clients that are still joined: neither delays it."""
    with RunningSystem(home) as system:
        store = ActorStore(Settings(home=home))
        assert serves(store)

        assert stop_and_measure(system) < IDLE_STOP_WITHIN
        store.close()


def test_one_in_which_somebody_is_stuck_stops_within_twelve_seconds(home: Path, tmp_path: Path) -> None:
    """Whoever is stopped, or busy in a handler that never ends: after eight seconds of patience all are killed.

    All of them at once, a system each, since it is their patience that takes the time.
    """
    who = ("manager", "supervisor", "admin", "logger", "busy manager")
    go, busy = tmp_path / "go", tmp_path / "busy"
    site = busy_manager(tmp_path, go, busy)
    with contextlib.ExitStack() as running:
        systems = {}
        for each in who:
            path = str(site) if each == "busy manager" else ""
            system = RunningSystem(home.with_name(each.replace(" ", "-")), PYTHONPATH=path)
            systems[each] = running.enter_context(system)
        for each in who[:-1]:
            os.kill(process_of(systems[each], each), signal.SIGSTOP)
        go.touch()
        until(busy.exists, "the manager does not get busy")

        took = dict(zip(who, together(len(who), lambda number: stop_and_measure(systems[who[number]])), strict=True))

        assert max(took.values()) < STUCK_STOP_WITHIN, took
        for system in systems.values():
            assert "did not end within" in system.log


def test_a_second_signal_ends_it_at_once(home: Path) -> None:
    """Whoever asks twice does not want to wait for somebody who is stuck."""
    with RunningSystem(home) as system:
        os.kill(manager_pid(home), signal.SIGSTOP)
        family = system.family()
        system.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in system.log, "it does not begin to stop")
        begin = time.monotonic()

        assert system.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begin < IDLE_STOP_WITHIN
        assert gone(family)


def process_of(system: RunningSystem, who: str) -> int:
    """One of its processes, by what it is."""
    if who == "admin":
        return system.admin()
    supervisor = int(supervisor_report(system.home)["pid"])
    if who == "supervisor":
        return supervisor
    if who == "manager":
        return manager_pid(system.home)
    (logger,) = [pid for pid in process.children(system.admin()) if pid != supervisor]
    return logger


def busy_manager(place: Path, go: Path, busy: Path) -> Path:
    """A directory for PYTHONPATH: the tick of a manager never ends once ``go`` is there; then ``busy`` is, too."""
    site = place / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from coatcheck.actors.session_manager import SessionManager

usual = SessionManager.tick

def tick(manager):
    if Path({str(go)!r}).exists():
        Path({str(busy)!r}).touch()
        while True:
            pass
    return usual(manager)

SessionManager.tick = tick
"""
    )
    return site
