"""What a response says about its session, without any framework."""

from __future__ import annotations

import logging

import pytest

from coatcheck import ConfigurationError, Lifetimes
from coatcheck.client import SessionClient
from coatcheck.cookies import LONGEST, CookieRules
from coatcheck.session import Session
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from coatcheck.web.answer import ends_at, max_age, token_action, vary_by
from coatcheck.web.opening import open_presented
from coatcheck.web.stretching import lifetimes_for
from coatcheck.web.transport import CookieTransport, HeaderTransport, TokenTransport

LOG = logging.getLogger("coatcheck.tests.web")


@pytest.fixture
def client(store: LmdbStore, clock: FakeClock) -> SessionClient:
    """A client on the direct lane, at a time that the test holds."""
    return SessionClient(store.settings, store=store, clock=clock)


def always() -> bool:
    """Refresh, as Flask does for permanent sessions."""
    return True


def never() -> bool:
    """Do not."""
    return False


def test_a_new_session_sets_and_a_known_one_leaves(client: SessionClient) -> None:
    """Only a token that the browser does not have yet is worth a header; a refresh repeats it."""
    session = client.open()
    session["a"] = 1
    token = session.commit()
    assert token_action(session, never) == "set"

    again = client.open(token)
    assert again["a"] == 1
    again.commit()
    assert token_action(again, never) == "leave"
    assert token_action(again, always) == "set"


def test_a_refresh_never_brings_back_a_token_that_was_replaced(client: SessionClient) -> None:
    """Another response has brought the new one: repeating the old one would sign the visitor out."""
    token, _ = client.create({"a": 1})
    slow = client.open(token)
    assert slow["a"] == 1
    client.login(token, "ann")
    slow.commit()

    assert token_action(slow, always) == "leave"


def test_a_token_without_a_session_is_removed_once_it_was_used(client: SessionClient) -> None:
    """An untouched request leaves even a dead cookie alone."""
    token, _ = client.create({"a": 1})
    client.delete(token)
    untouched, read = client.open(token), client.open(token)
    assert "a" not in read
    for each in (untouched, read):
        each.commit()

    assert token_action(untouched, always) == "leave"
    assert token_action(read, always) == "remove"


def test_the_cookie_ends_with_its_session(client: SessionClient, clock: FakeClock) -> None:
    """Not before it, not after it, and never later than browsers allow."""
    token, record = client.create({}, lifetimes=Lifetimes(idle=60, absolute=100.5))
    session = client.open(token)
    now = clock.now()
    assert ends_at(session, now) == record.absolute_expires_at
    assert max_age(session, now) == 101
    endless, _ = client.create({}, lifetimes=Lifetimes(idle=60, absolute=None))
    assert max_age(client.open(endless), now) == LONGEST


@pytest.mark.parametrize(
    ("present", "value"),
    [
        ([], "Cookie"),
        (["Accept"], "Accept, Cookie"),
        (["Accept, Origin", "X"], "Accept, Origin, X, Cookie"),
        (["cookie"], None),
        (["Accept,COOKIE"], None),
        (["*"], None),
        ([""], "Cookie"),
    ],
)
def test_vary(present: list[str], value: str | None) -> None:
    """One header, each name once, nothing lost that was there."""
    assert vary_by("Cookie", present) == value


def test_one_lifetime_becomes_two(client: SessionClient) -> None:
    """It is the idle one, the absolute one too where it is longer; what was chosen for a session stays."""
    settings = client.settings
    assert lifetimes_for(settings, None, None, signed_in=False) is None
    short = lifetimes_for(settings, None, 60, signed_in=False)
    assert short is not None
    assert (short.idle, short.absolute) == (60, settings.anonymous.absolute)
    long = lifetimes_for(settings, None, 10 * 86400, signed_in=True)
    assert long is not None
    assert (long.idle, long.absolute) == (10 * 86400, 10 * 86400)
    _, usual = client.create({}, lifetimes=short)
    _, chosen = client.create({}, lifetimes=Lifetimes(idle=5, absolute=6))
    assert lifetimes_for(settings, usual, 60, signed_in=True) is not None
    assert lifetimes_for(settings, chosen, 60, signed_in=True) is None


def test_a_header_carries_the_token_as_well(client: SessionClient) -> None:
    """For clients without cookies: it comes in a header, goes out in one, and is taken away by an empty one."""
    transport = HeaderTransport("X-Session-Token")
    token, _ = client.create({"a": 1})

    def opened(value: str | None) -> Session:
        return open_presented(client.open, value, transport, LOG, load=True)

    assert opened(f" {token} ")["a"] == 1
    assert "a" not in opened(None)
    assert "a" not in opened("")
    assert "a" not in opened(f"{token}, {token}")
    assert transport.issue("TOKEN", 60) == ("X-Session-Token", "TOKEN")
    assert transport.removal() == ("X-Session-Token", "")
    assert transport.request_header == "X-Session-Token"


@pytest.mark.parametrize("name", ["", "a b", "X\r\nSet-Cookie", "Cookie", "set-cookie", "X:", "Vary", 7])
def test_a_header_that_is_none_is_refused(name: str) -> None:
    """When it is configured, and nothing gets into a response by its name."""
    with pytest.raises(ConfigurationError, match="token_header"):
        HeaderTransport(name)


@pytest.mark.parametrize("dead", ["forged", "deleted"])
def test_a_dead_cookie_does_not_hide_a_live_one(client: SessionClient, dead: str) -> None:
    """Cookies of one name for several paths: each is tried."""
    live, _ = client.create({"a": 1})
    other, _ = client.create({"b": 1})
    client.delete(other)
    transport: TokenTransport = CookieTransport(CookieRules())
    first = {"forged": "rubbish", "deleted": other}[dead]

    session = open_presented(client.open, f"__Host-id={first}; __Host-id={live}", transport, LOG, load=False)

    assert session["a"] == 1
    assert session.token == live


def test_one_of_many_cookies_is_never_replaced(client: SessionClient, caplog: pytest.LogCaptureFixture) -> None:
    """The live one may be among those that were not looked at."""
    many = "; ".join(f"__Host-id=bad{number}" for number in range(100))
    session = open_presented(client.open, many, CookieTransport(CookieRules()), LOG, load=False)
    session["a"] = 1
    session.commit()

    assert token_action(session, always) == "leave"
    assert client.stats().sessions == 0
