"""The actor RedisPersistence in a running system: started, seen, restarted; and what is refused before it begins."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.system.command import MISCONFIGURED, main
from tests.support import redis_servers
from tests.system.running import RunningSystem, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the actor system is for Linux")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for this module; it keeps nothing on disk."""
    with redis_servers.server(tmp_path_factory.mktemp("redis")) as port:
        yield f"redis://127.0.0.1:{port}"


def told(home: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What ``status --json`` says of the RedisPersistence."""
    main(["status", "--home", str(home), "--json", "--timeout", "20"])
    actors = json.loads(capsys.readouterr().out)["actors"]
    found: dict[str, Any] = next((each for each in actors if each["actor"] == "RedisPersistence"), {})
    return found


def test_it_is_started_seen_and_restarted(tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A child of the supervisor, with its findings in the status; killed, another takes its place."""
    home = tmp_path / "state"
    with RunningSystem(home, "--redis", "standby", "--redis-url", redis_url) as system:
        first = until(lambda: (found := told(home, capsys)).get("details", {}).get("steps") and found, system.log)
        assert first["state"] == "alive"
        assert first["details"]["mode"] == "standby"
        assert [each["code"] for each in first["details"]["findings"]] == ["persistence"]
        os.kill(first["pid"], signal.SIGKILL)

        def again() -> bool:
            found = told(home, capsys)
            return bool(found["state"] == "alive" and found["pid"] != first["pid"] and found["restarts"] == 1)

        until(again, system.log)
        main(["status", "--home", str(home), "--timeout", "20"])
        assert "redis standby" in capsys.readouterr().out
        assert "it keeps nothing on disk" in system.log
    assert "RedisPersistence" not in "".join(each for each in system.log.splitlines() if "failed" in each)


def test_the_mode_is_the_stores(tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Settled by the first; who leaves it out gets it, who wants another is told both, and how to change it."""
    home = tmp_path / "state"
    LmdbStore(Settings(home=home, redis="standby")).prepare()

    assert main(["serve", "--home", str(home), "--redis", "shared", "--redis-url", redis_url]) == MISCONFIGURED
    said = capsys.readouterr().err
    assert "redis is 'standby'" in said
    assert "'shared' was asked for" in said
    assert "change" in said
    assert main(["serve", "--home", str(home)]) == MISCONFIGURED
    assert "nothing says where Redis is" in capsys.readouterr().err
    assert main(["change", "--home", str(home), "redis=none"]) == 0
    assert "redis=none" in capsys.readouterr().out


def test_a_url_needs_a_mode(tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What Redis is for is not guessed."""
    assert main(["serve", "--home", str(tmp_path / "state"), "--redis-url", redis_url]) == MISCONFIGURED

    assert "say what Redis is for" in capsys.readouterr().err


def test_a_url_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said at once, and not with the password that may be in it."""
    arguments = [
        "serve",
        "--home",
        str(tmp_path / "state"),
        "--redis",
        "standby",
        "--redis-url",
        "rediz://:top-secret@h",
    ]
    assert main(arguments) == MISCONFIGURED

    said = capsys.readouterr().err
    assert "no URL of Redis" in said
    assert "top-secret" not in said
