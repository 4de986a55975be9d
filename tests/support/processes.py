"""Processes that a test starts, talks to line by line, stops and kills."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds after which a test gives up on a process."""


class Job:
    """``python -m tests.faults.jobs NAME ARGUMENTS...``: a process with a pipe each way, killed at the end."""

    def __init__(self, name: str, *arguments: object, module: str = "tests.faults.jobs") -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, name, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors = ""
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._read_errors)]
        for each in self._threads:
            each.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # The last line of a killed process may be cut short: then it was not confirmed.
            if line.endswith("\n"):
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors = self._process.stderr.read()

    def say(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self, timeout: float = PATIENCE) -> str:
        """The next line it prints; AssertionError with what it said last when there is none in time."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            msg = f"{self._name} said nothing for {timeout} s"
            raise AssertionError(msg) from None
        if line is None:
            self._wait(PATIENCE)
            msg = f"{self._name} ended with {self._process.returncode}: {self._errors}"
            raise AssertionError(msg)
        return line

    def rest(self) -> list[str]:
        """All whole lines until it ends."""
        lines = []
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            lines.append(line)
        return lines

    def expect(self, line: str) -> None:
        """The next line is this one."""
        assert self.line() == line

    def finish(self) -> list[str]:
        """What it prints until it has ended, which it must do by itself and well."""
        lines = self.rest()
        self._wait(PATIENCE)
        assert self._process.returncode == 0, f"{self._name} ended with {self._process.returncode}: {self._errors}"
        return lines

    def kill(self) -> list[str]:
        """SIGKILL, now; the whole lines that it had printed."""
        self._process.kill()
        self._wait(PATIENCE)
        assert self._process.returncode == -signal.SIGKILL, f"{self._name}: {self._errors}"
        return self.rest()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """SIGSTOP, and wait until the kernel says that it stands still."""
        self.signal(signal.SIGSTOP)
        await_that(lambda: self.state() == "T", "the process stands still")

    def state(self) -> str:
        """One letter, as in /proc."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def _wait(self, timeout: float) -> None:
        self._process.wait(timeout)
        for each in self._threads:
            each.join(timeout)

    def __enter__(self) -> Job:  # noqa: PYI034 - Self is in typing only since Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            self._process.kill()
        self._wait(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was said last was never read
                    pipe.close()


def await_that(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    """Look until the condition holds, where there is no event to wait for."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain until {what}"
        time.sleep(0.005)
