"""The mailbox: looked into, taken once, given back; and stores out of reach."""

from __future__ import annotations

from contextlib import suppress

import pytest

from coatcheck import (
    FlashMessage,
    RequestTimeout,
    SessionTooLarge,
    StoreUnavailable,
)
from coatcheck.client import SessionClient
from coatcheck.store.lmdb import LmdbStore
from tests.session.spy import Spy
from tests.support.sessions import START, data, texts


def test_flashes_are_taken_once(client: SessionClient, token: str) -> None:
    """Looking does not take; taking is atomic; what was flashed in the same request is there too."""
    client.add_flash(token, FlashMessage.info("one"))
    first, second = client.open(token), client.open(token)
    first.flash("two")
    assert texts(first.flashes()) == texts(first.flashes()) == ["one", "two"]

    assert texts(first.take_flashes()) == ["one", "two"]
    assert (first.flashes(), first.take_flashes()) == ([], [])
    assert second.take_flashes() == []
    first.commit()

    assert client.open(token).flashes() == []


def test_flashes_of_a_failed_request_are_given_back(client: SessionClient, token: str) -> None:
    """In front of what came meanwhile; those that the request itself had flashed were never stored."""
    client.add_flash(token, FlashMessage.info("one"))
    session = client.open(token)
    session.flash("own")
    session["b"] = 1
    session["list"].append(3)
    assert texts(session.take_flashes()) == ["one", "own"]
    client.add_flash(token, FlashMessage.info("two"))

    session.abandon()

    assert dict(session) == START
    assert not session.modified
    assert session.commit() == token
    assert data(client, token) == START
    assert texts(client.open(token).take_flashes()) == ["one", "two"]


def test_an_abandoned_logout_has_not_happened(client: SessionClient, token: str) -> None:
    """Nothing of a request that fails reaches the store."""
    client.add_flash(token, FlashMessage.info("one"))
    session = client.open(token)
    session.take_flashes()
    session.logout()
    session["b"] = 1
    session.abandon()

    assert session.commit() == token
    assert (dict(session), session.cookie) == (START, "leave")
    assert texts(client.open(token).flashes()) == ["one"]


def test_a_take_that_failed_can_be_repeated(client: SessionClient, spy: Spy, token: str) -> None:
    """Nothing is lost with it: neither what is stored, nor what the request itself had flashed."""
    client.add_flash(token, FlashMessage.info("stored"))
    session = client.open(token)
    session.flash("own")
    spy.away = True
    with pytest.raises(StoreUnavailable):
        session.take_flashes()
    spy.away = False
    assert texts(session.flashes()) == ["stored", "own"]

    assert texts(session.take_flashes()) == ["stored", "own"]
    assert session.take_flashes() == []


@pytest.mark.parametrize("undo", ["abandon", "reload"])
def test_a_take_that_was_answered_too_late_is_given_back(
    client: SessionClient, spy: Spy, token: str, undo: str
) -> None:
    """It was carried out, but nobody has seen what it took."""
    client.add_flash(token, FlashMessage.info("one"))
    session = client.open(token)
    session.load()
    spy.late = True
    with pytest.raises(RequestTimeout):
        session.take_flashes()
    spy.late = False
    assert client.open(token).flashes() == []

    getattr(session, undo)()

    assert texts(client.open(token).flashes()) == ["one"]


def test_a_take_that_was_answered_too_late_can_be_repeated(client: SessionClient, spy: Spy, token: str) -> None:
    """The same take again: it answers with what it took, and is given back once."""
    client.add_flash(token, FlashMessage.info("one"))
    session = client.open(token)
    session.flash("own")
    spy.late = True
    with pytest.raises(RequestTimeout):
        session.take_flashes()
    spy.late, spy.away = False, True
    with pytest.raises(StoreUnavailable):
        session.take_flashes()
    spy.away = False

    assert texts(session.take_flashes()) == ["one", "own"]
    session.abandon()
    assert texts(client.open(token).flashes()) == ["one"]


def test_a_take_that_was_refused_has_nothing_to_give_back(client: SessionClient, spy: Spy, token: str) -> None:
    """A request that fails for a store that is away does not wait for it once more."""
    client.add_flash(token, FlashMessage.info("one"))
    session = client.open(token)
    session.load()
    spy.away = True
    with pytest.raises(StoreUnavailable):
        session.take_flashes()
    session.abandon()

    assert spy.calls["restore_flashes"] == 0


def test_taking_from_a_session_that_has_ended(client: SessionClient, store: LmdbStore, token: str) -> None:
    """There is nothing to take, and nothing to give back."""
    session = client.open(token)
    assert session["a"] == 1
    store.delete(token)

    assert session.take_flashes() == []
    session.abandon()
    assert not client.find(token)


def test_an_outage_is_raised_when_the_session_is_used(client: SessionClient, spy: Spy, token: str) -> None:
    """Not when it is opened; asked once, raised each time; the cookie is left alone."""
    spy.away = True
    session = client.open(token)
    session.load()
    assert session.commit() == token
    assert session.cookie == "leave"

    for use in (lambda: session["a"], lambda: session.update(b=1), session.logout, lambda: session.principal):
        with pytest.raises(StoreUnavailable):
            use()
    assert session.commit() == token
    session.abandon()
    assert (session.cookie, spy.calls["find"], spy.writes) == ("leave", 1, 0)
    assert client.counters["outage"] == 1
    assert repr(session) == "<Session unavailable>"

    spy.away = False
    session.reload()
    assert session == START


def test_a_commit_that_cannot_be_stored_can_be_repeated(client: SessionClient, spy: Spy, token: str) -> None:
    """The changes wait for another try, or for abandon."""
    session = client.open(token)
    session["b"] = 1
    session["list"].append(3)
    spy.away = True
    with pytest.raises(StoreUnavailable):
        session.commit()
    assert session.cookie == "leave"
    spy.away = False

    assert session.commit() == token
    assert data(client, token) == {**START, "b": 1, "list": [1, 2, 3]}


def test_a_logout_during_an_outage_can_be_repeated(client: SessionClient, spy: Spy, token: str) -> None:
    """Until then the session is there, and so is the cookie."""
    session = client.open(token)
    session.logout()
    spy.away = True
    with suppress(StoreUnavailable):
        session.commit()
    spy.away = False
    assert client.find(token)

    assert session.commit() is None
    assert session.cookie == "remove"
    assert not client.find(token)


def test_a_session_that_is_too_large_names_its_biggest_key(client: SessionClient, token: str) -> None:
    """Nothing was applied."""
    session = client.open(token)
    session["big"] = "x" * 70_000
    with pytest.raises(SessionTooLarge) as caught:
        session.commit()

    assert caught.value.key == "big"
    assert data(client, token) == START
