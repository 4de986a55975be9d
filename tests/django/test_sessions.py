"""``request.session`` beyond what Django's own tests ask: nothing is lost, nothing comes back, one step is one step."""

from __future__ import annotations

import logging
from collections import defaultdict, namedtuple
from enum import Enum
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.db.models import TextChoices
from django.utils.safestring import mark_safe

from coatcheck import StoreUnavailable, UnstorableValue
from coatcheck.client import SessionClient
from coatcheck.django.sessions import SessionStore
from coatcheck.errors import CorruptRecord
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.django.conftest import session_of, using
from tests.session.spy import Spy

MINUTE = 60_000_000
BACKEND = "django.contrib.auth.backends.ModelBackend"


class Size(TextChoices):
    """Choices as an application has them."""

    SMALL = "s", "small"


def stored(**values: Any) -> SessionStore:
    """A session at rest."""
    session = SessionStore()
    session.update(values)
    session.save()
    return session


def signed_in(user: str, **values: Any) -> SessionStore:
    """A session at rest in which somebody is signed in."""
    session = stored(**values)
    sign_in(session, user)
    session.save()
    return session


def sign_in(session: SessionStore, user: str) -> None:
    """As django.contrib.auth does it."""
    session.cycle_key()
    session["_auth_user_id"] = user
    session["_auth_user_backend"] = BACKEND
    session["_auth_user_hash"] = "hash"


def test_parallel_requests_keep_each_others_keys() -> None:
    """Each has loaded the session before any of them saves; values that were changed in place count too."""
    key = stored(cart=["coat"], a=1).session_key
    first, second, third = (session_of(key) for _ in range(3))
    for each in (first, second, third):
        assert each["a"] == 1
    first["b"] = 2
    second["cart"].append("hat")
    del third["a"]
    assert [each.modified for each in (first, second, third)] == [True, True, True]
    for each in (first, second, third):
        each.save()

    assert dict(session_of(key).items()) == {"cart": ["coat", "hat"], "b": 2}


def test_looking_is_no_change() -> None:
    """A value that was handed out and is the same is not modified."""
    session = session_of(stored(cart=["coat"]).session_key)
    assert session["cart"] == ["coat"]
    assert list(session.items()) == [("cart", ["coat"])]
    assert (session.accessed, session.modified) == (True, False)


def test_increments_and_appends_add_up() -> None:
    """Parallel ones on one key, too."""
    key = stored(hits=1).session_key
    first, second = session_of(key), session_of(key)
    for each in (first, second):
        assert each.increment("hits") == 2
        each.append("seen", "x", limit=5)
    first.save()
    second.save()

    assert dict(session_of(key).items()) == {"hits": 3, "seen": ["x", "x"]}


def test_a_login_is_one_step(held: SessionClient, spy: Spy) -> None:
    """New key, user and data in one transaction; the key that was shown after ``cycle_key`` is the one that counts."""
    anonymous = stored(cart=["coat"])
    planted = anonymous.session_key
    spy.calls.clear()

    session = session_of(planted)
    sign_in(session, "42")
    shown = session.session_key
    assert shown != planted
    assert session_of(planted)["cart"] == ["coat"], "the store knows nothing of it yet"
    session.save()

    assert session.session_key == shown
    assert (spy.calls["login"], spy.writes) == (1, 1)
    assert held.find(str(planted)).reason == "retired"
    assert [info.sid for info in held.sessions_of("42")] == [session_of(shown).coat.sid]
    assert session_of(shown)["cart"] == ["coat"]


def test_a_login_ends_every_grace(held: SessionClient) -> None:
    """Otherwise a key planted before a renewal would be the user's after it."""
    planted = stored(a=1).session_key
    session = session_of(planted)
    session.coat.rotate(grace=10)
    session.save()
    assert session_of(planted)["a"] == 1
    sign_in(session, "42")
    session.save()

    assert held.find(str(planted)).reason == "retired"
    assert session_of(planted).get("a") is None


def test_a_login_in_a_new_session_has_the_key_that_was_shown(held: SessionClient, spy: Spy) -> None:
    """Programs that note the key when somebody has signed in note the right one."""
    session = SessionStore()
    sign_in(session, "42")
    shown = session.session_key
    session.save()

    assert session.session_key == shown
    assert held.find(str(shown)).record is not None
    assert spy.writes == 1


def test_a_login_that_is_not_saved_has_not_happened(held: SessionClient) -> None:
    """A request that fails changes nothing: the browser's key still works."""
    key = stored(a=1).session_key
    sign_in(session_of(key), "42")

    assert session_of(key)["a"] == 1
    assert held.sessions_of("42") == []


def test_signing_in_again_is_a_new_key(held: SessionClient) -> None:
    """Somebody has proved again who they are (ASVS 7.2.4), though Django's own login leaves the key alone."""
    session = signed_in("42")
    before = session.session_key
    again = session_of(before)
    again["_auth_user_id"] = "42"
    again.save()

    assert again.session_key != before
    assert held.find(str(before)).reason == "retired"
    assert len(held.sessions_of("42")) == 1


def test_another_user_sees_nothing_of_the_one_before(held: SessionClient) -> None:
    """Also where an application sets the user itself, without ``login``; what it has set with it stays."""
    session = signed_in("1", secret="of the first")
    other = session_of(session.session_key)
    assert other["secret"] == "of the first"
    other["_auth_user_id"] = "2"
    other["own"] = 1
    other.save()

    data = dict(session_of(other.session_key).items())
    assert (data["_auth_user_id"], data["own"], "secret" in data) == ("2", 1, False)
    assert held.sessions_of("1") == []
    assert len(held.sessions_of("2")) == 1


@pytest.mark.parametrize("how", ["clear", "pop"])
def test_a_user_who_is_taken_out_has_no_session_left(held: SessionClient, how: str) -> None:
    """What stays begins another session, whose key is new."""
    before = signed_in("42", lang="de").session_key
    session = session_of(before)
    if how == "clear":
        session.clear()
        session["lang"] = "de"
    else:
        session.pop("_auth_user_id")
    session.save()

    assert held.sessions_of("42") == []
    assert held.find(str(before)).reason == "deleted"
    assert session.session_key != before
    assert session_of(session.session_key)["lang"] == "de"


def test_flush_ends_the_session_whatever_its_key_is_by_now(held: SessionClient) -> None:
    """A logout that overlaps a renewal of the key."""
    key = signed_in("42").session_key
    leaving = session_of(key)
    assert leaving["_auth_user_id"] == "42"
    renewing = session_of(key)
    renewing.cycle_key()
    renewing.save()
    leaving.flush()

    assert held.sessions_of("42") == []
    assert leaving.session_key is None
    assert leaving.is_empty()


def test_saving_what_has_ended_or_got_another_key_is_an_update_error() -> None:
    """With changes and without: a response must not bring a key that opens nothing any more."""
    for change in (True, False):
        session = stored(a=1)
        late = session_of(session.session_key)
        assert late["a"] == 1
        session.cycle_key()
        session.save()
        if change:
            late["b"] = 2
        with pytest.raises(UpdateError):
            late.save()
        assert dict(session_of(session.session_key).items()) == {"a": 1}


def test_an_invented_key_is_never_adopted(held: SessionClient) -> None:
    """Not by saving, nor by creating."""
    invented = "attackerchosenid" * 3
    for save in (SessionStore.save, SessionStore.create):
        session = session_of(invented)
        session["a"] = 1
        save(session)
        assert session.session_key not in (None, invented)
        assert held.find(invented).reason == "forged"


def test_create_takes_what_is_there_along(held: SessionClient) -> None:
    """``create`` on a session that exists makes another; the first one stays."""
    session = stored(a=1)
    first = session.session_key
    session.create()

    assert session.session_key != first
    assert [dict(session_of(key).items()) for key in (first, session.session_key)] == [{"a": 1}, {"a": 1}]


def test_a_session_emptied_of_data_keeps_its_key(held: SessionClient) -> None:
    """As Django has it: an anonymous basket may hang on it."""
    session = stored(a=1)
    del session["a"]
    session.save()

    assert held.find(str(session.session_key)).record is not None
    assert not session.is_empty()


def test_values_of_plainer_base_types_are_stored_as_those() -> None:
    """What Django's JSON serializer does with them; what it could not store either is refused by name."""
    point = namedtuple("point", "x y")  # noqa: PYI024 - one as old code has it
    session = stored(
        size=Size.SMALL,
        deep=[{"sizes": {Size.SMALL: defaultdict(int, a=1)}}],
        safe=mark_safe("<b>"),
        point=point(1, 2),
        same=(1, 2),
    )
    data = dict(session_of(session.session_key).items())
    assert data == {
        "size": "s",
        "deep": [{"sizes": {"s": {"a": 1}}}],
        "safe": "<b>",
        "point": [1, 2],
        "same": (1, 2),
    }
    assert type(data["size"]) is str
    assert type(data["safe"]) is str

    session["bad"] = [object()]
    with pytest.raises(UnstorableValue, match=r"bad\[0\]"):
        session.save()
    session["bad"] = Enum("Kind", "A B").A  # type: ignore[attr-defined]
    with pytest.raises(UnstorableValue, match="bad"):
        session.save()


def test_a_store_that_cannot_be_asked_is_no_empty_session(held: SessionClient, spy: Spy) -> None:
    """It raises wherever the session is used, is asked once, and costs the browser nothing."""
    key = stored(a=1).session_key
    spy.away = True
    session = session_of(key)
    spy.calls.clear()
    for use in (session.keys, session.flush, session.clear, session.cycle_key, session.save, lambda: session.get("a")):
        with pytest.raises(StoreUnavailable):
            use()
    assert spy.calls["find"] == 1
    assert not session.is_empty()
    assert not session.modified
    assert session.session_key == key
    spy.away = False
    assert session_of(key)["a"] == 1


def test_a_logout_in_an_outage_raises(held: SessionClient, spy: Spy) -> None:
    """It would look as if it had happened."""
    session = signed_in("42")
    key = session.session_key
    spy.away = True
    with pytest.raises(StoreUnavailable):
        session.flush()
    with pytest.raises(StoreUnavailable):
        session.delete()
    assert (session.session_key, session["_auth_user_id"], session.coat.cookie) == (key, "42", "set")


def test_the_policies_for_outages_are_those_of_the_store(store: LmdbStore, spy: Spy, clock: FakeClock) -> None:
    """``anonymous`` goes on as a guest, ``read-only`` drops writes; neither drops a login."""
    for policy in ("anonymous", "read-only"):
        spy.away = False
        settings = Settings(home=store.settings.home, on_outage=policy)
        with using(SessionClient(settings, store=spy, clock=clock)):
            key = stored(a=1).session_key
            session = session_of(key)
            if policy == "read-only":
                assert session["a"] == 1
            spy.away = True
            assert session.get("a") == (1 if policy == "read-only" else None)
            session["b"] = 2
            session.save()
            assert (session.coat.outage is None, session.is_empty(), session.session_key) == (False, False, key)
            sign_in_raises = pytest.raises(StoreUnavailable)
            with sign_in_raises:
                sign_in(session, "42")
                session.save()
        assert dict(store.load(str(key)).data) == {"a": 1}  # type: ignore[union-attr]


def test_what_cannot_be_read_is_logged_and_missing(
    held: SessionClient, spy: Spy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Django has it; the log has neither key nor data."""
    key = str(stored(a="private").session_key)

    def find(_: str) -> None:
        msg = "the body of 0123abcd cannot be what coatcheck wrote"
        raise CorruptRecord(msg)

    monkeypatch.setattr(spy, "find", find, raising=False)
    with caplog.at_level(logging.WARNING):
        session = session_of(key)
        assert dict(session.items()) == {}
    assert session.session_key is None
    (line,) = [each for each in caplog.records if each.name == "django.security.SuspiciousSession"]
    assert line.getMessage().startswith("Session data corrupted")
    assert key not in caplog.text
    assert "private" not in caplog.text


def test_nothing_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """Not ``repr``, nor any log."""
    with caplog.at_level(logging.DEBUG):
        session = signed_in("42", a=1)
        session_of(session.session_key).flush()
    assert str(session.session_key) not in repr(session) + repr(session.coat) + caplog.text


def test_clear_expired_removes_what_has_expired(held: SessionClient, clock: FakeClock) -> None:
    """And nothing else."""
    old = [stored(a=number) for number in range(3)]
    clock.advance(1000)
    new = stored(a=1)
    clock.advance(1000)
    assert held.stats().sessions == len(old) + 1
    SessionStore.clear_expired()
    assert held.stats().sessions == 1
    assert new.exists(new.session_key)
