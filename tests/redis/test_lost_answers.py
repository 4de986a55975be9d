"""A connection breaks after Redis has done what it was asked: it is asked again, and does nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.changes import Append, Increment
from coatcheck.errors import RequestTimeout, SessionMissing
from coatcheck.flashes import FlashMessage
from coatcheck.redis import RedisStore
from coatcheck.redis.scripts import WRITE
from coatcheck.settings import Settings
from coatcheck.testing import FakeClock, StoreContract
from tests.redis.conftest import new_prefix
from tests.redis.proxy import Proxy

WRITING = WRITE.sha.encode()


@pytest.fixture
def proxy(server_port: int) -> Iterator[Proxy]:
    """A way on which answers get lost."""
    with Proxy(server_port) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, tmp_path: Path, clock: FakeClock) -> Iterator[RedisStore]:
    """A store that speaks through it."""
    settings = Settings(home=tmp_path / "home", secrets=StoreContract.secrets)
    url = f"redis://127.0.0.1:{proxy.port}"
    with RedisStore(settings, url, prefix=new_prefix(), clock=clock, socket_timeout=0.5) as store:
        store.stats()
        yield store
        assert store.check().problems == ()


def test_a_create_is_done_once(far: RedisStore, proxy: Proxy) -> None:
    """The session that was made is found, not a conflict with itself."""
    before = far.stats().sessions
    far.create({"warm": "up"})
    proxy.lose_answer_to(WRITING)

    token, record = far.create({"a": 1}, principal="someone")

    assert proxy.lost == 1
    assert far.load(token) is not None
    assert record.data == {"a": 1}
    assert far.stats().sessions == before + 2


def test_changes_are_applied_once(far: RedisStore, proxy: Proxy) -> None:
    """An increment and an append count once."""
    token, _ = far.create({})
    proxy.lose_answer_to(WRITING)

    record = far.save(token, [Increment("hits"), Append("seen", 1)])

    assert proxy.lost == 1
    assert record.data == {"hits": 1, "seen": [1]}
    assert record.version == 2


def test_flashes_are_added_taken_and_restored_once(far: RedisStore, proxy: Proxy) -> None:
    """Each verb of the mailbox has happened once, and says what it did the first time."""
    flash = FlashMessage.info("hi")
    token, _ = far.create({})
    proxy.lose_answer_to(WRITING)
    far.add_flash(token, flash)
    proxy.lose_answer_to(WRITING)
    take_id, taken = far.take_flashes(token)
    assert taken == [flash]
    proxy.lose_answer_to(WRITING)

    assert far.restore_flashes(token, take_id) == 1

    assert proxy.lost == 3
    assert far.take_flashes(token)[1] == [flash]


def test_rotation_and_login_find_their_token(far: RedisStore, proxy: Proxy) -> None:
    """The new token is the one that is returned, and it works."""
    token, _ = far.create({})
    proxy.lose_answer_to(WRITING)
    rotated, _ = far.rotate(token, changes=[Increment("n")])
    assert rotated is not None
    proxy.lose_answer_to(WRITING)

    bound, record = far.login(rotated, "someone", changes=[Increment("n")])

    assert proxy.lost == 2
    assert record.data == {"n": 2}
    assert far.load(bound) is not None
    assert far.find(rotated).reason == "retired"


def test_a_delete_says_yes(far: RedisStore, proxy: Proxy) -> None:
    """It was this call that ended the session."""
    token, _ = far.create({})
    proxy.lose_answer_to(WRITING)

    assert far.delete(token) is True

    assert proxy.lost == 1
    with pytest.raises(SessionMissing, match="deleted"):
        far.touch(token)


def test_no_answer_is_a_timeout(far: RedisStore, proxy: Proxy, make_store: object) -> None:
    """Without an answer nothing is known: RequestTimeout, and never a missing session."""
    token, _ = far.create({})
    proxy.be_silent()

    with pytest.raises(RequestTimeout):
        far.load(token)
    with pytest.raises(RequestTimeout):
        far.save(token, [Increment("hits")])
    far.driver.close()
    proxy._silent.clear()

    record = far.load(token)
    assert record is not None
    assert record.data in ({}, {"hits": 1})
