"""The shop, in this process and under gunicorn."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The shop under gunicorn, two workers of twelve threads. All tests of a module visit it."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    folder = tmp_path_factory.mktemp("shop")
    log = folder / "gunicorn.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        command = [sys.executable, "-m", "gunicorn", "--workers=2", "--threads=12", f"--bind=fd://{listener.fileno()}"]
        server = subprocess.Popen(
            [*command, f"--chdir={SHOP}", "app:create_app()"],
            env={**os.environ, "COATCHECK_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)},
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
        )
        try:
            yield Place(folder / "state", listener.getsockname()[1])
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def visitor(place: Place) -> Visitor:
    """Somebody who has just arrived."""
    return Visitor(place.port)


@pytest.fixture
def user() -> str:
    """A name that nobody else signs in with."""
    return f"user-{uuid.uuid4().hex[:8]}"
