"""How long a session lives, by ``set_expiry``, ``SESSION_COOKIE_AGE`` and coatcheck's own settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.test import override_settings

from coatcheck.client import SessionClient
from coatcheck.clock import SECOND
from coatcheck.django.sessions import SessionStore
from coatcheck.lifetimes import ANONYMOUS, DAY, HOUR, SIGNED_IN, Lifetimes
from coatcheck.testing import FakeClock
from tests.django.conftest import session_of
from tests.django.test_sessions import sign_in, signed_in, stored

WEEK = 7 * DAY


def lifetimes(session: SessionStore) -> Lifetimes:
    """Those at rest."""
    found = session_of(session.session_key).coat.lifetimes
    assert found is not None
    return found


def ends_in(session: SessionStore, client: SessionClient) -> float:
    """Seconds until it ends without further use."""
    record = client.load(str(session.session_key), touch=False)
    assert record is not None
    return (record.expires_at - client.clock.now()) / SECOND


def moment(client: SessionClient, seconds: float) -> datetime:
    """A moment, seconds from now."""
    return datetime.fromtimestamp(client.clock.now() / SECOND, timezone.utc) + timedelta(seconds=seconds)


def test_djangos_untouched_default_yields(held: SessionClient) -> None:
    """Two weeks for everybody are not what coatcheck's settings say."""
    assert lifetimes(stored(a=1)) == ANONYMOUS
    session = signed_in("42")
    assert lifetimes(session) == SIGNED_IN
    assert session.get_expiry_age() == session.get_session_cookie_age() == SIGNED_IN.absolute


@override_settings(SESSION_COOKIE_AGE=WEEK)
def test_an_age_that_is_set_is_idle_and_absolute_where_longer(held: SessionClient) -> None:
    """And a login keeps to it."""
    session = stored(a=1)
    assert (lifetimes(session).idle, lifetimes(session).absolute) == (WEEK, WEEK)
    sign_in(session, "42")
    session.save()
    assert (lifetimes(session).idle, lifetimes(session).absolute) == (WEEK, WEEK)
    assert session.get_expiry_age() == WEEK


@override_settings(SESSION_COOKIE_AGE=600)
def test_a_short_age_leaves_the_absolute_lifetime(held: SessionClient, clock: FakeClock) -> None:
    """Ten minutes without use, and the day of who is signed in."""
    session = signed_in("42")
    assert (lifetimes(session).idle, lifetimes(session).absolute) == (600, SIGNED_IN.absolute)
    clock.advance(599)
    assert session_of(session.session_key)["_auth_user_id"] == "42"
    clock.advance(2)
    assert session_of(session.session_key).get("_auth_user_id") is None


def test_an_engine_of_ones_own_may_say_the_age(held: SessionClient) -> None:
    """``get_session_cookie_age`` is what Django documents for that."""

    class Brief(SessionStore):
        def get_session_cookie_age(self) -> int:
            return 300

    session = Brief()
    session["a"] = 1
    session.save()
    assert lifetimes(session).idle == 300


def test_a_number_is_idle_seconds(held: SessionClient, clock: FakeClock) -> None:
    """Remember me: idle for weeks, and absolute as long at least."""
    session = stored(a=1)
    session.set_expiry(int(WEEK))
    session.save()
    assert (lifetimes(session).idle, lifetimes(session).absolute) == (WEEK, WEEK)
    clock.advance(2 * DAY)
    assert session_of(session.session_key)["a"] == 1

    brief = signed_in("42")
    brief.set_expiry(300)
    brief.save()
    assert (lifetimes(brief).idle, lifetimes(brief).absolute) == (300, SIGNED_IN.absolute)


@pytest.mark.parametrize("signs_in", [False, True])
def test_a_moment_is_the_end_however_much_it_is_used(held: SessionClient, clock: FakeClock, *, signs_in: bool) -> None:
    """From then on nothing is there, and use before does not matter; a login in between does not move it."""
    session = stored(a=1)
    clock.advance(100)
    session.set_expiry(moment(held, HOUR))
    session.save()
    assert ends_in(session, held) == pytest.approx(HOUR)
    clock.advance(HOUR / 2)
    if signs_in:
        sign_in(session, "42")
        session.save()
    assert ends_in(session, held) == pytest.approx(HOUR / 2)
    clock.advance(HOUR / 2 - 1)
    assert session_of(session.session_key)["a"] == 1
    clock.advance(2)
    assert session_of(session.session_key).get("a") is None


@pytest.mark.parametrize("expiry", [-1, "past"])
def test_what_is_over_is_over_at_once(held: SessionClient, clock: FakeClock, expiry: Any) -> None:
    """A moment of the past, and less than no seconds."""
    session = stored(a=1)
    session.set_expiry(moment(held, -10) if expiry == "past" else expiry)
    session.save()
    clock.advance(1)
    assert session_of(session.session_key).get("a") is None


def test_none_goes_back_to_what_is_usual(held: SessionClient) -> None:
    """Also when all keys are cleared."""
    resets: list[Callable[[SessionStore], Any]] = [lambda session: session.set_expiry(None), SessionStore.clear]
    for reset in resets:
        session = stored(a=1)
        session.set_expiry(300)
        session.save()
        reset(session)
        session["b"] = 1
        session.save()
        assert lifetimes(session) == ANONYMOUS


def test_until_the_browser_is_closed_the_server_has_its_limits(held: SessionClient) -> None:
    """0 is about the cookie."""
    session = stored(a=1)
    session.set_expiry(0)
    session.save()
    assert session.get_expire_at_browser_close()
    assert lifetimes(session) == ANONYMOUS


def test_a_parallel_request_does_not_undo_it(held: SessionClient) -> None:
    """One that has loaded the session before, and saves something else after."""
    session = stored(a=1)
    late = session_of(session.session_key)
    assert late["a"] == 1
    session.set_expiry(300)
    session.save()
    late["b"] = 2
    late.save()
    assert lifetimes(session).idle == 300
