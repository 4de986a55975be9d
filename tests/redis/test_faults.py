"""A Redis that forgets, is full, is down, is a replica or is in somebody else's hands: each has its own error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from benchmarks.servers import free_port
from coatcheck.changes import Set, Unset
from coatcheck.errors import ConfigurationError, CorruptRecord, RequestTimeout, StoreFull, StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.redis import AsyncRedisStore, RedisStore
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from coatcheck.tokens import Tokens
from tests.redis.conftest import MakeRedisStore, new_prefix
from tests.support import redis_servers

USER = "someone"


def opened(port: int, tmp_path: Path, clock: FakeClock, *, user: str = "", **options: Any) -> RedisStore:
    """A store on a server of its own."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    return RedisStore(settings, f"redis://{user}127.0.0.1:{port}", clock=clock, **options)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[redis.Redis]:
    """A server that a test may ill-treat."""
    with redis_servers.server(tmp_path / "own") as port, redis.Redis(port=port) as client:
        yield client


def port_of(client: redis.Redis) -> int:
    """Where it is."""
    port: int = client.connection_pool.connection_kwargs["port"]
    return port


def test_scripts_that_were_forgotten_are_loaded_again(store: RedisStore, raw: redis.Redis) -> None:
    """A server that was told to forget its scripts costs one more trip."""
    tokens = [store.create({"n": number}, principal=USER)[0] for number in range(3)]
    raw.script_flush()
    assert store.load(tokens[0]) is not None
    raw.script_flush()
    store.save(tokens[0], [Set("a", 1)])
    raw.script_flush()

    assert len(store.sessions_of(USER)) == 3
    raw.script_flush()
    assert store.revoke(USER) == 3


def test_a_server_that_is_down_is_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    """Every verb says so; none says that a session is missing."""
    with opened(free_port(), tmp_path, clock) as store:
        token = Tokens(store.verbs.keyring).mint()
        for verb in (
            lambda: store.create({}),
            lambda: store.load(token),
            lambda: store.save(token, [Set("a", 1)]),
            lambda: store.delete(token),
            lambda: store.sessions_of(USER),
            lambda: store.revoke(USER),
            store.sweep,
            store.stats,
            store.check,
        ):
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                verb()
        with pytest.raises(StoreUnavailable):
            next(store.scan())


def test_a_cluster_that_is_down_is_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    """It is not even asked for its nodes before the first verb."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    store = RedisStore(settings, f"redis+cluster://127.0.0.1:{free_port()}", clock=clock)

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.create({})


def test_a_server_that_comes_back(tmp_path: Path, clock: FakeClock) -> None:
    """After a restart the same store goes on; what the server has lost is unknown, and can be made anew."""
    directory = tmp_path / "mortal"
    with ExitStack() as running:
        port = running.enter_context(redis_servers.server(directory, "--appendonly", "yes"))
        store = running.enter_context(opened(port, tmp_path, clock))
        token, _ = store.create({"a": 1})
        with redis.Redis(port=port) as client:
            client.client_kill_filter(skipme=True, _type="normal")
        record = store.load(token)
        assert record is not None
        assert record.data == {"a": 1}
        with redis.Redis(port=port) as client:
            client.flushall()
        assert store.find(token).reason == "unknown"
        assert store.load(store.create({"b": 2})[0]) is not None


def test_a_full_server_lets_people_log_out(own: redis.Redis, tmp_path: Path, clock: FakeClock) -> None:
    """At its maxmemory nothing may grow, but sessions load, shrink, rotate, end and are revoked."""
    with opened(port_of(own), tmp_path, clock) as store:
        token, _ = store.create({"blob": b"x" * 20_000, "small": 1}, principal=USER)
        other, _ = store.create({"blob": b"x" * 20_000}, flashes=[FlashMessage.info("hi")])
        third, _ = store.create({}, principal=USER)
        own.config_set("maxmemory", 1)
        own.config_set("maxmemory-policy", "noeviction")

        with pytest.raises(StoreFull, match="maxmemory"):
            store.create({"blob": b"x" * 20_000})
        with pytest.raises(StoreFull):
            store.save(token, [Unset("small"), Set("more", "y" * 1000)])
        with pytest.raises(StoreFull):
            store.add_flash(token, FlashMessage.info("hi"))
        clock.advance(100)
        loaded = store.load(token)
        assert loaded is not None
        assert loaded.last_seen_at == clock.now()
        assert list(store.save(token, [Unset("blob")]).data) == ["small"]
        assert store.take_flashes(other)[1] == [FlashMessage.info("hi")]
        rotated, _ = store.rotate(token)
        assert rotated is not None
        assert store.delete(other) is True
        assert store.revoke(USER) == 2

        assert [store.find(each).reason for each in (token, rotated, other, third)] == [
            "retired", "revoked", "deleted", "revoked",
        ]  # fmt: skip
        own.config_set("maxmemory", 0)
        assert store.check().problems == ()


def test_a_server_that_evicts_is_warned_of(
    own: redis.Redis, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One that throws live sessions away when it is full: said once, at the first verb."""
    own.config_set("maxmemory-policy", "allkeys-lru")
    with opened(port_of(own), tmp_path, clock) as store:
        store.create({})
        store.create({})

    assert [each.getMessage().split(":")[0] for each in caplog.records] == ["maxmemory-policy of Redis is allkeys-lru"]


def test_a_replica_reads_and_does_not_write(own: redis.Redis, tmp_path: Path, clock: FakeClock) -> None:
    """On a replica a session loads, also when a touch is due; whatever writes is unavailable."""
    master = port_of(own)
    with opened(master, tmp_path, clock) as store:
        token, _ = store.create({"a": 1})
    with redis_servers.server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {master}") as port:
        own.set("written", "last")
        with redis.Redis(port=port) as there:
            redis_servers.until(lambda: redis_servers.has_last(there))
        with opened(port, tmp_path, clock) as replica:
            clock.advance(300)
            record = replica.load(token)
            assert record is not None
            assert record.data == {"a": 1}
            for verb in (lambda: replica.save(token, [Set("a", 2)]), lambda: replica.delete(token)):
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    verb()


def test_a_silent_server_is_a_timeout(own: redis.Redis, tmp_path: Path, clock: FakeClock) -> None:
    """A server that stands still is waited for as long as the options say."""
    with opened(port_of(own), tmp_path, clock, socket_timeout=0.2) as store:
        token, _ = store.create({})
        own.client_pause(1500)
        with pytest.raises(RequestTimeout):
            store.load(token)
    own.client_unpause()


def test_what_somebody_else_wrote_is_corrupt(store: RedisStore, raw: redis.Redis) -> None:
    """A key of another type, a row or a hash that is not ours: named, never taken for a missing session."""
    layout = store.verbs.layout
    token, record = store.create({"secret": "value"})
    sid = bytes.fromhex(record.sid)
    place = store.verbs.place_of(token)
    assert place.token_hash is not None
    row_key, session_key = layout.token(place.tag, place.token_hash), layout.session(sid)
    row: Any = raw.get(row_key)
    fields: Any = raw.hgetall(session_key)
    assert row is not None

    raw.set(row_key, b"nonsense")
    with pytest.raises(CorruptRecord, match="token"):
        store.load(token)
    raw.set(row_key, row)
    raw.hdel(session_key, "h")
    with pytest.raises(CorruptRecord, match=record.sid[:8]):
        store.load(token)
    raw.delete(session_key)
    raw.set(session_key, b"another type")
    with pytest.raises(CorruptRecord, match="another type"):
        store.load(token)
    raw.delete(session_key)
    raw.hset(session_key, mapping=fields)

    loaded = store.load(token)
    assert loaded is not None
    assert loaded.data == {"secret": "value"}


def test_what_cannot_be_read_hides_nothing(
    store: RedisStore, raw: redis.Redis, clock: FakeClock, tmp_path: Path
) -> None:
    """A damaged session is left out of lists, is no obstacle to revoking, sweeping or backing up, and can be ended."""
    layout = store.verbs.layout
    for end in ("revoke", "revoke_sid", "sweep"):
        broken, record = store.create({"a": 1}, principal=USER)
        _, sound = store.create({"a": 1}, principal=USER)
        raw.hset(layout.session(bytes.fromhex(record.sid)), "h", b"\x01nonsense")

        assert [each.sid for each in store.sessions_of(USER)] == [sound.sid]
        assert sound.sid in [each.sid for each in store.scan()]
        store.backup(tmp_path / end)
        if end == "revoke":
            assert store.revoke(USER) == 2
        elif end == "revoke_sid":
            assert store.revoke_sid(record.sid) is True
            assert store.revoke(USER) == 1
        else:
            clock.advance(90_000)
            while store.sweep().more:
                pass
        assert not raw.exists(layout.session(bytes.fromhex(record.sid)))
        assert store.load(broken) is None
        assert store.check().problems == ()


def test_a_check_finds_what_does_not_fit(make_store: MakeRedisStore, raw: redis.Redis) -> None:
    """Each kind of damage is reported with the start of the sid, and nothing that is sound."""
    damage: dict[str, Any] = {
        "filed-elsewhere": lambda layout, sid, _: raw.zadd(layout.expiry(sid[0]), {sid: 5}),
        "kept-for-ever": lambda layout, sid, _: raw.persist(layout.session(bytes.fromhex(sid))),
        "session-without-token": lambda layout, sid, place: raw.delete(layout.token(place.tag, place.token_hash)),
        "unreadable": lambda layout, sid, _: raw.hset(layout.session(bytes.fromhex(sid)), "d" + "a", b"\xc1"),
        "session-without-principal-entry": lambda layout, sid, _: raw.delete(
            *raw.keys(f"{layout.prefix}:{{{sid[0]}}}:p:*")
        ),
        "principal-entry-without-session": lambda layout, sid, _: raw.hset(
            layout.session(bytes.fromhex(sid)), "p", "00" * 16
        ),
    }
    for kind, spoil in damage.items():
        store = make_store()
        token, record = store.create({"a": 1}, principal=USER)
        assert store.check().problems == ()

        spoil(store.verbs.layout, record.sid, store.verbs.place_of(token))

        problems = store.check().problems
        assert kind in [each.kind for each in problems]
        assert {each.where for each in problems} == {record.sid[:8]}


def test_a_user_without_rights_is_told_so(own: redis.Redis, tmp_path: Path, clock: FakeClock) -> None:
    """A wrong password and a missing permission are said as such; with what docs/redis.md lists, all verbs work."""
    rights = "+@read +@write +@scripting +@connection +@stream -@dangerous +info".split()
    command: Any = own.execute_command
    command("ACL", "SETUSER", "app", "on", ">word", "~coatcheck:*", *rights)
    command("ACL", "SETUSER", "poor", "on", ">word", "~coatcheck:*", "+@read", "+@connection")

    with opened(port_of(own), tmp_path, clock, user="app:word@") as store:
        token, _ = store.create({"a": 1}, principal=USER)
        store.save(token, [Set("a", 2)])
        assert store.stats().sessions == 1
        store.sweep()
        store.sync()
        assert store.check().problems == ()
        assert store.revoke(USER) == 1
    with opened(port_of(own), tmp_path, clock, user="app:wrong@") as store, pytest.raises(StoreUnavailable) as caught:
        store.create({})
    assert "password" in str(caught.value)
    assert "wrong" not in str(caught.value)
    with opened(port_of(own), tmp_path, clock, user="poor:word@") as store, pytest.raises(StoreUnavailable) as caught:
        store.create({})
    assert "ACL" in str(caught.value)


def test_what_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    """URLs and clients that cannot work, before anything is connected; no password is repeated."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    for url in ("http://user:word@host", "not a url", "redis+sentinel://host:26379", "redis://host:port"):
        with pytest.raises(ConfigurationError) as caught:
            RedisStore(settings, url)
        assert "word@" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="decode"):
        RedisStore(settings, client=redis.Redis(decode_responses=True))
    with pytest.raises(ConfigurationError, match="decode"):
        RedisStore(settings, decode_responses=True)
    with pytest.raises(ConfigurationError, match="bogus"):
        RedisStore(settings, bogus=1)
    with pytest.raises(ConfigurationError, match="AsyncRedisStore"):
        RedisStore(settings, client=redis.asyncio.Redis())
    with pytest.raises(ConfigurationError, match="AsyncRedisStore"):
        AsyncRedisStore(settings, client=redis.Redis())
    with pytest.raises(ConfigurationError, match="one or the other"):
        RedisStore(settings, "redis://localhost", client=redis.Redis())


def test_a_client_of_the_callers_stays_open(server_port: int, tmp_path: Path) -> None:
    """Closing the store leaves a client that was given alone."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    with redis.Redis(port=server_port) as client:
        with RedisStore(settings, client=client, prefix=new_prefix()) as store:
            token, _ = store.create({})
        assert client.ping()
        assert store.load(token) is not None
