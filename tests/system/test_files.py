"""What the actor system keeps in the state directory."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.system.files import SYSTEM, SystemRuns, Whereabouts, forget_whereabouts, keyring_of, lock_system

WHERE = Whereabouts(port=4711, epoch=b"e" * 16, pid=12, started_at=34)


def test_whereabouts_are_for_this_user_only(home: Path) -> None:
    """What is written is read again; the file has mode 0600."""
    home.mkdir(mode=0o700)
    WHERE.write(home)

    assert Whereabouts.read(home) == WHERE
    assert stat.S_IMODE((home / SYSTEM).stat().st_mode) == 0o600

    forget_whereabouts(home)
    forget_whereabouts(home)
    with pytest.raises(StoreUnavailable, match=f"no actor system runs on {home}: start one with"):
        Whereabouts.read(home)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "{", '{"port": 1, "epoch": "zz", "pid": 1, "started_at": 1}', "\xff"]
    + [
        json.dumps({"port": port, "epoch": epoch, "pid": 1, "started_at": 1})
        for port, epoch in [(0, "00" * 16), (1, "00")]
    ],
)
def test_a_broken_file_is_an_outage_that_says_what_to_do(home: Path, text: str) -> None:
    """Whatever stands in the file, the answer is StoreUnavailable with the file's name and a remedy."""
    home.mkdir(mode=0o700)
    (home / SYSTEM).write_bytes(text.encode("latin-1"))

    with pytest.raises(StoreUnavailable, match=r"system\.json .*start one with"):
        Whereabouts.read(home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_another_user_is_named(home: Path) -> None:
    """Who may not read it is told to join as the right user."""
    home.mkdir(mode=0o700)
    WHERE.write(home)
    (home / SYSTEM).chmod(0)

    with pytest.raises(ConfigurationError, match="join as the user"):
        Whereabouts.read(home)


def test_one_system_a_directory(home: Path) -> None:
    """The second one to lock is told which process holds it; when that is gone, it is free."""
    descriptor = lock_system(home)
    with pytest.raises(SystemRuns, match=f"runs an actor system on {home} already"):
        lock_system(home)

    os.close(descriptor)
    os.close(lock_system(home))


def test_the_secret_is_that_of_the_store(home: Path) -> None:
    """Given secrets count; otherwise the file in the state directory."""
    home.mkdir(mode=0o700)
    given = Settings(home=home, secrets=["a" * 40, b"b" * 40])

    assert len(keyring_of(given)) == 2
    with pytest.raises(ConfigurationError, match="has its secrets from COATCHECK_SECRET: set it here, too"):
        keyring_of(Settings(home=home))
    assert not (home / "secret").exists()
    LmdbStore(Settings(home=home), background=False).prepare()
    made = keyring_of(Settings(home=home))
    assert made.derive("wire") == keyring_of(Settings(home=home)).derive("wire") != keyring_of(given).derive("wire")
