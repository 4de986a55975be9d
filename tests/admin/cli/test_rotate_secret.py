"""``coatcheck rotate-secret``: nobody is signed out at any step."""

from __future__ import annotations

import time
from pathlib import Path

from coatcheck.admin import exits
from coatcheck.client import connect
from coatcheck.keyring import load_or_create
from coatcheck.lifetimes import Lifetimes
from tests.admin.cli.running import coatcheck
from tests.support.processes import Job


def roots(home: Path) -> list[str]:
    """The secrets in the file."""
    return [line for line in (home / "secret").read_text().splitlines() if not line.startswith("#")]


def test_with_everything_stopped(home: Path) -> None:
    """One step makes it the newest; the old one goes when no live session needs it."""
    with connect(home) as client:
        token, _ = client.create({"a": 1}, principal="ann", lifetimes=Lifetimes(idle=900, absolute=3600))
    old = roots(home)

    said = coatcheck(home, "rotate-secret", "--json").json
    assert said["step"] == "newest"
    assert roots(home)[1:] == old
    assert (home / "secret").stat().st_mode & 0o777 == 0o600
    assert not [each for each in roots(home) if each in str(said)]

    with connect(home) as client:
        assert client.load(token) is not None
        assert client.sessions_of("ann")
    early = coatcheck(home, "rotate-secret", "--drop-old")
    assert early.code == exits.UNAVAILABLE
    assert "1 live sessions may have tokens from before" in early.err
    assert "at the latest" in early.err
    assert "1 live sessions" in coatcheck(home, "rotate-secret").out
    assert len(roots(home)) == 2

    with connect(home) as client:
        rotated, _ = client.rotate(token)
        assert rotated is not None
    assert "the old secrets can go" in coatcheck(home, "rotate-secret").out
    assert coatcheck(home, "rotate-secret", "--drop-old", "--json").json["step"] == "dropped"
    assert len(roots(home)) == 1
    with connect(home) as client:
        assert client.load(rotated) is not None
        assert client.sessions_of("ann")
        assert client.check().clean
    kinds = coatcheck(home, "tail", "--no-follow").out
    assert kinds.count("secret_rotated") == 2


def test_with_workers_at_work(home: Path) -> None:
    """The new secret is used by nobody before all know it: a worker that was not restarted is named."""
    with connect(home) as client:
        token, _ = client.create({"a": 1}, principal="ann")
    with Job("hold_read", home, token) as worker:
        worker.expect("reading")
        old = roots(home)
        said = coatcheck(home, "rotate-secret", "--json").json
        assert (said["step"], said["waiting_for"]) == ("added", [worker.pid])
        assert roots(home)[0] == old[0]
        again = coatcheck(home, "rotate-secret")
        assert again.code == exits.UNAVAILABLE
        assert str(worker.pid) in again.err
        assert coatcheck(home, "rotate-secret", "--drop-old").code == exits.MISCONFIGURED
    # The start of a process is known to a second: who starts in the same one might be an old one.
    time.sleep(1.1)
    with Job("hold_read", home, token) as worker:
        worker.expect("reading")
        assert coatcheck(home, "rotate-secret", "--force", "--json").json["step"] == "newest"
        assert roots(home)[1:] == old
        keyring = load_or_create(home / "secret")
        assert len(keyring) == 2
        early = coatcheck(home, "rotate-secret", "--drop-old")
        assert early.code == exits.UNAVAILABLE
        assert str(worker.pid) in early.err


def test_secrets_of_the_environment_are_for_others(home: Path) -> None:
    """There is no file to change: it says what to do by hand."""
    with connect(home, secrets=["s" * 40]) as client:
        client.create({})

    said = coatcheck(home, "rotate-secret", COATCHECK_SECRET="s" * 40)
    assert said.code == exits.MISCONFIGURED
    assert "COATCHECK_SECRET" in said.err
    assert "s" * 40 not in said.err
