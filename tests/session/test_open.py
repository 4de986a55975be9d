"""What opening, and reading, a session costs; tokens that have no session."""

from __future__ import annotations

import copy

import pytest

from coatcheck import (
    FlashMessage,
    StoreUnavailable,
)
from coatcheck.client import SessionClient
from coatcheck.session import Session, open_first
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.session.spy import Spy
from tests.support.sessions import START, data, record, row


def test_a_new_session_is_stored_when_something_is_in_it(client: SessionClient, spy: Spy) -> None:
    """Nothing in it: no token, no row. One create for all that is."""
    session = client.open()
    assert session.new
    assert session.commit() is None
    assert (session.cookie, spy.writes) == ("leave", 0)

    session.update(copy.deepcopy(START))
    session.increment("a")
    session.append("list", 3)
    session.flash("Hello", level="success", title="Hey")
    token = session.commit()

    assert session.cookie == "set"
    assert session.new
    assert data(client, token) == {**START, "a": 2, "list": [1, 2, 3]}
    assert client.open(token).flashes() == [FlashMessage.success("Hello", title="Hey")]
    assert (spy.calls["create"], spy.writes) == (1, 1)


@pytest.mark.parametrize("lane", ["loaded", "lazy"])
def test_an_untouched_session_costs_nothing(
    client: SessionClient, spy: Spy, clock: FakeClock, token: str, lane: str
) -> None:
    """Not used: no write, no cookie, not even a touch that is due. Loading is no use."""
    clock.advance(300)
    session = client.open(token)
    if lane == "loaded":
        session.load()
    before = row(client, token)

    assert session.commit() == token
    assert (session.cookie, session.accessed, spy.writes) == ("leave", False, 0)
    assert row(client, token) == before


def test_a_read_session_writes_one_touch_per_interval(
    client: SessionClient, spy: Spy, clock: FakeClock, token: str
) -> None:
    """The touch waits until it is due, and then one is stored."""
    for _ in range(3):
        session = client.open(token)
        assert session["a"] == 1
        assert session.commit() == token
    assert spy.writes == 0

    clock.advance(61)
    for _ in range(3):
        session = client.open(token)
        assert "a" in session
        session.commit()

    assert (spy.calls["touch"], spy.writes) == (1, 1)
    assert record(client, token).last_seen_at == clock.now()
    assert record(client, token).version == 1


def test_reading_slides_the_idle_lifetime(client: SessionClient, clock: FakeClock, token: str) -> None:
    """A session that is read now and then outlives its first deadline."""
    for _ in range(5):
        clock.advance(1000)
        session = client.open(token)
        assert session["a"] == 1
        session.commit()

    assert not client.open(token).new


def test_a_touch_never_waits(store: LmdbStore, clock: FakeClock, token: str) -> None:
    """With the writer gate taken, a read-only request ends at once, and the next one touches."""
    client = SessionClient(store.settings, store=store, clock=clock)
    clock.advance(61)
    session = client.open(token)
    assert session["a"] == 1
    gate = WriterGate(store.settings.home / WRITER)
    assert gate.enter()
    try:
        assert session.commit() == token
    finally:
        gate.leave()
        gate.close()
    assert record(client, token).last_seen_at < clock.now()

    session.commit()
    assert record(client, token).last_seen_at == clock.now()


def test_a_token_without_a_session_is_never_adopted(store: LmdbStore, client: SessionClient, clock: FakeClock) -> None:
    """Invented, forged, expired, deleted, revoked: the session is new, and so is its token."""
    deleted, revoked, expired = (store.create(START, principal="u")[0] for _ in range(3))
    store.delete(deleted)
    store.revoke("u")
    expired = store.create(START)[0]
    clock.advance(1801)
    forged = deleted[:10] + ("A" if deleted[10] != "A" else "B") + deleted[11:]
    tokens = {"forged": forged, "deleted": deleted, "revoked": revoked, "expired": expired}

    for reason, token in {**tokens, "unknown": store._tokens.mint()}.items():
        session = client.open(token)
        assert (session.reason, session.new, session.sid, dict(session)) == (reason, True, None, {})
        session["x"] = 1
        new = session.commit()
        assert new not in (None, token)
        assert session.cookie == "set"
        assert client.find(token).reason == reason
    assert client.open("attackerchosenid").reason == "forged"


def test_the_cookie_of_a_session_that_is_gone_goes_when_the_session_is_used(
    client: SessionClient, store: LmdbStore, token: str
) -> None:
    """Read: removed. Not used at all: left alone."""
    store.delete(token)
    session = client.open(token)
    session.load()
    session.commit()
    assert session.cookie == "leave"

    assert session.get("a") is None
    assert session.commit() is None
    assert session.cookie == "remove"


def test_the_first_live_token_wins(client: SessionClient, store: LmdbStore, token: str) -> None:
    """Of several cookies of one name a bad one never hides a good one."""
    dead = store.create(START)[0]
    store.delete(dead)

    def make(value: str | None) -> Session:
        return Session(client, value)

    assert open_first(make, ["rubbish", dead, token, store.create({"other": 1})[0]]) == START
    assert open_first(make, ["rubbish", dead]).reason == "forged"
    assert open_first(make, []).reason is None


def test_no_live_token_and_an_outage_is_an_outage(client: SessionClient, spy: Spy, token: str) -> None:
    """What could not be asked about may be the good one."""
    spy.away = True
    session = open_first(lambda value: Session(client, value), [token])
    with pytest.raises(StoreUnavailable):
        session.get("a")
