"""SessionClient: the verbs of the store under the same signatures, made before anything is opened."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import coatcheck
from coatcheck import ConfigurationError, FlashMessage, Set
from coatcheck.client import SessionClient, connect
from coatcheck.store.contract import SessionStore
from coatcheck.testing import together

VERBS = [name for name, _ in inspect.getmembers(SessionStore, inspect.isfunction) if not name.startswith("_")]


def test_connect_opens_nothing(home: Path) -> None:
    """The state directory appears with the first verb."""
    with connect(home) as client:
        assert not home.exists()
        token, _ = client.create({"a": 1})
        assert home.is_dir()
    with coatcheck.connect(home) as again:
        assert again.open(token) == {"a": 1}


def test_connect_takes_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From arguments, then from the environment; unknown ones are refused by name."""
    monkeypatch.setenv("COATCHECK_HOME", str(home))
    monkeypatch.setenv("COATCHECK_LANE", "actor")

    assert connect().settings.home == home
    assert connect().settings.lane == "actor"
    assert connect(lane="direct", max_flashes=3).settings.max_flashes == 3
    with pytest.raises(ConfigurationError, match="max_flushes"):
        connect(max_flushes=3)
    with pytest.raises(ConfigurationError, match="'fast'"):
        connect(lane="fast")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_contract_has_its_signature_and_its_twin(verb: str) -> None:
    """Whoever knows the contract knows the client."""
    expected = inspect.signature(getattr(SessionStore, verb))
    ours = getattr(SessionClient, verb)
    twin = getattr(SessionClient, {"sync": "async_"}.get(verb, f"a{verb}"))

    assert inspect.signature(ours) == expected
    assert inspect.signature(twin) == expected
    assert inspect.iscoroutinefunction(twin) or (verb == "scan" and inspect.isasyncgenfunction(twin))
    assert ours.__doc__
    assert twin.__doc__
    assert twin.__name__ != verb


def test_the_verbs_do_what_they_say(home: Path, tmp_path: Path) -> None:
    """Each is passed on with all that it was given."""
    with connect(home) as client:
        token, record = client.create({"a": 1}, principal="u", meta={"label": "x"}, flashes=[FlashMessage.info("hi")])
        assert client.load(token, touch=False) is not None
        assert client.find(token).record is not None
        assert client.save(token, [Set("b", 2)], if_version=1).version == 2
        assert client.touch(token).sid == record.sid
        client.add_flash(token, FlashMessage.info("there"))
        take_id, flashes = client.take_flashes(token)
        assert [flash.message for flash in flashes] == ["hi", "there"]
        assert client.restore_flashes(token, take_id) == 2
        rotated, _ = client.rotate(token, grace=10, changes=[Set("c", 3)])
        assert rotated is not None
        token, record = client.login(rotated, "v", meta={"label": "y"})
        assert [info.sid for info in client.scan()] == [info.sid for info in client.sessions_of("v")] == [record.sid]
        other, _ = client.create({}, principal="v")
        assert client.revoke("v", except_=token) == 1
        assert not client.find(other)
        assert client.sweep().removed == 0
        assert client.stats().sessions == 1
        assert client.check().clean
        client.sync()
        client.backup(tmp_path / "copy")
        client.compact()
        assert client.delete(token)
        assert not client.revoke_sid(record.sid)
    with connect(tmp_path / "copy") as copy:
        assert copy.find(token)


def test_the_direct_lane_knows_nothing_of_actors(home: Path) -> None:
    """The actor lane and Thespian are imported when they are asked for."""
    program = (
        "import sys, coatcheck\n"
        f"client = coatcheck.connect({str(home)!r})\n"
        "client.open(client.create({'a': 1})[0])\n"
        "print([name for name in sys.modules if 'thespian' in name or 'actor_lane' in name or 'flask' in name])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.strip() == "[]"


def test_refused_tokens_are_counted_by_peer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store tells the audit who presents tokens that were never issued, or are no longer good."""
    with connect(home) as client:
        retired, _ = client.create({})
        client.rotate(retired)
        refused: list[tuple[str, str | None]] = []
        monkeypatch.setattr(client.store, "note_refused", lambda reason, peer: refused.append((reason, peer)))
        client.open("rubbish", peer="203.0.113.9")
        client.open(retired)
        client.open(client.create({})[0], peer="203.0.113.9")

        assert refused == [("forged", "203.0.113.9"), ("retired", None)]


def test_a_client_made_before_a_fork_serves_both_sides(home: Path) -> None:
    """Opened before the fork even: parent and child go on with the same object."""
    with connect(home) as client:
        token, _ = client.create({"n": 0})
        readable, writable = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                session = client.open(token)
                session.increment("n")
                session.commit()
                os.write(writable, b"saved")
            finally:
                os._exit(0)
        session = client.open(token)
        session.increment("n")
        session.commit()
        os.waitpid(pid, 0)
        assert os.read(readable, 10) == b"saved"
        os.close(readable)
        os.close(writable)

        assert client.open(token) == {"n": 2}


def test_a_client_is_shared_between_threads(home: Path) -> None:
    """20 threads, one client, one session: nothing is lost."""
    with connect(home) as client:
        token, _ = client.create({})

        def work(number: int) -> None:
            for _ in range(10):
                session = client.open(token)
                session[f"key {number}"] = number
                session.increment("n")
                session.commit()

        together(20, work)

        found = client.open(token)
        assert found.pop("n") == 200
        assert found == {f"key {number}": number for number in range(20)}
