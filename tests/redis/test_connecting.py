"""Ways to a server: TLS, Sentinels, a socket, RESP3; and a Cluster whose slots have moved."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.servers import free_port, running
from coatcheck.changes import Set
from coatcheck.errors import StoreUnavailable
from coatcheck.flashes import FlashMessage
from coatcheck.redis import AsyncRedisStore, RedisStore
from coatcheck.redis.connecting import async_client_of, client_of
from coatcheck.settings import Settings
from coatcheck.testing import StoreContract
from tests.redis.conftest import new_prefix
from tests.redis.proxy import Proxy
from tests.support import redis_servers
from tests.support.redis_servers import has_last, until

USER = "someone"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of every store here."""
    return Settings(home=tmp_path / "home", secrets=StoreContract.secrets)


def works(store: RedisStore) -> None:
    """Sessions come and go."""
    token, _ = store.create({"a": 1}, principal=USER)
    assert store.save(token, [Set("a", 2)]).data == {"a": 2}
    assert len(store.sessions_of(USER)) == 1
    assert len(list(store.scan())) == 1
    assert store.stats().sessions == 1
    store.sync()
    assert store.check().problems == ()
    assert store.revoke(USER) == 1


@pytest.mark.parametrize("protocol", [2, 3])
def test_both_protocols(settings: Settings, server_port: int, protocol: int) -> None:
    """A client may speak RESP2 or RESP3."""
    url = f"redis://127.0.0.1:{server_port}/1?protocol={protocol}"
    with RedisStore(settings, url, prefix=new_prefix()) as store:
        works(store)


def test_a_socket(settings: Settings, tmp_path: Path) -> None:
    """A server on this host may listen on a socket."""
    path = tmp_path / "redis.sock"
    with (
        redis_servers.server(tmp_path / "server", "--unixsocket", str(path)),
        RedisStore(settings, f"unix://{path}") as store,
    ):
        works(store)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, form, plain))
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_tls(settings: Settings, server_port: int, certificate: tuple[Path, Path]) -> None:
    """``rediss://`` with redis-py's own options for certificates; to an unknown server nothing is sent."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with Proxy(server_port, context) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}"
        with RedisStore(settings, f"{url}?ssl_ca_certs={certificate[0]}", prefix=new_prefix()) as store:
            works(store)
        with RedisStore(settings, url) as store, pytest.raises(StoreUnavailable, match="certificate"):
            store.create({})


def test_sentinels(settings: Settings, tmp_path: Path) -> None:
    """Sentinels say where the master is, before a failover and after it."""
    with ExitStack() as started:
        master = started.enter_context(redis_servers.server(tmp_path / "master"))
        other = started.enter_context(redis_servers.server(tmp_path / "other", "--replicaof", f"127.0.0.1 {master}"))
        port = started.enter_context(sentinel(tmp_path / "sentinel", master))
        url = f"redis+sentinel://127.0.0.1:{port},127.0.0.1:{free_port()}/sessions/0"
        store = started.enter_context(RedisStore(settings, url))
        token, _ = store.create({"a": 1})
        with redis.Redis(port=master) as client, redis.Redis(port=port) as asked:
            client.set("written", "last")
            said: Any = asked
            with redis.Redis(port=other) as replica:
                until(lambda: has_last(replica))
            until(lambda: said.execute_command("SENTINEL", "REPLICAS", "sessions"))
            until(lambda: failed_over(said))
            until(lambda: master_of(said) == other)

        until(lambda: saved(store, token))
        record = store.load(token)
        assert record is not None
        assert record.data == {"a": 2}


def failed_over(client: Any) -> bool:
    """Whether a failover could be started."""
    try:
        client.execute_command("SENTINEL", "FAILOVER", "sessions")
    except redis.ResponseError:
        return False
    return True


def master_of(client: Any) -> int:
    """The port that a Sentinel names."""
    return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sessions")[1])


def saved(store: RedisStore, token: str) -> bool:
    """Whether the new master takes writes by now."""
    try:
        store.save(token, [Set("a", 2)])
    except StoreUnavailable:
        return False
    return True


@contextmanager
def sentinel(directory: Path, master: int) -> Iterator[int]:
    """A Sentinel that watches one master; its port."""
    directory.mkdir()
    port = free_port()
    (directory / "conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor sessions 127.0.0.1 {master} 1\n"
    )
    with running([redis_servers.program(), str(directory / "conf"), "--sentinel"], directory / "log") as process:
        redis_servers.until_it_answers(port, process, directory / "log")
        yield port


def test_slots_that_move(settings: Settings, cluster_ports: list[int]) -> None:
    """While a Cluster hands a slot to another master its sessions may be unavailable, never missing; then all is well.

    Their flashes too.
    """
    url = f"redis+cluster://127.0.0.1:{cluster_ports[1]}"
    with RedisStore(settings, url, prefix=new_prefix()) as store:
        flash = FlashMessage.info("hi")
        tokens = [store.create({"n": number}, principal=USER, flashes=[flash])[0] for number in range(60)]
        tag = store.verbs.place_of(tokens[0]).tag
        client: Any = store.driver.client
        command = client.execute_command
        slot, source = client.keyslot(f"{{{tag}}}"), client.get_node_from_key(f"{{{tag}}}")
        target = next(each for each in client.get_primaries() if each.name != source.name)
        nodes = {each.name: client.cluster_myid(each).decode() for each in (source, target)}
        command("CLUSTER", "SETSLOT", slot, "IMPORTING", nodes[source.name], target_nodes=target)
        command("CLUSTER", "SETSLOT", slot, "MIGRATING", nodes[target.name], target_nodes=source)

        def migrate(count: int) -> None:
            keys = command("CLUSTER", "GETKEYSINSLOT", slot, count, target_nodes=source)
            command("MIGRATE", target.host, target.port, "", 0, 5000, "KEYS", *keys, target_nodes=source)

        for _ in range(4):
            migrate(4)
            assert set(store_answers(store, tokens)) <= {"there", "unavailable"}
        migrate(10_000)
        for each in client.get_primaries():
            command("CLUSTER", "SETSLOT", slot, "NODE", nodes[target.name], target_nodes=each)

        assert set(store_answers(store, tokens)) == {"there"}
        for token in tokens:
            store.save(token, [Set("a", 1)])
        assert store.check().problems == ()


def store_answers(store: RedisStore, tokens: list[str]) -> list[str]:
    """What a load of each says."""

    def answer(token: str) -> str:
        try:
            record = store.load(token)
            return "there" if record is not None and len(record.flashes) == 1 else "missing"
        except StoreUnavailable:
            return "unavailable"

    return [answer(each) for each in tokens]


def test_urls_become_clients() -> None:
    """Each form of URL makes the client of its kind, for threads and for asyncio, with a deadline of its own."""
    plain = client_of("rediss://user:word@host:7000/3", {})
    kwargs = plain.connection_pool.connection_kwargs
    assert (kwargs["host"], kwargs["port"], kwargs["db"], kwargs["username"]) == ("host", 7000, 3, "user")
    assert kwargs["socket_timeout"] == kwargs["socket_connect_timeout"] == 2.0
    assert client_of("redis://host", {"socket_timeout": 9}).connection_pool.connection_kwargs["socket_timeout"] == 9
    found = client_of("redis+sentinel://user:a%40b@one:1,two/service/2", {}).connection_pool
    assert found.service_name == "service"
    assert (found.connection_kwargs["db"], found.connection_kwargs["password"]) == (2, "a@b")
    sentinels = [each.connection_pool.connection_kwargs for each in found.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in sentinels] == [("one", 1), ("two", 26379)]
    assert isinstance(async_client_of("redis://host", {}), redis.asyncio.Redis)
    assert isinstance(async_client_of("redis+cluster://host", {}), redis.asyncio.RedisCluster)


def test_a_store_made_before_a_fork(settings: Settings, server_port: int) -> None:
    """Parent and child go on with connections of their own."""
    with RedisStore(settings, f"redis://127.0.0.1:{server_port}", prefix=new_prefix()) as store:
        token, _ = store.create({"n": 0})
        child = os.fork()
        if child == 0:
            try:
                for number in range(50):
                    store.save(token, [Set("child", number)])
                os._exit(0)
            finally:
                os._exit(1)
        for number in range(50):
            store.save(token, [Set("parent", number)])

        assert os.waitpid(child, 0)[1] == 0
        record = store.load(token)
        assert record is not None
        assert record.data == {"n": 0, "parent": 49, "child": 49}


def test_asyncio_closes_what_it_opened(settings: Settings, server_port: int) -> None:
    """A store for asyncio is a context manager, and its scan an asynchronous iterator."""

    async def visit() -> None:
        url = f"redis://127.0.0.1:{server_port}"
        async with AsyncRedisStore(settings, url, prefix=new_prefix()) as store:
            made = await asyncio.gather(*(store.create({"n": number}) for number in range(20)))
            token = made[0][0]
            await asyncio.gather(*(store.save(token, [Set(f"key {number}", 1)]) for number in range(20)))
            record = await store.load(token)
            assert record is not None
            assert len(record.data) == 21
            assert len([each async for each in store.scan()]) == 20

    asyncio.run(visit())
