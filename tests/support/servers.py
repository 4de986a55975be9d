"""gunicorn and uvicorn as processes that tests reload, restart and kill, on a port that outlives them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from coatcheck.system import process

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


class WebServer:
    """A web server with two workers. It listens on a socket of ours, so that while it restarts visitors wait."""

    def __init__(self, kind: str, app: str, log: Path, *options: str, **environ: str) -> None:
        """``kind``: ``gunicorn`` or ``uvicorn``; ``app``: what it serves; ``log``: for all that it prints."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        number = self._listener.fileno()
        bind = [f"--bind=fd://{number}", "--graceful-timeout=5"] if kind == "gunicorn" else [f"--fd={number}"]
        self._arguments = [sys.executable, "-m", kind, "--workers=2", *bind, *options, app]
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting: whoever connects early waits."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=ROOT,
                env=self._environ,
                pass_fds=[self._listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """The process that looks after the workers."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """The processes that answer."""
        return [pid for pid in process.children(self.pid) if process.alive(pid) and not _is_helper(pid)]

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    def reload(self) -> None:
        """Other workers, one after the other or all at once, as it does at SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def restart(self) -> None:
        """Another one in its place."""
        self.stop()
        self.start()

    def __enter__(self) -> WebServer:  # noqa: PYI034 - Self is in typing only since Python 3.11
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._listener.close()


def _is_helper(pid: int) -> bool:
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
