"""The shop, in this process and under gunicorn."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import pytest
from flask import Flask

from tests.examples.visitor import Visitor
from tests.support.require import require

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "flask_shop"
MODULES = ("app", "account", "catalogue", "csrf", "footer", "race", "sessions", "shop")


class Place(NamedTuple):
    """Where the shop is, and where it keeps its sessions."""

    home: Path
    port: int
    lane: str


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state directory that no other test has."""
    return tmp_path / "state"


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The application in this process. Its modules have everyday names, so they are forgotten afterwards."""
    monkeypatch.syspath_prepend(SHOP)
    shop: Flask = importlib.import_module("app").create_app({"COATCHECK_HOME": str(home)})
    yield shop
    shop.extensions["coatcheck"].client.close()
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module", params=["direct", "actor"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The shop under gunicorn, two workers of twelve threads, on each lane. All tests of a module visit it."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    folder = tmp_path_factory.mktemp("shop")
    home, log = folder / "state", folder / "shop.log"
    environ = {**os.environ, "COATCHECK_HOME": str(home), "COATCHECK_LANE": request.param, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        if request.param == "actor":
            require(sys.platform == "linux", "Linux, for the actor system")
            stack.enter_context(running(["run_system.py", "serve"], environ, output))
            until(lambda: "runs on" in log.read_text(), log)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        bind = f"--bind=fd://{listener.fileno()}"
        command = ["-m", "gunicorn", "--workers=2", "--threads=12", bind, f"--chdir={SHOP}", "app:create_app()"]
        stack.enter_context(running(command, environ, output, [listener.fileno()]))
        yield Place(home, listener.getsockname()[1], request.param)
    assert "Traceback" not in log.read_text(), log.read_text()


@contextmanager
def running(
    arguments: list[str], environ: dict[str, str], output: IO[bytes], fds: Sequence[int] = ()
) -> Iterator[None]:
    """A Python program, which is told to end at the end."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environ, pass_fds=fds, stdout=output, stderr=output
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def until(condition: Callable[[], bool], log: Path, seconds: float = 30.0) -> None:
    """Wait until the condition holds. Fails with what is in the log when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def visitor(place: Place) -> Visitor:
    """Somebody who has just arrived."""
    return Visitor(place.port)


@pytest.fixture
def user() -> str:
    """A name that nobody else signs in with."""
    return f"user-{uuid.uuid4().hex[:8]}"
