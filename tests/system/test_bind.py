"""Another address than 127.0.0.1: for clients in other network namespaces of the machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.system import join
from coatcheck.system.command import MISCONFIGURED
from coatcheck.system.files import Whereabouts
from tests.support.processes import ROOT
from tests.system.running import RunningSystem
from tests.system.test_attacks import listening_ports

PROGRAM = """
import sys
import coatcheck
from coatcheck.errors import ConfigurationError
home, other, *binds = sys.argv[1:]
with coatcheck.connect(home, lane="actor", bind=binds[0]) as client:
    token, _ = client.create({"a": 1})
    print(dict(client.load(token).data))
    try:
        coatcheck.connect(other, lane="actor", bind="127.0.0.9").create({})
    except ConfigurationError as error:
        print(error)
"""


@pytest.fixture
def address() -> str:
    """An address of this host that is not a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this host has no network")
        return str(probe.getsockname()[0])


def program(*arguments: object) -> str:
    """What the program prints; in a process of its own, as each process has one address."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_it_listens_there_and_nowhere_else(home: Path, address: str, tmp_path: Path) -> None:
    """No process of the system listens elsewhere; clients at either address are answered; the log names the risk."""
    with RunningSystem(home, "--bind", address) as running, RunningSystem(tmp_path / "other") as other:
        found = listening_ports(running.family())
        assert {each.rsplit(":", 1)[0] for addresses in found.values() for each in addresses} == {address}
        assert f"listening on {address}:" in running.log
        assert "sealed but not encrypted" in running.log
        assert "sealed but not encrypted" not in other.log
        assert program(home, other.home, address).splitlines() == [
            "{'a': 1}",
            f"this process listens on {address} already, so bind cannot be '127.0.0.9': use one for both",
        ]
        assert program(home, other.home, "127.0.0.1").splitlines()[0] == "{'a': 1}"


def test_it_starts_again_there(home: Path, address: str) -> None:
    """The environment says it too, and after a restart of the admin it is still so."""
    with RunningSystem(home, COATCHECK_BIND=address) as running:
        os.kill(running.admin(), 9)
        with coatcheck.connect(home, lane="actor", ask_timeout=30.0) as client:
            client.create({})

        found = listening_ports(running.family())
        assert {each.rsplit(":", 1)[0] for addresses in found.values() for each in addresses} == {address}


def test_an_address_of_somebody_else(home: Path) -> None:
    """It is said at once, with the setting's name."""
    running = RunningSystem(home, "--bind", "192.0.2.77").start()

    assert running.process.wait(30) == MISCONFIGURED
    assert "bind is '192.0.2.77', which is no address of this host" in running.log


@pytest.mark.parametrize("bind", ["0.0.0.0", "::1", "localhost", "", 5, "224.0.0.1"])
def test_what_cannot_be(bind: object) -> None:
    """Everywhere is no address that an answer could be sent to."""
    with pytest.raises(ConfigurationError, match="use one IPv4 address of this host"):
        Settings(bind=bind)  # type: ignore[arg-type]


def whereabouts(home: Path, **changed: str) -> None:
    """A system that listens at an address which is not of this host."""
    home.mkdir(mode=0o700)
    values: dict[str, Any] = {"host": "192.0.2.77", "boot": "", **changed}
    Whereabouts(port=1, epoch=b"e" * 16, pid=1, started_at=0, **values).write(home)


def test_another_machine(home: Path) -> None:
    """The clock by which requests end is that of one machine."""
    whereabouts(home, boot="another boot")

    with pytest.raises(ConfigurationError, match="runs on another machine"):
        join(home, timeout=0.5, secrets=("s" * 40,))


def test_it_could_not_answer(home: Path) -> None:
    """A client on loopback is not reached from another namespace, and is told what to set."""
    whereabouts(home)

    with pytest.raises(ConfigurationError, match="set COATCHECK_BIND to the address at which it reaches this process"):
        join(home, timeout=0.5, secrets=("s" * 40,))


def test_a_dead_system_elsewhere_is_an_outage(home: Path, address: str) -> None:
    """Its process cannot be looked up from another container; nobody answers, within the time given."""
    whereabouts(home, host=address)

    with pytest.raises(StoreUnavailable, match="does not answer"):
        join(home, timeout=0.5, secrets=("s" * 40,))
