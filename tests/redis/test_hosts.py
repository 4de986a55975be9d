"""Two hosts on one Redis: each sees what the other did, whatever it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coatcheck.changes import Increment, Set
from coatcheck.clock import SECOND
from coatcheck.errors import ConfigurationError, SessionConflict, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.redis import RedisStore
from coatcheck.redis.calls import Call
from coatcheck.testing import FakeClock, together
from coatcheck.testing.contract_base import WRITING_VERBS
from tests.redis.conftest import MakeRedisStore, new_prefix

USER = "someone"


@pytest.fixture
def hosts(make_store: MakeRedisStore) -> tuple[RedisStore, RedisStore]:
    """Two stores under one prefix."""
    prefix = new_prefix()
    return make_store(prefix=prefix), make_store(prefix=prefix)


Hosts = tuple[RedisStore, RedisStore]


@pytest.fixture
def count_calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[RedisStore], list[Any]]:
    """Watch what a store asks."""

    def watch(store: RedisStore) -> list[Any]:
        asked: list[Any] = []
        answer = store.driver._answer

        def noted(request: Any) -> Any:
            asked.append(request)
            return answer(request)

        monkeypatch.setattr(store.driver, "_answer", noted)
        return asked

    return watch


def test_the_last_host_to_save_sees_both_changes(hosts: Hosts) -> None:
    """A save by a host that has seen an older state is made again of the present one."""
    one, other = hosts
    token, _ = one.create({"hits": 1})
    assert other.load(token) is not None
    one.save(token, [Increment("hits"), Set("one", 1)])

    record = other.save(token, [Increment("hits"), Set("other", 1)])

    assert record.data == {"hits": 3, "one": 1, "other": 1}
    assert other.counters["replayed"] == 1


def test_what_a_host_remembers_refuses_nothing(hosts: Hosts, clock: FakeClock) -> None:
    """A conflict, a refusal or a missing session is only told after Redis was asked."""
    one, other = hosts
    token, record = one.create({"n": "text"})
    assert other.load(token) is not None
    saved = one.save(token, [Set("n", 1)])

    assert other.save(token, [Increment("n")]).data == {"n": 2}
    with pytest.raises(SessionConflict):
        one.save(token, [Set("n", 5)], if_version=record.version)
    assert one.save(token, [Set("n", 5)], if_version=saved.version + 1).data == {"n": 5}


def test_gone_is_gone_on_every_host(hosts: Hosts) -> None:
    """A host that has just seen a session cannot bring it back after another has ended it."""
    one, other = hosts
    endings: dict[str, Callable[[str, str], object]] = {
        "delete": lambda token, _: one.delete(token),
        "revoke": lambda _, __: one.revoke(USER),
        "revoke_sid": lambda _, sid: one.revoke_sid(sid),
    }
    for end in endings.values():
        token, record = one.create({"a": 1}, principal=USER)
        assert other.load(token) is not None
        end(token, record.sid)

        for verb in WRITING_VERBS.values():
            with pytest.raises(SessionMissing):
                verb(other, token)
        assert other.load(token) is None
        assert other.check().problems == ()


def test_parallel_hosts_lose_nothing(make_store: MakeRedisStore) -> None:
    """Eight hosts that count on one session count all."""
    prefix = new_prefix()
    hosts = [make_store(prefix=prefix) for _ in range(8)]
    token, _ = hosts[0].create({})

    together(8, lambda number: [hosts[number].save(token, [Increment("hits")]) for _ in range(10)])

    record = hosts[0].load(token)
    assert record is not None
    assert record.data == {"hits": 80}


def test_a_mark_ends_what_no_index_has(hosts: Hosts, clock: FakeClock) -> None:
    """A session that was lost from the list of its principal is ended by a revocation all the same."""
    one, other = hosts
    token, record = one.create({"a": 1}, principal=USER)
    kept, _ = one.create({}, principal=USER)
    layout, verbs = one.verbs.layout, one.verbs
    for principal_hash in verbs.keyring.principal_hashes(USER):
        key = layout.principal(record.sid[0], principal_hash)
        one.driver.client.zrem(key, record.sid)
    clock.advance(1)

    one.revoke(USER, except_=kept)

    assert other.find(token).reason == "revoked"
    with pytest.raises(SessionMissing, match="revoked"):
        other.save(token, [Set("a", 2)])
    assert other.load(kept) is not None
    assert other.save(kept, [Set("a", 2)]).data == {"a": 2}
    assert one.delete(token) is False
    assert one.check().problems == ()


def test_a_login_after_a_revocation_lives_whatever_the_clocks(
    make_store: MakeRedisStore, clock: FakeClock, server_port: int
) -> None:
    """A host whose clock is behind that of the host that revoked still can sign its users in."""
    prefix = new_prefix()
    ahead = make_store(prefix=prefix)
    behind = make_store(prefix=prefix)
    behind.verbs._now = FakeClock(now=clock.now() - 5 * SECOND).now
    ahead.revoke(USER)

    token, _ = behind.create({}, principal=USER)

    assert behind.load(token) is not None
    assert ahead.load(token) is not None
    anonymous, _ = behind.create({})
    bound, _ = behind.login(anonymous, USER)
    assert ahead.load(bound) is not None
    assert ahead.save(bound, [Set("a", 1)]).data == {"a": 1}


def test_a_clock_ahead_hides_nothing(make_store: MakeRedisStore, clock: FakeClock) -> None:
    """A host in the future takes no living session out of the index of its principal."""
    prefix = new_prefix()
    here, future = make_store(prefix=prefix), make_store(prefix=prefix)
    future.verbs._now = FakeClock(now=clock.now() + 86_400 * SECOND).now
    token, record = here.create({}, principal=USER)

    for _ in range(20):
        future.create({}, principal=USER)

    assert record.sid in [each.sid for each in here.sessions_of(USER)]
    assert here.revoke(USER) == 21
    assert here.load(token) is None


def test_round_trips(store: RedisStore, count_calls: Callable[[RedisStore], list[Any]]) -> None:
    """Create, load, and what is written after a load: one call each."""
    store.stats()
    asked = count_calls(store)
    token, _ = store.create({"a": 1}, principal=USER)
    store.load(token)
    store.save(token, [Set("a", 2)])
    store.add_flash(token, FlashMessage.info("hi"))
    store.take_flashes(token)
    rotated, _ = store.rotate(token)
    assert rotated is not None
    bound, _ = store.login(rotated, USER)
    store.save(bound, [Increment("a")])
    assert store.delete(bound)

    assert [type(each) for each in asked] == [Call] * 9


def test_openers_must_agree(make_store: MakeRedisStore) -> None:
    """Another limit, another secret, or what only the server can decide, is refused with both values or the remedy."""
    prefix = new_prefix()
    make_store(prefix=prefix, max_flashes=7).create({})

    assert make_store(prefix=prefix).verbs.policy.max_flashes == 100
    same = make_store(prefix=prefix)
    same.create({})
    assert same.verbs.policy.max_flashes == 7
    with pytest.raises(ConfigurationError, match=r"max_flashes is 7 .* but 8"):
        make_store(prefix=prefix, max_flashes=8).create({})
    with pytest.raises(ConfigurationError, match="secret"):
        make_store(prefix=prefix, secrets=["another-secret-that-is-long-enough-0123456789"]).create({})
    with pytest.raises(ConfigurationError, match="durability"):
        make_store(prefix=prefix, durability="commit").create({})
    with pytest.raises(ConfigurationError, match="encrypt"):
        make_store(prefix=prefix, encryption_keys=["0" * 64]).create({})


def test_a_secret_can_be_rotated(make_store: MakeRedisStore) -> None:
    """With a new secret in front sessions and lists go on, and a rotation brings them under it."""
    prefix, old = new_prefix(), MakeSecrets.old
    token, record = make_store(prefix=prefix, secrets=[old]).create({"a": 1}, principal=USER)
    both = make_store(prefix=prefix, secrets=[MakeSecrets.new, old])

    assert both.load(token) is not None
    assert [each.sid for each in both.sessions_of(USER)] == [record.sid]
    rotated, _ = both.rotate(token)
    assert rotated is not None

    assert both.check().problems == ()
    new = make_store(prefix=prefix, secrets=[MakeSecrets.new])
    assert new.load(rotated) is not None
    assert new.revoke(USER) == 1


class MakeSecrets:
    """Two secrets."""

    old = "old-secret-of-the-tests-0123456789abcdef0123456789"
    new = "new-secret-of-the-tests-0123456789abcdef0123456789"
