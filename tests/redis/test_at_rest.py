"""What lies in Redis: nothing that gives a session away, nothing for ever, all of a session in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis

from coatcheck.changes import Set, Unset
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.redis import RedisStore
from coatcheck.redis.layout import Layout, TokenRow
from coatcheck.redis.scripts import READ, WRITE
from coatcheck.testing import FakeClock
from tests.redis.conftest import MakeRedisStore

HOUR = Lifetimes(idle=3600.0, absolute=None, touch_interval=60.0)
USER = "someone@example.org"


def keys(raw: redis.Redis, store: RedisStore) -> Iterator[bytes]:
    """All keys of a store."""
    yield from raw.scan_iter(match=f"{store.verbs.layout.prefix}:*", count=1000)


def lived(store: RedisStore) -> tuple[str, str]:
    """A token whose session has been through everything, and one whose session has ended."""
    token, _ = store.create({"a": 1, "b": [2]}, principal=USER, lifetimes=HOUR, flashes=[FlashMessage.info("one")])
    renewed, _ = store.rotate(token, grace=10.0)
    assert renewed is not None
    store.take_flashes(renewed)
    store.add_flash(renewed, FlashMessage.info("two"))
    bound, _ = store.login(renewed, USER, changes=[Set("c", 3)])
    ended, _ = store.create({}, principal=USER)
    store.revoke(USER, except_=bound)
    store.delete(store.create({})[0])
    store.sweep()
    return bound, ended


def test_every_key_has_its_time(store: RedisStore, raw: redis.Redis) -> None:
    """Redis forgets everything in the end, but what all openers agree on."""
    lived(store)

    for_ever = [key for key in keys(raw, store) if raw.pttl(key) == -1]

    assert for_ever == [store.verbs.layout.meta]


def test_a_session_is_kept_as_long_as_it_lives(store: RedisStore, raw: redis.Redis, clock: FakeClock) -> None:
    """The time that Redis counts is what is left by our clock, and every use moves it."""
    token, record = store.create({"a": 1}, lifetimes=HOUR, flashes=[FlashMessage.info("hi")])
    sid = bytes.fromhex(record.sid)
    layout = store.verbs.layout
    clock.advance(1800)
    store.load(token, touch=False)
    assert 3_500_000 < raw.pttl(layout.session(sid)) <= 3_600_000

    store.save(token, [Set("a", 2)])

    for key in (layout.session(sid), layout.flashes(sid)):
        assert 3_500_000 < raw.pttl(key) <= 3_600_000
    clock.advance(1800)
    short = store.save(token, [Set("a", 3)])
    assert short.expires_at == clock.now() + 3600 * 10**6


def test_neither_token_nor_principal_lies_there(store: RedisStore, raw: redis.Redis) -> None:
    """Names of keys and members of indexes hold keyed hashes alone."""
    bound, ended = lived(store)
    names = list(keys(raw, store))
    members = [member for name in names if raw.type(name) == b"zset" for member in raw.zrange(name, 0, -1)]

    for each in (*names, *members):
        for secret in (bound, ended, USER):
            assert secret.encode() not in each


def test_all_of_a_session_is_in_one_slot(store: RedisStore) -> None:
    """Its keys, and those of all its tokens, have the first digit of its sid in braces."""
    token, record = store.create({})
    rotated, _ = store.rotate(token)
    assert rotated is not None
    for each in (token, rotated):
        assert store.verbs.place_of(each).tag == record.sid[0]
    layout, sid = Layout("p"), bytes.fromhex(record.sid)
    names = [layout.session(sid), layout.flashes(sid), layout.expiry(record.sid[0])]
    for key in names:
        assert key.startswith(f"p:{{{record.sid[0]}}}:".encode())


def test_a_token_row_survives_its_packing() -> None:
    """A row is read as it was written, with the sid in front as text."""
    row = TokenRow(bytes(range(16)), 2, 1_767_225_600_000_000, 5, b"w" * 16)

    assert TokenRow.unpacked(row.packed()) == row
    assert row.packed().startswith(bytes(range(16)).hex().encode())


def test_nothing_is_left_of_what_was_changed_away(store: RedisStore, raw: redis.Redis) -> None:
    """Keys that are unset, and flashes that were taken, are gone from the hash and the list."""
    token, record = store.create({"a": 1, "b": 2}, flashes=[FlashMessage.info("hi")])

    store.save(token, [Unset("a")])
    store.take_flashes(token)

    layout, sid = store.verbs.layout, bytes.fromhex(record.sid)
    fields: Any = raw.hkeys(layout.session(sid))
    assert [each for each in fields if each.startswith(b"d")] == [b"db"]
    assert raw.llen(layout.flashes(sid)) == 0
    store.delete(token)
    assert not raw.exists(layout.session(sid))
    assert raw.zscore(layout.expiry(record.sid[0]), record.sid) is None


def test_redis_forgets_by_itself(make_store: MakeRedisStore, raw: redis.Redis) -> None:
    """Without any sweep a session, its flashes and its places in the indexes go when their time is over."""
    store = make_store()
    brief = Lifetimes(idle=0.5, absolute=None, touch_interval=0.1)
    token, record = store.create({"a": 1}, principal=USER, lifetimes=brief, flashes=[FlashMessage.info("hi")])
    layout, sid = store.verbs.layout, bytes.fromhex(record.sid)
    while raw.exists(layout.session(sid), layout.flashes(sid)):
        assert raw.pttl(layout.session(sid)) <= 500

    assert store.find(token).reason == "expired"
    assert store.sessions_of(USER) == []
    assert store.check().sessions == 0
    _, other = store.create({}, principal=USER)
    assert [each.sid for each in store.sessions_of(USER)] == [other.sid]


def test_the_scripts_are_two(raw: redis.Redis, store: RedisStore) -> None:
    """They are known to the server by their SHA after the first verbs."""
    store.load(store.create({})[0])

    assert raw.script_exists(READ.sha, WRITE.sha) == [True, True]
