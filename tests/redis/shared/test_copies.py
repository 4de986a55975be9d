"""What a host answers by itself, and when it asks Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.errors import SessionMissing
from coatcheck.testing import FakeClock
from coatcheck.testing.contract_base import WRITING_VERBS
from tests.redis.shared.conftest import Host, MakeHost

Hosts = tuple[Host, Host]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Host], list[Any]]:
    """Watch what a host asks Redis."""

    def watch(host: Host) -> list[Any]:
        requests: list[Any] = []
        answer = host.store.shared.driver._answer

        def noted(request: Any) -> Any:
            requests.append(request)
            return answer(request)

        monkeypatch.setattr(host.store.shared.driver, "_answer", noted)
        return requests

    return watch


def test_a_load_asks_nobody(hosts: Hosts, asked: Callable[[Host], list[Any]]) -> None:
    """What was written here, or read here once, is answered from memory."""
    one, other = hosts
    token, record = one.store.create({"a": [1], "b": "x" * 5000}, principal="user")
    requests = asked(one)
    loaded = one.store.load(token)
    assert loaded is not None
    assert (loaded.data, loaded.sid, loaded.principal) == ({"a": [1], "b": "x" * 5000}, record.sid, "user")
    assert requests == []

    requests = asked(other)
    assert other.store.load(token) is not None
    assert len(requests) == 1
    loaded = other.store.load(token)
    assert loaded is not None
    assert loaded.data == {"a": [1], "b": "x" * 5000}
    assert len(requests) == 1


def test_what_another_host_changed_is_heard(hosts: Hosts, asked: Callable[[Host], list[Any]]) -> None:
    """After hearing of it a host has what another has written, and asks nobody."""
    one, other = hosts
    token, _ = one.store.create({"n": 1})
    assert other.store.load(token) is not None
    one.store.save(token, [Increment("n")])
    other.hear()
    requests = asked(other)

    loaded = other.store.load(token)

    assert loaded is not None
    assert loaded.data == {"n": 2}
    assert requests == []


def test_a_fresh_load_is_not_a_second_old(hosts: Hosts) -> None:
    """What another host has written a moment ago is there, if asked for, and stays."""
    one, other = hosts
    token, _ = one.store.create({"n": 1})
    assert other.store.load(token) is not None
    one.store.save(token, [Set("n", 2)])

    loaded = other.store.load(token, fresh=True)
    assert loaded is not None
    assert loaded.data == {"n": 2}
    loaded = other.store.load(token)
    assert loaded is not None
    assert loaded.data == {"n": 2}


@pytest.mark.parametrize("end", ["delete", "revoke", "revoke_sid"])
def test_gone_is_gone_on_every_host(hosts: Hosts, end: str) -> None:
    """No verb on any host brings back what another has ended, whether it has heard of it or not."""
    one, other = hosts
    token, record = one.store.create({"a": 1}, principal="user")
    assert other.store.load(token) is not None
    ends: dict[str, Callable[[], object]] = {
        "delete": lambda: one.store.delete(token),
        "revoke": lambda: one.store.revoke("user"),
        "revoke_sid": lambda: one.store.revoke_sid(record.sid),
    }
    ends[end]()

    for verb in WRITING_VERBS.values():
        with pytest.raises(SessionMissing):
            verb(other.store, token)
    other.hear()
    assert other.store.load(token) is None
    assert other.store.find(token).reason == ("deleted" if end == "delete" else "revoked")
    assert other.store.check().problems == ()
    assert one.store.check().problems == ()


def test_a_save_after_a_load_is_one_round_trip(hosts: Hosts, asked: Callable[[Host], list[Any]]) -> None:
    """A change is made of the copy."""
    one, other = hosts
    token, _ = one.store.create({"n": 1})
    assert other.store.load(token) is not None
    other.store.verbs.guesses.clear()
    requests = asked(other)

    assert other.store.save(token, [Increment("n")]).data == {"n": 2}

    assert len(requests) == 1
    assert other.store.check().problems == ()


def test_what_was_read_before_an_event_overwrites_nothing(hosts: Hosts) -> None:
    """A slow reader does not put an old copy over what was heard meanwhile."""
    one, other = hosts
    token, _ = one.store.create({"n": 1})
    assert other.store.load(token) is not None
    epochs = other.store.local.epochs()
    said: list[Any] = []
    other.store.shared.driver.run(other.store.verbs.found(token), said.append)
    one.store.save(token, [Set("n", 2)])
    other.hear()
    other.store.local.keep(said, epochs)
    loaded = other.store.load(token)
    assert loaded is not None
    assert loaded.data == {"n": 2}

    said.clear()
    other.store.shared.driver.run(other.store.verbs.found(token), said.append)
    one.store.delete(token)
    other.hear()
    other.store.local.keep(said, epochs)
    assert other.store.load(token) is None
    assert other.store.counters["overtaken"] == 2


def test_without_a_follower_redis_is_asked(make_host: MakeHost, asked: Callable[[Host], list[Any]]) -> None:
    """A host that hears nothing trusts none of its copies."""
    one, deaf = make_host(), make_host()
    token, _ = one.store.create({"n": 1})
    assert deaf.store.load(token) is not None
    one.store.save(token, [Set("n", 2)])

    loaded = deaf.store.load(token)

    assert loaded is not None
    assert loaded.data == {"n": 2}


def test_unknown_tokens_are_asked_for_once_a_second(
    hosts: Hosts, asked: Callable[[Host], list[Any]], clock: FakeClock
) -> None:
    """A genuine token without a session costs one round trip a second, until something is heard of a new one."""
    one, other = hosts
    token = one.store.mint()
    requests = asked(one)
    assert [one.store.load(token) for _ in range(10)] == [None] * 10
    assert len(requests) == 1
    clock.advance(1)
    assert one.store.load(token) is None
    assert len(requests) == 2

    other.store.create({"a": 1}, token=token)
    one.hear()
    assert one.store.load(token) is not None
