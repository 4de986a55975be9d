"""Redis and Valkey servers for tests: one alone, with a replica, or a Cluster; all on loopback, on disk only in tmp."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from benchmarks.servers import ServerMissing, free_port, redis_program, running

PATIENCE = 30.0
SLOTS = 16384
BUS_LIMIT = 65536 - 10_000
"""The nodes of a Cluster also listen 10,000 ports higher."""


def program() -> str:
    """The server program: skip without one, fail where ``CI`` is set. ``COATCHECK_TEST_REDIS`` names another one."""
    named = os.environ.get("COATCHECK_TEST_REDIS")
    if named:
        return named
    try:
        return redis_program()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@contextmanager
def server(directory: Path, *options: str) -> Iterator[int]:
    """One server that writes no snapshots; its port. It is stopped afterwards."""
    directory.mkdir(parents=True, exist_ok=True)
    port = next(port for port in iter(free_port, None) if port < BUS_LIMIT)
    arguments = [program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory), *options]
    with running(arguments, directory / "log") as process:
        until_it_answers(port, process, directory / "log")
        yield port


def until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a server that has just been started; one that wants a password answers too."""
    end = time.monotonic() + PATIENCE
    while True:
        with redis.Redis(port=port) as client:
            try:
                client.ping()
            except redis.AuthenticationError:
                return
            except redis.ConnectionError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"the server does not answer: {log.read_text()[-2000:]}")
                time.sleep(0.02)
            else:
                return


@contextmanager
def cluster(directory: Path, masters: int = 3) -> Iterator[list[int]]:
    """A Cluster of that many masters, each with its share of the slots; their ports."""
    with ExitStack() as running_ones:
        ports = [
            running_ones.enter_context(
                server(directory / str(number), "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            )
            for number in range(masters)
        ]
        clients = [running_ones.enter_context(redis.Redis(port=port)) for port in ports]
        for number, client in enumerate(clients):
            first, last = SLOTS * number // masters, SLOTS * (number + 1) // masters - 1
            client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last + 1))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port in ports[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        until(lambda: all(_agrees(client, masters) for client in clients))
        yield ports


def _agrees(client: redis.Redis, masters: int) -> bool:
    said: Any = client.cluster("info")
    return bool(said["cluster_state"] == "ok" and said["cluster_known_nodes"] == str(masters))


def has_last(replica: redis.Redis) -> bool:
    """Whether a replica has what was written last, under the key ``written``."""
    try:
        return replica.get("written") == b"last"
    except redis.ConnectionError:
        return False


def until(true: Callable[[], object], patience: float = 60.0) -> None:
    """Wait until it is."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
