"""``run_system.py`` as a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from coatcheck.system import process

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds after which a test gives up."""


def until(what: Callable[[], Any], why: str, patience: float = PATIENCE) -> Any:
    """Ask again and again until the answer is true; AssertionError with ``why`` when it never is."""
    deadline = time.monotonic() + patience
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, why
        time.sleep(0.01)


class RunningSystem:
    """The actor system of a state directory, in the foreground of its own process; ready when the block begins."""

    def __init__(
        self, home: Path, *arguments: str, cwd: Path | None = None, log: Path | None = None, **environ: str
    ) -> None:
        """``log``: the file for what it prints and logs, instead of one beside ``home``."""
        self.home = home
        self._arguments = [sys.executable, str(ROOT / "run_system.py"), "--home", str(home), *arguments]
        self._environ = {**os.environ, **environ}
        self._cwd = cwd
        self._log = log or home.with_name(f"{home.name}-{id(self)}.log")

    def start(self) -> RunningSystem:
        """Start it, without waiting."""
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ, cwd=self._cwd
            )
        return self

    def ready(self) -> None:
        """Wait until it says where it is."""

        def there() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log}"
            return " runs on " in self.log

        until(there, f"it does not get ready: {self.log}")

    @property
    def log(self) -> str:
        """All that it has printed and logged."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process of the runner."""
        return self.process.pid

    @property
    def whereabouts(self) -> dict[str, Any]:
        """What stands in its file."""
        values: dict[str, Any] = json.loads((self.home / "system.json").read_text())
        return values

    def family(self) -> set[int]:
        """All processes of the system, the runner included."""
        found, fresh = set(), {self.pid}
        while fresh:
            found |= fresh
            fresh = {child for pid in fresh for child in process.children(pid)} - found
        return found

    def admin(self) -> int:
        """The process of Thespian's admin: the leader of the actors, child of the runner."""
        return next(pid for pid in process.children(self.pid) if os.getsid(pid) != os.getsid(self.pid))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> RunningSystem:  # noqa: PYI034 - typing has Self from Python 3.11 on
        self.start()
        try:
            self.ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                sys.stdout.write(self.log)
        finally:
            self._end()

    def _end(self) -> None:
        family = self.family()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
            raise


def port_of(address: Any) -> int:
    """The port of an actor address."""
    from coatcheck.system.wire import text_of

    return int(text_of(address).rsplit(":", 1)[1])


def lines(text: str, part: str) -> Iterator[str]:
    """The lines that contain a part."""
    return (line for line in text.splitlines() if part in line)
