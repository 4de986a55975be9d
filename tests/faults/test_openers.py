"""Openers that ask for what the store has not: other settings, other secrets, another PID namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.errors import CoatcheckError
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from tests.support.opening import open_it, refusal
from tests.support.processes import ROOT, Job

SECRET = "a-secret-of-the-operators-own-0123456789"
OTHER = "another-secret-of-the-operators-9876543210"


@pytest.mark.parametrize(
    ("name", "has", "asked"),
    [
        ("durability", "second", "commit"),
        ("map_size", 1 << 30, 2 << 30),
        ("max_session_bytes", 10_000, 20_000),
        ("max_flashes", 10, 20),
        ("max_sessions_per_principal", 3, 4),
        ("on_principal_limit", "refuse", "evict-oldest"),
    ],
)
def test_settings_that_differ_from_the_stores(home: Path, name: str, has: object, asked: object) -> None:
    """An opener that asks for another store-wide setting than the store has is told both values."""
    open_it(home, **{name: has})

    text = refusal(home, **{name: asked})

    assert name in text
    assert repr(has) in text
    assert repr(asked) in text
    assert str(home) in text
    open_it(home, **{name: has})
    open_it(home)


def test_two_openers_of_one_process_must_agree_too(home: Path) -> None:
    """The second store of a process is asked as the first one was."""
    first = LmdbStore(Settings(home=home, max_flashes=10), background=False)
    first.create({})

    assert "max_flashes" in refusal(home, max_flashes=20)

    assert first.stats().sessions == 1
    first.close()


def test_a_wrong_secret(home: Path) -> None:
    """With a secret that the store does not know every session would look forged: refused, and no secret is shown."""
    open_it(home, secrets=(SECRET,))

    text = refusal(home, secrets=(OTHER,))

    assert str(home) in text
    assert "COATCHECK_SECRET" in text
    assert OTHER not in text
    assert SECRET not in text


def test_a_new_secret_in_front(home: Path) -> None:
    """With a new secret in front of the known one old tokens work on, new ones are made under the new one."""
    old = LmdbStore(Settings(home=home, secrets=(SECRET,)), background=False)
    token, _ = old.create({"a": 1}, principal="ann")
    old.close()
    both = LmdbStore(Settings(home=home, secrets=(OTHER, SECRET)), background=False)

    assert both.load(token) is not None
    fresh, _ = both.create({"b": 2}, principal="ann")
    assert len(both.sessions_of("ann")) == 2
    bound, _ = both.login(token, "ann")
    assert both.check().problems == ()
    both.close()

    new = LmdbStore(Settings(home=home, secrets=(OTHER,)), background=False)
    for each in (fresh, bound):
        assert new.load(each) is not None
    assert new.find(token).reason == "forged"
    assert new.revoke("ann") == 2
    new.close()


@pytest.mark.parametrize("secret", ["short", ""])
def test_a_weak_secret(home: Path, secret: str) -> None:
    """A secret that can be guessed is refused, with the command that makes a good one."""
    text = refusal(home, secrets=(secret,))

    assert "secrets.token_urlsafe(32)" in text
    assert not list(home.glob("data.mdb"))


def test_a_lost_secret_is_not_replaced_in_silence(filled: Path) -> None:
    """Without its secret file a store is not given a new one: everybody would be logged out, and nobody know why."""
    (filled / "secret").unlink()

    assert "secret" in refusal(filled)


def test_another_pid_namespace(home: Path) -> None:
    """A process of another container is refused while the store is open here: it would take live readers for dead."""
    store = LmdbStore(Settings(home=home), background=False)
    store.create({})
    inside = ["unshare", "--fork", "--pid", "--mount-proc"]
    if os.geteuid() or subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make a PID namespace")

    command = [*inside, sys.executable, "-m", "tests.faults.jobs", "open_and_say", str(home), "{}"]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    kind, text = json.loads(answer.stdout)
    assert kind == "ConfigurationError"
    assert "namespace" in text
    assert str(home) in text
    assert store.stats().sessions == 1
    store.close()


def test_no_error_is_a_surprise(filled: Path) -> None:
    """Errors of opening are coatcheck's own in another process too, and leave nothing locked."""
    (filled / "secret").chmod(0o644)
    with Job("open_and_say", filled, "{}") as job:
        assert json.loads(job.line())[0] == "ConfigurationError"
    with pytest.raises(CoatcheckError):
        open_it(filled)

    (filled / "secret").chmod(0o600)

    open_it(filled)
