"""What sessions do while the store cannot be asked, by each policy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from coatcheck import FlashMessage, Lifetimes, RequestTimeout, Session, StoreFull, StoreUnavailable
from coatcheck.client import SessionClient
from coatcheck.outage import PAUSE
from coatcheck.settings import OutagePolicy, Settings
from coatcheck.store.files import WRITER
from coatcheck.store.gate import WriterGate
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.session.spy import Spy
from tests.support.sessions import START

Make = Callable[[OutagePolicy], SessionClient]


@pytest.fixture
def make(store: LmdbStore, spy: Spy, clock: FakeClock) -> Make:
    """A client by policy."""

    def make(policy: OutagePolicy) -> SessionClient:
        return SessionClient(Settings(home=store.settings.home, on_outage=policy), store=spy, clock=clock)

    return make


def kept(store: LmdbStore, token: str) -> dict[str, object]:
    """The data at rest."""
    record = store.load(token, touch=False)
    assert record is not None
    return dict(record.data)


WRITES: dict[str, Callable[[Session], object]] = {
    "set": lambda session: session.update(a=7),
    "nested": lambda session: session["list"].append(3),
    "flash": lambda session: session.flash("late"),
    "increment": lambda session: session.increment("a"),
    "lifetimes": lambda session: session.set_lifetimes(Lifetimes()),
}
UNSAFE: dict[str, Callable[[Session], object]] = {
    "login": lambda session: session.login("u"),
    "logout": lambda session: session.logout(),
    "rotate": lambda session: session.rotate(),
    "clear": lambda session: session.clear(),
    "pop": lambda session: session.pop("a"),
}


def test_503_raises_at_first_use(make: Make, spy: Spy, token: str) -> None:
    """The default: nothing is known about the session, and nothing is pretended."""
    client = make("503")
    spy.away = True
    session = client.open(token)

    with pytest.raises(StoreUnavailable, match="the store is away"):
        session.get("a")
    assert (session.commit(), session.cookie, session.outage) == (token, "leave", None)
    assert client.counters == {"outage": 1}


# Anonymous ---------------------------------------------------------------------------------------------------------


def test_anonymous_is_a_new_and_empty_session(make: Make, spy: Spy, store: LmdbStore, token: str) -> None:
    """It can be written and read; nothing of that is kept, the cookie stays, and afterwards all is as it was."""
    client = make("anonymous")
    spy.away = True
    session = client.open(token)
    assert (dict(session), session.new, session.sid, session.principal) == ({}, True, None, None)
    session["a"] = 7
    session.flash("now")
    assert session.take_flashes() == [FlashMessage("info", "now")]
    assert session["a"] == 7
    assert str(session.outage) == "the store is away"

    spy.away = False  # even when it is back before the request ends
    assert (session.commit(), session.cookie) == (token, "leave")
    assert not session.owns_token()
    assert (client.counters["outage"], client.counters["dropped"]) == (1, 1)
    assert kept(store, token) == START
    assert store.stats().sessions == 1
    assert dict(client.open(token)) == START


@pytest.mark.parametrize("what", ["login", "logout", "rotate", "clear"])
def test_anonymous_signs_nobody_in_or_out(make: Make, spy: Spy, token: str, what: str) -> None:
    """It would look like done, while the session that the browser has a token of lives on: raised at once."""
    client = make("anonymous")
    spy.away = True
    session = client.open(token)

    with pytest.raises(StoreUnavailable, match="the store is away"):
        UNSAFE[what](session)
    assert (session.commit(), session.cookie) == (token, "leave")


def test_a_new_visitor_is_not_signed_in_into_nothing(make: Make, spy: Spy) -> None:
    """Where no session was to be loaded the login fails in the commit; what else was written is dropped."""
    client = make("anonymous")
    spy.away = True
    reader, guest = client.open(None), client.open(None)
    guest["cart"] = [1]
    reader.login("ann")

    assert (guest.commit(), guest.cookie, guest.token) == (None, "leave", None)
    assert str(guest.outage) == "the store is away"
    with pytest.raises(StoreUnavailable):
        reader.commit()


def test_a_reload_looks_again(make: Make, spy: Spy, token: str) -> None:
    """No restart, not even another request."""
    client = make("anonymous")
    spy.away = True
    session = client.open(token)
    assert dict(session) == {}
    spy.away = False
    session.reload()

    assert (dict(session), session.outage) == (START, None)
    session["b"] = 1
    assert session.commit() == token
    assert client.load(token).data["b"] == 1  # type: ignore[union-attr]


# Read-only ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["read-only", "anonymous"])
@pytest.mark.parametrize("what", WRITES)
def test_a_commit_that_the_store_cannot_take_is_dropped(
    make: Make, spy: Spy, store: LmdbStore, token: str, policy: OutagePolicy, what: str
) -> None:
    """And counted; the session shows what the store has, the cookie stays."""
    client = make(policy)
    session = client.open(token)
    assert session["a"] == START["a"]
    WRITES[what](session)
    spy.away = True

    assert (session.commit(), session.cookie) == (token, "leave")
    assert str(session.outage) == "the store is away"
    assert dict(session) == START
    assert (client.counters["outage"], client.counters["dropped"]) == (1, 1)
    spy.away = False
    assert kept(store, token) == START


@pytest.mark.parametrize("policy", ["read-only", "anonymous"])
@pytest.mark.parametrize("what", UNSAFE)
def test_what_would_be_unsafe_to_drop_raises(
    make: Make, spy: Spy, store: LmdbStore, token: str, policy: OutagePolicy, what: str
) -> None:
    """A dropped logout looks like one; so does a dropped removal of the key that says who is signed in."""
    client = make(policy)
    session = client.open(token)
    UNSAFE[what](session)
    spy.away = True

    with pytest.raises(StoreUnavailable, match="the store is away"):
        session.commit()
    session.abandon()
    assert (session.token, session.cookie, dict(session)) == (token, "leave", START)
    spy.away = False
    assert kept(store, token) == START


def test_read_only_raises_for_what_it_cannot_read(make: Make, spy: Spy, token: str) -> None:
    """Nothing is made up."""
    client = make("read-only")
    spy.away = True
    session = client.open(token)

    with pytest.raises(StoreUnavailable):
        len(session)
    assert (session.commit(), session.cookie) == (token, "leave")


def test_the_next_commit_counts_again(make: Make, spy: Spy, store: LmdbStore, token: str) -> None:
    """Of a request that commits twice, what the store could take is kept."""
    session = make("read-only").open(token)
    session["b"] = 1
    spy.away = True
    session.commit()
    spy.away = False
    session["c"] = 2

    assert session.commit() == token
    assert kept(store, token) == {**START, "c": 2}


def test_an_unknown_token_is_not_removed_in_an_outage(make: Make, spy: Spy, store: LmdbStore) -> None:
    """A session that cannot be begun neither sets nor removes the cookie of the one that was."""
    token = store.create({"a": 1})[0]
    store.delete(token)
    session = make("read-only").open(token)
    session["new"] = 1
    spy.away = True

    assert (session.commit(), session.cookie) == (None, "leave")


def test_a_full_store_is_an_outage_for_what_grows(
    make: Make, store: LmdbStore, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the cause; a logout, which the store can take, is done."""

    def full(*_: object, **__: object) -> None:
        msg = "the store is full: 90 % of the map"
        raise StoreFull(msg)

    monkeypatch.setattr(store, "save", full)
    monkeypatch.setattr(store, "create", full)
    client = make("read-only")
    session, leaving = client.open(token), client.open(token)
    session["b"] = 1
    session.commit()
    assert isinstance(session.outage, StoreFull)

    leaving.logout()
    leaving.flash("bye")
    assert (leaving.commit(), leaving.cookie) == (None, "leave")
    assert store.find(token).reason == "deleted"


@pytest.mark.parametrize("policy", ["read-only", "anonymous"])
def test_flashes_wait_for_a_page_that_can_take_them(
    make: Make, spy: Spy, store: LmdbStore, token: str, policy: OutagePolicy
) -> None:
    """Those of an earlier request are neither lost nor shown twice; those of this one are shown."""
    store.add_flash(token, FlashMessage("info", "before"))
    client = make(policy)
    session = client.open(token)
    session.flash("now")
    spy.away = True

    assert [flash.message for flash in session.take_flashes()] == ["now"]
    assert session.commit() == token
    spy.away = False
    assert [flash.message for flash in client.open(token).take_flashes()] == ["before"]


def test_a_take_whose_answer_was_late_is_given_back(make: Make, spy: Spy, store: LmdbStore, token: str) -> None:
    """It was carried out, and nobody has seen what it took."""
    store.add_flash(token, FlashMessage("info", "before"))
    client = make("read-only")
    session = client.open(token)
    session.load()
    spy.late = True
    assert session.take_flashes() == []
    assert isinstance(session.outage, RequestTimeout)
    assert store.load(token).flashes == []  # type: ignore[union-attr]
    spy.late = False
    session.commit()

    assert [flash.message for flash in client.open(token).take_flashes()] == ["before"]


# The real thing ----------------------------------------------------------------------------------------------------


def test_a_taken_gate_is_an_outage_that_names_its_holder(store: LmdbStore, clock: FakeClock, token: str) -> None:
    """On the writer gate itself, also for the twin of commit for asyncio, which waits in a thread first."""
    settings = Settings(home=store.settings.home, on_outage="read-only", gate_timeout=0.05)
    gate = WriterGate(store.settings.home / WRITER)
    with SessionClient(settings, clock=clock) as client:
        assert client.load(token) is not None
        sync, twin = client.open(token), client.open(token)
        sync["b"], twin["c"] = 1, 2
        assert gate.enter()
        try:
            assert sync.commit() == token
            assert asyncio.run(twin.acommit()) == token
        finally:
            gate.leave()
            gate.close()
        assert sync.outage is not None
        assert twin.outage is not None
        assert (sync.outage.holder_pid, twin.outage.holder_pid) == (os.getpid(), os.getpid())
        sync["b"] = 1
        sync.commit()

    assert kept(store, token) == {**START, "b": 1}


def test_outages_are_said_once_in_a_while(
    make: Make, spy: Spy, clock: FakeClock, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in each request; with the cause, and how many there were."""
    client = make("read-only")

    def drop() -> None:
        session = client.open(token)
        session["secret key"] = "secret value"
        spy.away = True
        session.commit()
        spy.away = False

    for _ in range(3):
        drop()
    clock.advance(PAUSE + 1)
    drop()

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "on_outage=read-only, 1 times" in said[0]
    assert "3 times" in said[1]
    assert "the store is away" in said[1]
    assert not [line for line in said if "secret" in line or token in line]
