"""Login, rotation and logout: one transaction, another token."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import (
    FlashMessage,
    Lifetimes,
    Set,
)
from coatcheck.client import SessionClient
from coatcheck.session import Session
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.session.spy import Spy
from tests.support.sessions import START, data, record, texts


def test_a_login_is_one_transaction_under_a_new_token(client: SessionClient, spy: Spy, token: str) -> None:
    """Data, flashes, meta and the principal arrive together; the old token is worth nothing."""
    session = Session(client, token, peer="203.0.113.9", meta={"user_agent": "a browser"})
    session["b"] = 2
    session.login("user-42", label="phone")
    session.flash("Welcome")
    session.append("list", 3)
    assert session.principal == "user-42"
    sid = session.sid

    new = session.commit()

    assert new not in (None, token)
    assert (session.cookie, session.sid, session.principal) == ("set", sid, "user-42")
    assert (spy.calls["login"], spy.writes) == (1, 1)
    assert data(client, new) == {**START, "b": 2, "list": [1, 2, 3]}
    assert record(client, new).meta == {
        "ip": "203.0.113.9",
        "user_agent": "a browser",
        "label": "phone",
        "auth_time": client.clock.now(),
    }
    assert texts(record(client, new).flashes) == ["Welcome"]
    assert client.find(token).reason == "retired"
    assert [info.sid for info in client.sessions_of("user-42")] == [sid]


def test_a_login_without_a_session_creates_one(client: SessionClient, spy: Spy) -> None:
    """Even without data: who is signed in is worth keeping."""
    session = client.open()
    session.login("user-42", Lifetimes(idle=100, absolute=1000))
    token = session.commit()

    assert record(client, token).principal == "user-42"
    assert record(client, token).lifetimes == Lifetimes(idle=100, absolute=1000)
    assert spy.writes == 1


def test_a_login_of_somebody_else_takes_nothing_along(client: SessionClient, store: LmdbStore) -> None:
    """Data and flashes of one user never reach another, changes of the same request included."""
    token, _ = store.create(START, principal="ann", flashes=[FlashMessage.info("for Ann")])
    session = client.open(token)
    session["secret"] = "Ann's"
    session.flash("also for Ann")
    session.login("bob")
    assert (dict(session), session.flashes()) == ({}, [])
    session["b"] = "Bob's"

    new = session.commit()

    assert data(client, new) == {"b": "Bob's"}
    assert client.open(new).flashes() == []


@pytest.mark.parametrize("principal", ["", 42, None])
def test_a_principal_is_a_text(client: SessionClient, principal: Any) -> None:
    """An object would bind the session to its repr, or to nobody."""
    with pytest.raises(TypeError, match="principal"):
        client.open().login(principal)


def test_lifetimes_can_be_set(client: SessionClient, token: str) -> None:
    """For one that exists, for a new one, and with a login."""
    remember = Lifetimes(idle=86400, absolute=864000)
    session = client.open(token)
    session.set_lifetimes(remember)
    assert session.lifetimes == remember
    session.commit()
    assert record(client, token).lifetimes == remember

    session = client.open()
    session.set_lifetimes(remember)
    session["x"] = 1
    assert record(client, session.commit()).lifetimes == remember

    session = client.open(client.create({})[0])
    session.login("u")
    session.set_lifetimes(remember)
    assert record(client, session.commit()).lifetimes == remember


def test_rotation_keeps_everything_but_the_token(client: SessionClient, spy: Spy, token: str) -> None:
    """One transaction with the changes; without a grace the old token is retired at once."""
    session = client.open(token)
    session.rotate()
    session["b"] = 1
    new = session.commit()

    assert session.cookie == "set"
    assert data(client, new) == {**START, "b": 1}
    assert (client.find(token).reason, spy.calls["rotate"], spy.writes) == ("retired", 1, 1)


def test_a_logout_ends_the_session(client: SessionClient, spy: Spy, token: str) -> None:
    """The data is gone at once for this request, and for all others after the commit."""
    session = client.open(token)
    session["b"] = 1
    session.login("u")
    session.logout()
    assert (dict(session), session.principal, session.sid) == ({}, None, None)

    assert session.commit() is None
    assert (session.cookie, spy.calls["delete"], spy.writes) == ("remove", 1, 1)
    assert client.find(token).reason == "deleted"


def test_what_is_written_after_a_logout_starts_a_new_session(client: SessionClient, token: str) -> None:
    """Delete, then create: nothing of the old one is left but the browser."""
    session = client.open(token)
    sid = session.sid
    session.logout()
    session.flash("Bye")
    session["lang"] = "en"
    new = session.commit()

    assert session.cookie == "set"
    assert data(client, new) == {"lang": "en"}
    assert record(client, new).sid != sid
    assert client.find(token).reason == "deleted"


def test_a_session_can_be_committed_again(client: SessionClient, spy: Spy) -> None:
    """As for streaming: create, save, nothing, save, end, new."""
    session = client.open()
    session["cart"] = cart = [1]
    token = session.commit()
    cart.append(2)
    assert session.commit() == token
    assert data(client, token) == {"cart": [1, 2]}
    assert session.commit() == token
    assert (spy.calls["create"], spy.calls["save"], spy.writes) == (1, 1, 2)

    session["cart"].append(3)
    session.increment("n")
    session.commit()
    assert cart == [1, 2, 3]
    assert session == data(client, token) == {"cart": [1, 2, 3], "n": 1}
    session.logout()
    assert session.commit() is None
    assert session.cookie == "leave"  # the browser never had that token

    session["again"] = 1
    assert session.commit() not in (None, token)
    assert session.cookie == "set"


def test_after_a_commit_the_session_shows_what_others_wrote(client: SessionClient, token: str) -> None:
    """And does not write it over: a value that somebody else has changed is not this request's to save."""
    session = client.open(token)
    mine, theirs = session["list"], session["map"]
    mine.append(3)
    session["b"] = 1
    client.save(token, [Set("map", {"new": 1}), Set("c", 3)])
    session.commit()

    mine.append(4)
    assert session == {**START, "list": [1, 2, 3, 4], "map": {"new": 1}, "b": 1, "c": 3}
    theirs["x"] = "stale"
    session.commit()

    assert data(client, token) == {**START, "list": [1, 2, 3, 4], "map": {"new": 1}, "b": 1, "c": 3}


def test_after_the_response_no_new_token_is_made(client: SessionClient, store: LmdbStore, token: str) -> None:
    """Nobody could bring it to the browser; changes of a session that exists are still welcome."""
    session, new = client.open(token), client.open()
    session.seal()
    new.seal()
    session["b"] = 1
    assert session.commit() == token
    assert data(client, token)["b"] == 1

    session.rotate()
    with pytest.raises(RuntimeError, match="headers have left"):
        session.commit()
    new["b"] = 1
    with pytest.raises(RuntimeError, match="headers have left"):
        new.commit()
    assert store.stats().sessions == 1


def test_what_is_known_about_a_session(client: SessionClient, clock: FakeClock, token: str) -> None:
    """Times in microseconds; None for what is not stored."""
    session, new = client.open(token), client.open()
    found = record(client, token)

    assert session.sid == found.sid
    assert session.created_at == session.last_seen_at == clock.now()
    assert session.expires_at == found.expires_at == clock.now() + 1800 * 1_000_000
    assert session.absolute_expires_at == clock.now() + 4 * 3600 * 1_000_000
    assert session.lifetimes == found.lifetimes
    assert (session.new, session.principal, session.meta, session.reason) == (False, None, {}, None)
    assert session.token == token
    assert session.owns_token()
    assert (new.sid, new.created_at, new.last_seen_at, new.expires_at, new.absolute_expires_at) == (None,) * 5
    assert (new.lifetimes, new.token, new.owns_token()) == (None, None, False)
    assert not session.accessed
