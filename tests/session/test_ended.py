"""Sessions that ended, and tokens that were rotated out, while a request ran."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coatcheck import (
    Lifetimes,
    SessionConflict,
    SessionMissing,
    Set,
)
from coatcheck.client import SessionClient
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.support.sessions import START, data, record


@pytest.mark.parametrize("what", ["set", "nested", "flash", "increment", "login", "rotate", "lifetimes"])
def test_a_slow_request_does_not_undo_a_logout(client: SessionClient, store: LmdbStore, token: str, what: str) -> None:
    """Its changes are dropped and counted, no cookie is sent, and the session stays gone."""
    session = client.open(token)
    assert session["list"] == [1, 2]
    store.delete(token)
    ways: dict[str, Callable[[], object]] = {
        "set": lambda: session.update(late=1),
        "nested": lambda: session["list"].append(3),
        "flash": lambda: session.flash("late"),
        "increment": lambda: session.increment("a"),
        "login": lambda: session.login("u"),
        "rotate": session.rotate,
        "lifetimes": lambda: session.set_lifetimes(Lifetimes()),
    }
    ways[what]()

    assert session.commit() is None
    assert (session.ended, session.cookie, dict(session)) == (True, "leave", {})
    assert client.counters["ended"] == 1
    assert client.find(token).reason == "deleted"

    session["even later"] = 1
    assert session.commit() is None
    assert session.cookie == "leave"
    assert store.stats().sessions == 0


def test_on_ended_error_raises(store: LmdbStore, clock: FakeClock, token: str) -> None:
    """For applications that want to know; a request that only read still ends well."""
    client = SessionClient(Settings(home=store.settings.home, on_ended="error"), store=store, clock=clock)
    writer, reader = client.open(token), client.open(token)
    store.delete(token)
    clock.advance(61)
    writer["b"] = 1
    assert reader["a"] == 1

    with pytest.raises(SessionMissing):
        writer.commit()
    assert writer.ended
    assert reader.commit() is None
    assert reader.ended


def test_on_conflict_reject(store: LmdbStore, clock: FakeClock, token: str) -> None:
    """Data that somebody else has saved meanwhile is not written over; flashes are in nobody's way."""
    client = SessionClient(Settings(home=store.settings.home, on_conflict="reject"), store=store, clock=clock)
    session = client.open(token)
    other = client.open(token)
    store.save(token, [Set("b", 2)])
    session["a"] = 5
    other.flash("Hello")

    assert other.commit() == token
    with pytest.raises(SessionConflict):
        session.commit()
    session.reload()
    assert dict(session) == {**START, "b": 2}
    session["a"] = 5
    session.commit()

    assert data(client, token) == {**START, "a": 5, "b": 2}


def test_a_request_in_grace_writes_but_sends_no_cookie(client: SessionClient, store: LmdbStore, token: str) -> None:
    """Another response has brought the new token, and must not be overtaken."""
    new, _ = store.rotate(token, grace=10)
    session = client.open(token)
    assert session.in_grace is False or session._borrowed
    session["b"] = 1
    session.rotate(grace=10)

    assert session.commit() == token
    assert (session.in_grace, session.cookie) == (True, "leave")
    assert data(client, new)["b"] == 1
    assert not session.owns_token()


def test_a_logout_in_grace_ends_the_session_and_starts_no_other(
    client: SessionClient, store: LmdbStore, token: str
) -> None:
    """The cookie is that of another response."""
    new, _ = store.rotate(token, grace=10)
    session = client.open(token)
    session.logout()
    session["b"] = 1

    assert session.commit() is None
    assert session.cookie == "leave"
    assert client.counters["dropped"] == 1
    assert not client.find(str(new))
    assert store.stats().sessions == 0


def test_a_login_in_grace_brings_its_own_token(client: SessionClient, store: LmdbStore, token: str) -> None:
    """Nobody else has that one, and it ends every grace."""
    store.rotate(token, grace=10)
    session = client.open(token)
    session.login("u")
    new = session.commit()

    assert session.cookie == "set"
    assert record(client, new).principal == "u"
    assert client.find(token).reason == "retired"


def test_a_token_just_retired_starts_nothing(
    client: SessionClient, store: LmdbStore, clock: FakeClock, token: str
) -> None:
    """The second click on "sign in": what it wrote is dropped. Half a minute later the browser may start anew."""
    new, _ = store.login(token, "u")
    clock.advance(29)
    session = client.open(token)
    session["b"] = 1
    session.login("u")
    assert (session.reason, session.retired_ago) == ("retired", 29.0)

    assert session.commit() is None
    assert (session.cookie, client.counters["dropped"]) == ("leave", 1)
    assert store.stats().sessions == 1

    clock.advance(2)
    session = client.open(token)
    session["b"] = 1
    assert session.commit() not in (None, token, new)
    assert session.cookie == "set"
