"""``run_system.py demo``: the shop under gunicorn, on either lane, and nothing left afterwards."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coatcheck.system import process
from coatcheck.system.command import MISCONFIGURED
from tests.system.running import ROOT, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> set[int]:
    """The process and all that it has started."""
    found, fresh = set(), {pid}
    while fresh:
        found |= fresh
        fresh = {child for each in fresh for child in process.children(each)} - found
    return found


@contextmanager
def demo(cwd: Path, port: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The demo in a directory, and what it prints."""
    said = cwd / "said"
    with said.open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, str(ROOT / "run_system.py"), "demo", "--port", str(port), *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield running, said
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def page(port: int) -> str:
    """The first page of the shop."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        text: str = response.read().decode()
        return text


@pytest.mark.parametrize(("lane", "number"), [("direct", signal.SIGINT), ("actor", signal.SIGTERM)])
def test_the_shop_is_open_and_closes(tmp_path: Path, lane: str, number: signal.Signals) -> None:
    """Two workers serve it, each page says which and over which lane; after Ctrl-C nothing is left of it."""
    port = free_port()
    with demo(tmp_path, port, "--lane", lane) as (running, said):
        until(lambda: "The shop is open" in said.read_text() or running.poll() is not None, said.read_text())
        assert f"http://127.0.0.1:{port}/" in said.read_text()
        assert str(tmp_path / "demo-state") in said.read_text()
        family = descendants(running.pid)

        def workers() -> set[str]:
            pages = [page(port) for _ in range(10)]
            assert all(f"<b>{lane}</b> lane" in each for each in pages)
            seen.update(found.group(1) for each in pages if (found := re.search(r"worker <b>(\d+)</b>", each)))
            return seen if len(seen) == 2 else set()

        seen: set[str] = set()
        until(workers, f"not two workers: {seen}")
        running.send_signal(number)
        assert running.wait(30) == 0
    until(lambda: not any(process.alive(pid) for pid in family), "somebody is left")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_killed_it_takes_all_along(tmp_path: Path) -> None:
    """Not even ``kill -9`` leaves a shop without a shopkeeper."""
    port = free_port()
    with demo(tmp_path, port) as (running, said):
        until(lambda: "The shop is open" in said.read_text() or running.poll() is not None, said.read_text())
        family = descendants(running.pid)
        assert len(family) >= 8
        running.kill()
        running.wait()
        until(lambda: not any(process.alive(pid) for pid in family), "somebody is left")


@pytest.mark.parametrize(
    ("number", "part", "mark", "how"),
    [
        (signal.SIGKILL, "the actor system", b"run_system.py", "signal 9 (Killed)"),
        (signal.SIGTERM, "the shop", b"gunicorn", "exit code 0"),
    ],
)
def test_a_part_that_ends_is_named(tmp_path: Path, number: signal.Signals, part: str, mark: bytes, how: str) -> None:
    """The demo ends with it, and says which one it was and how it ended."""
    port = free_port()
    with demo(tmp_path, port) as (running, said):
        until(lambda: "The shop is open" in said.read_text() or running.poll() is not None, said.read_text())
        family = descendants(running.pid)
        ended = next(pid for pid in process.children(running.pid) if mark in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(ended, number)

        assert running.wait(30) == 1
        assert f"coatcheck: {part} (process {ended}) ended with {how}, so the demo ends" in said.read_text()
        until(lambda: not any(process.alive(pid) for pid in family), "somebody is left")


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    """And nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with demo(tmp_path, taken.getsockname()[1]) as (running, said):
            assert running.wait(30) == MISCONFIGURED
        assert "choose another with --port" in said.read_text()
        assert not (tmp_path / "demo-state").exists()


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
def test_a_port_that_cannot_be(tmp_path: Path, port: str) -> None:
    """A port out of range ends the demo with the range and the exit code of bad settings, not with a traceback."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / "run_system.py"), "demo", "--port", port],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == MISCONFIGURED
    assert f"port is {port}: use 1 to 65535" in ended.stderr
    assert "Traceback" not in ended.stderr
