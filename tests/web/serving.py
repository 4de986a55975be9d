"""A probing application under a real server, in two workers."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.require import require

ROOT: Final = Path(__file__).parents[2]

GUNICORN: Final = "gunicorn"
UVICORN: Final = "uvicorn"
HYPERCORN: Final = "hypercorn"
"""On trio."""


@contextmanager
def serving(
    server: str, factory: str, home: Path, *, lane: str = "direct", cwd: Path = ROOT, **environment: str
) -> Iterator[int]:
    """The port of two workers of twelve threads.

    ``factory`` is like ``tests.asgi.probe:starlette_app``, or an application in the folder ``cwd``.
    """
    require(importlib.util.find_spec(server), server)
    log = home.with_name(f"{server}-{os.urandom(4).hex()}.log")
    # Listening begins here, so whoever connects early waits, and nobody has to ask whether it is up.
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, log.open("wb") as output:
        number = listener.fileno()
        called = "()" if cwd == ROOT else ""
        if server == GUNICORN:
            arguments = [f"--bind=fd://{number}", "--threads=12", "--graceful-timeout=5", f"{factory}{called}"]
        elif server == HYPERCORN:
            arguments = [f"--bind=fd://{number}", "--worker-class=trio", "--graceful-timeout=5", f"{factory}{called}"]
        else:
            arguments = [f"--fd={number}", "--timeout-graceful-shutdown=5", "--no-access-log", factory]
            arguments += ["--factory"] if called else []
        process = subprocess.Popen(
            [sys.executable, "-m", server, "--workers=2", *arguments],
            env={
                **os.environ,
                "COATCHECK_HOME": str(home),
                "COATCHECK_LANE": lane,
                "PYTHONPATH": str(ROOT),
                **environment,
            },
            pass_fds=[number],
            stdout=output,
            stderr=output,
            cwd=cwd,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    text = log.read_text()
    assert "Traceback" not in text, text
