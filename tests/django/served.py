"""The probing project under gunicorn."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from tests.flask.gunicorn import COOKIE, Answer, Browser

ROOT = Path(__file__).parents[2]


@contextmanager
def served(
    home: Path,
    database: Path,
    *,
    lane: str = "direct",
    middleware: str = "ours",
    gate_timeout: float = 2.0,
    module: str = "tests.django.project.wsgi",
    folder: Path = ROOT,
    **environ: str,
) -> Iterator[int]:
    """The port of two workers with twelve threads each, on a database of their own; no traceback is in their log."""
    log = home.with_name(f"gunicorn-{os.urandom(4).hex()}.log")
    own = home.with_name(f"database-{os.urandom(4).hex()}.sqlite3")
    shutil.copy(database, own)
    # Listening begins here, so whoever connects early waits, and nobody has to ask whether it is up.
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, log.open("wb") as output:
        arguments = ["--workers=2", "--threads=12", f"--bind=fd://{listener.fileno()}", "--graceful-timeout=5"]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments, module],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.django.project.settings",
                "PROBE_HOME": str(home),
                "PROBE_LANE": lane,
                "PROBE_DATABASE": str(own),
                "PROBE_MIDDLEWARE": middleware,
                "PROBE_GATE_TIMEOUT": str(gate_timeout),
                "PYTHONPATH": str(ROOT),
                **environ,
            },
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
            cwd=folder,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    text = log.read_text()
    assert middleware == "stock" or "Traceback" not in text, text


class Visitor(Browser):
    """A browser that keeps the session's cookie, and lets others pass."""

    def _keep(self, header: str | None) -> None:
        if header is not None and header.startswith(f"{COOKIE}="):
            super()._keep(header)

    def get(self, path: str, **query: object) -> Answer:
        """One request over a connection of its own."""
        return self.fetch(path, query)

    def fetch(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        *,
        cookie: str | None = None,
        via: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request; ``cookie``: another header than its own; ``via``: a connection that stays open."""
        connection = via or http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        header = cookie if cookie is not None or self.token is None else f"a=b; {COOKIE}={self.token}"
        try:
            headers = {} if header is None else {"Cookie": header.encode("latin-1")}
            connection.request("GET", f"{path}?{urlencode(query)}" if query else path, headers=headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            if via is None:
                connection.close()
        self.receive(answer)
        return answer

    def receive(self, answer: Answer) -> None:
        """Do with the cookie what a response says."""
        self._keep(answer.set_cookie)

    def twin(self) -> Visitor:
        """Another tab: the same cookie, requests of its own."""
        return Visitor(self._port, self.token)
