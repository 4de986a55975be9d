"""The probing application under gunicorn, and browsers that visit it over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from tests.system.running import until

ROOT = Path(__file__).parents[2]
COOKIE = "__Host-id"


@contextmanager
def gunicorn(home: Path, lane: str, *, preload: bool = False, gate_timeout: float = 2.0) -> Iterator[int]:
    """The port of two workers with twelve threads each."""
    log = home.with_name(f"gunicorn-{os.urandom(4).hex()}.log")
    # Listening begins here, so whoever connects early waits, and nobody has to ask whether it is up.
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, log.open("wb") as output:
        arguments = ["--workers=2", "--threads=12", f"--bind=fd://{listener.fileno()}", "--graceful-timeout=5"]
        server = subprocess.Popen(
            [
                *[sys.executable, "-m", "gunicorn", *arguments, *(["--preload"] if preload else [])],
                "tests.flask.probe:create_app()",
            ],
            env={
                **os.environ,
                "COATCHECK_HOME": str(home),
                "COATCHECK_LANE": lane,
                "PROBE_GATE_TIMEOUT": str(gate_timeout),
                "PYTHONPATH": str(ROOT),
            },
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
            cwd=ROOT,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    text = log.read_text()
    assert "Traceback" not in text, text


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage = field(repr=False)
    text: str

    @property
    def set_cookie(self) -> str | None:
        """The header, if there is one."""
        return self.headers["Set-Cookie"]

    @property
    def json(self) -> Any:
        """The answer decoded."""
        return json.loads(self.text)


class Browser:
    """Keeps the session cookie, as a browser does for https."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._port = port
        self.token = token

    def get(self, path: str, **query: object) -> Answer:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            headers = {} if self.token is None else {"Cookie": f"a=b; {COOKIE}={self.token}"}
            connection.request("GET", f"{path}?{urlencode(query)}" if query else path, headers=headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        self._keep(answer.set_cookie)
        return answer

    def _keep(self, header: str | None) -> None:
        if header is None:
            return
        morsel = SimpleCookie(header)[COOKIE]
        self.token = None if morsel["max-age"] == "0" else morsel.value

    def twin(self) -> Browser:
        """Another tab: the same cookie, requests of its own."""
        return Browser(self._port, self.token)


def workers(browser: Browser) -> set[int]:
    """The processes that answer, as soon as both do."""
    pids: set[int] = set()

    def both() -> bool:
        pids.add(browser.twin().get("/read").json["pid"])
        return len(pids) > 1

    until(both, "one worker answers everything")
    return pids


class WriterGateHeld:
    """Somebody else writes and does not stop."""

    def __init__(self, home: Path) -> None:
        self._gate = WriterGate(home / WRITER)

    def __enter__(self) -> None:
        deadline = time.monotonic() + 10
        while not self._gate.enter():
            assert time.monotonic() < deadline

    def __exit__(self, *_: object) -> None:
        self._gate.leave()
        self._gate.close()
