"""A client, and its sessions, over a store in Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

import redis

from coatcheck import FlashMessage, SessionClient, Settings
from coatcheck.redis import AsyncRedisStore, RedisStore
from coatcheck.testing import StoreContract
from tests.redis.conftest import MakeRedisStore, new_prefix
from tests.support import redis_servers

USER = "someone"


def test_sessions_of_a_client(make_store: MakeRedisStore) -> None:
    """A session is opened, changed, signed in and out, as over the store of a host."""
    store = make_store()
    with SessionClient(store.settings, store=store) as client:
        session = client.open()
        session["cart"] = [1]
        session.flash("Hello", level="info")
        token = session.commit()
        assert token is not None

        session = client.open(token)
        session["cart"].append(2)
        session.increment("hits")
        session.login(USER)
        bound = session.commit()
        assert bound is not None
        assert bound != token

        record = client.load(bound)
        assert record is not None
        assert (record.data, record.principal) == ({"cart": [1, 2], "hits": 1}, USER)
        assert record.flashes == [FlashMessage("info", "Hello")]
        session = client.open(bound)
        session.logout()
        session.commit()
        assert client.sessions_of(USER) == []
        assert client.load(bound) is None


def test_the_twins_of_a_client(make_store: MakeRedisStore) -> None:
    """The twins for asyncio work too, in threads."""
    store = make_store()

    async def visit() -> None:
        async with SessionClient(store.settings, store=store) as client:
            token, _ = await client.acreate({"a": 1})
            record = await client.aload(token)
            assert record is not None
            assert record.data == {"a": 1}

    asyncio.run(visit())


def test_a_verb_that_is_cancelled_holds_nobody_up(server_port: int, tmp_path: Path) -> None:
    """A coroutine that is cancelled while it signs in ends as cancelled, and others go on."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets, max_sessions_per_principal=2)

    async def visit() -> None:
        async with AsyncRedisStore(settings, f"redis://127.0.0.1:{server_port}", prefix=new_prefix()) as store:
            await store.create({}, principal=USER)
            for wait in (0.0, 0.001, 0.002, 0.004):
                task = asyncio.ensure_future(store.create({}, principal=USER))
                await asyncio.sleep(wait)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() or task.exception() is None
            await store.create({}, principal=USER)
            assert len(await store.sessions_of(USER)) <= 2
            assert (await store.check()).problems == ()

    asyncio.run(visit())


def test_a_sync_waits_for_the_disk(tmp_path: Path) -> None:
    """With an append-only file a sync waits for it, and the statistics say how often it is written."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    with (
        redis_servers.server(tmp_path / "server", "--appendonly", "yes") as port,
        redis.Redis(port=port) as raw,
        RedisStore(settings, f"redis://127.0.0.1:{port}") as store,
    ):
        store.create({"a": 1})
        store.sync()
        stats = store.stats()
        assert stats.durability == "second"
        assert stats.file_bytes == raw.info("persistence")["aof_current_size"]
        raw.config_set("appendfsync", "always")
        assert store.stats().durability == "commit"
