"""coatcheck's own sides: the direct lane, and the actor lane with a running system."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

import coatcheck
from benchmarks.servers import START_SECONDS, running
from benchmarks.sides import ACTOR, DIRECT, Side
from coatcheck.flask import CoatcheckSessionInterface

_ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def direct_side(home: Path, tokens: Sequence[str]) -> Iterator[Side]:
    """Flask with coatcheck on the direct lane; the sessions exist already."""
    with coatcheck.connect(home) as client:
        yield _side(DIRECT, client, tokens)


@contextmanager
def actor_side(home: Path, tokens: Sequence[str]) -> Iterator[Side]:
    """Flask with coatcheck on the actor lane, and the actor system that it needs as long as the block lasts."""
    with actor_system(home), coatcheck.connect(home, lane="actor") as client:
        await_answer(client, tokens[0])
        yield _side(ACTOR, client, tokens)


@contextmanager
def actor_system(home: Path, **environ: str) -> Iterator[None]:
    """``run_system.py`` on the state directory ``home``, with these variables in its environment."""
    arguments = [sys.executable, str(_ROOT / "run_system.py"), "--home", str(home)]
    with running(arguments, home.with_name(home.name + "-system.log"), {**os.environ, **environ}):
        yield


def await_answer(client: coatcheck.SessionClient, token: str) -> None:
    """Wait until the actor system that was started knows this session."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if client.load(token) is not None:
                return
            msg = "the actor system does not know a session that was made before it started"
            raise RuntimeError(msg)
        except coatcheck.CoatcheckError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _side(name: str, client: coatcheck.SessionClient, tokens: Sequence[str]) -> Side:
    app = Flask(name)
    app.session_interface = CoatcheckSessionInterface(client)
    return Side(name, app, tokens)
