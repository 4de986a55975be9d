"""Web servers reload and restart while the system runs, and the system restarts while they run, under load.

On both lanes, with gunicorn and with uvicorn: nobody sees another's session, nothing that was confirmed is lost, errors
come only while the system is away and only to those who need it, and then everything goes on by itself.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.ledger import Entry, Ledger, Outcome
from tests.chaos.load import Visitors
from tests.chaos.run import judge_store, verdict_lines
from tests.support.require import require
from tests.support.servers import WebServer
from tests.system.running import RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")

APPS = {"gunicorn": ("tests.chaos.site:create_app()", "--threads=8"), "uvicorn": ("tests.chaos.asgi_site:app",)}


@dataclass
class Scene:
    """A web server on a lane, visited all the time."""

    server: WebServer
    home: Path
    lane: str
    ledger: Ledger
    visitors: Visitors

    def confirmed(self) -> int:
        """How many requests were confirmed."""
        return self.ledger.outcomes()[Outcome.CONFIRMED]

    def goes_on(self) -> None:
        """Wait until some more are."""
        before = self.confirmed()
        until(lambda: self.confirmed() > before + 30, f"it does not go on: {self.server.log[-3000:]}")

    def errors(self, since: float) -> list[Entry]:
        """What was refused of that which began after that."""
        return [each for each in self.ledger.entries if each.outcome is Outcome.UNKNOWN and each.began > since]

    def other_workers_than(self, before: set[int]) -> None:
        """Wait until two answer, none of which is one of these."""
        since = time.monotonic()

        def answer() -> bool:
            pids = {each.pid for each in self.ledger.entries if each.began > since and each.pid}
            return len(pids) >= 2 and not pids & before

        def fresh() -> bool:
            nonlocal since
            if set(self.server.workers()) & before:
                since = time.monotonic()
                return False
            return answer()

        until(fresh, f"the old workers stay: {self.server.log[-3000:]}")


@pytest.fixture(params=["gunicorn", "uvicorn"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of web server."""
    name: str = request.param
    require(importlib.util.find_spec(name), name)
    return name


@pytest.fixture(params=["direct", "actor"])
def scene(request: pytest.FixtureRequest, kind: str, home: Path, tmp_path: Path) -> Iterator[Scene]:
    """Under load; in the end everything that visitors were told has to be true."""
    app, *options = APPS[kind]
    environ = {"COATCHECK_HOME": str(home), "COATCHECK_LANE": request.param}
    with WebServer(kind, app, tmp_path / "server.log", *options, **environ) as server:
        ledger = Ledger()
        visitors = Visitors({request.param: server.port}, ledger, 2, seed=1)
        scene = Scene(server, home, request.param, ledger, visitors)
        visitors.start()
        try:
            yield scene
        finally:
            visitors.stop()
    findings = judge_store(home, scene.ledger)
    assert not findings, "\n".join(verdict_lines(findings, scene.ledger, 1))
    assert "Traceback" not in server.log, server.log


def test_restarts(scene: Scene, kind: str) -> None:
    """Not one error while the web server reloads and restarts; then the system restarts, and the same workers go on."""
    with RunningSystem(scene.home):
        begin = time.monotonic()
        scene.goes_on()
        before = set(scene.server.workers())
        # uvicorn closes connections over which it has not read a request yet: so its workers break them when they end.
        if kind == "uvicorn":
            scene.ledger.killed("worker that reloads", scene.server.pid)
        scene.server.reload()
        scene.other_workers_than(before)
        scene.goes_on()

        if kind == "uvicorn":
            scene.ledger.killed("worker that restarts", scene.server.pid)
        scene.server.restart()
        scene.goes_on()

        assert not scene.errors(begin)
        workers = set(scene.server.workers())
        gap = time.monotonic()
    if scene.lane == "direct":
        scene.goes_on()
    else:
        until(lambda: scene.errors(gap), "nobody notices that the system is away")
    with RunningSystem(scene.home):
        ready = time.monotonic()
        scene.goes_on()

        assert set(scene.server.workers()) == workers
        assert scene.lane == "actor" or not scene.errors(gap)
        assert all(each.began < ready for each in scene.errors(gap))
        # Flashes that were taken as the system went, and that nobody has seen, are given back in a moment.
        scene.visitors.stop()
        until(lambda: not judge_store(scene.home, scene.ledger), "something is lost for good")
