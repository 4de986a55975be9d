"""Messages are a mailbox: appended and taken as one step, and what other frameworks flash is in it too."""

from __future__ import annotations

import pytest
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.utils.safestring import SafeString, mark_safe

from coatcheck import FlashMessage, StoreUnavailable
from coatcheck.client import SessionClient
from coatcheck.django.messages import MessageStorage, flash_of, message_of
from coatcheck.django.sessions import SessionStore
from tests.django.conftest import cookie_of, session_of
from tests.django.test_middleware import with_cookie
from tests.django.test_sessions import sign_in, stored
from tests.session.spy import Spy


def storage_on(token: str | None) -> MessageStorage:
    """The storage of a request with this key."""
    request = HttpRequest()
    request.session = session_of(token)
    return MessageStorage(request)


def answered(storage: MessageStorage, status: int = 200) -> None:
    """The end of its request, as the middleware have it."""
    storage.update(HttpResponse(status=status))
    if status < 500 and storage.request.session.modified:
        storage.request.session.save()


def texts(storage: MessageStorage) -> list[str]:
    """What is shown."""
    return [str(message) for message in storage]


def test_parallel_requests_lose_no_message_and_show_none_twice() -> None:
    """Each has looked at the mailbox before any of them appends or takes."""
    key = stored(a=1).session_key
    first = storage_on(key)
    first.add(constants.INFO, "before")
    answered(first)
    storages = [storage_on(key) for _ in range(6)]
    for each in storages:
        assert len(each) == 1
    for number, each in enumerate(storages[:4]):
        each.add(constants.INFO, f"message {number}")
        answered(each)
    shown = [text for each in storages[4:] for text in texts(each)]

    assert sorted(shown) == ["before", *(f"message {number}" for number in range(4))]
    assert texts(storage_on(key)) == []


def test_looking_does_not_take() -> None:
    """``len`` and ``in``, as templates use them around the loop."""
    storage = storage_on(stored(a=1).session_key)
    storage.add(constants.INFO, "one")
    answered(storage)
    looking = storage_on(storage.request.session.session_key)
    assert (len(looking), Message(constants.INFO, "one") in looking) == (1, True)
    answered(looking)
    assert texts(storage_on(storage.request.session.session_key)) == ["one"]


@pytest.mark.parametrize("status", [500, 503])
def test_a_response_that_fails_gives_back_what_it_has_shown(status: int) -> None:
    """In its place, for the next page."""
    storage = storage_on(stored(a=1).session_key)
    key = storage.request.session.session_key
    storage.add(constants.INFO, "one")
    answered(storage)
    failing = storage_on(key)
    assert texts(failing) == ["one"]
    failing.add(constants.ERROR, "own")
    answered(failing, status)
    assert texts(storage_on(key)) == ["one"]


def test_what_is_added_and_shown_at_once_is_not_stored() -> None:
    """As Django has it; iterating twice shows it twice."""
    storage = storage_on(stored(a=1).session_key)
    storage.add(constants.INFO, "one")
    assert texts(storage) == texts(storage) == ["one"]
    answered(storage)
    assert texts(storage_on(storage.request.session.session_key)) == []


def test_a_message_begins_a_session_and_survives_a_login_and_a_logout(browser: Client) -> None:
    """The page after each of them shows what was said before."""
    browser.get("/push", {"text": "one"})
    before = cookie_of(browser)
    browser.get("/sign_in", {"name": "ann"})
    assert cookie_of(browser) != before
    assert browser.get("/show").json() == {"messages": [["success", "one"]]}
    assert browser.get("/show").json() == {"messages": []}


def test_a_late_page_does_not_take_from_the_login_that_overtook_it(browser: Client) -> None:
    """Its key opens nothing, so it shows nothing."""
    browser.get("/push", {"text": "one"})
    late = with_cookie(cookie_of(browser))
    browser.get("/sign_in", {"name": "ann"})
    assert late.get("/show").json() == {"messages": []}
    assert browser.get("/show").json() == {"messages": [["success", "one"]]}


@pytest.mark.parametrize(
    ("message", "flash"),
    [
        (Message(constants.SUCCESS, "a"), FlashMessage("success", "a")),
        (Message(constants.ERROR, "a", "big red"), FlashMessage("big red error", "a")),
        (Message(29, "a", ""), FlashMessage("29", "a")),
        (Message(29, "a", "x"), FlashMessage("x 29", "a")),
        (Message(constants.DEBUG, mark_safe("<b>")), FlashMessage("debug", "<b>")),
    ],
)
def test_a_message_is_a_flash_and_back(message: Message, flash: FlashMessage) -> None:
    """Level, text, extra tags, and whether it is safe."""
    there = flash_of(message)
    back = message_of(there)
    assert (there.level, there.message) == (flash.level, flash.message)
    assert (back.level, back.message, back.tags) == (message.level, message.message, message.tags)
    assert type(back.message) is type(message.message)


def test_flashes_of_other_frameworks_are_messages(client: SessionClient) -> None:
    """Any category; a title is kept beside the text."""
    session = stored(a=1)
    for flash in (FlashMessage.warning("a", title="T"), FlashMessage("message", "b"), FlashMessage("danger", "c")):
        client.add_flash(str(session.session_key), flash)
    found = list(storage_on(session.session_key))
    assert [(each.level, each.extra_tags, each.message) for each in found] == [
        (constants.WARNING, "", "a"),
        (constants.INFO, "message", "b"),
        (constants.INFO, "danger", "c"),
    ]
    assert [each.title for each in found] == ["T", None, None]


def test_safe_text_is_safe_on_the_next_page() -> None:
    """And other text is not."""
    storage = storage_on(None)
    storage.add(constants.INFO, mark_safe("<b>"))
    storage.add(constants.INFO, "<i>")
    answered(storage)
    found = [each.message for each in storage_on(storage.request.session.session_key)]
    assert [(type(each), each) for each in found] == [(SafeString, "<b>"), (str, "<i>")]


def test_an_outage_shows_no_empty_mailbox(held: SessionClient, spy: Spy) -> None:
    """It raises, and the message is there when the store is back."""
    storage = storage_on(None)
    storage.add(constants.INFO, "one")
    answered(storage)
    key = storage.request.session.session_key
    waiting = storage_on(key)
    assert len(waiting) == 1
    spy.away = True
    for each in (waiting, storage_on(key)):
        with pytest.raises(StoreUnavailable):
            texts(each)
    spy.away = False
    assert texts(storage_on(key)) == ["one"]


def test_a_storage_without_our_sessions_says_what_to_do() -> None:
    """No session, and one of another engine."""
    request = HttpRequest()
    with pytest.raises(ImproperlyConfigured, match="session middleware"):
        MessageStorage(request)
    request.session = {}
    with pytest.raises(ImproperlyConfigured, match=r"coatcheck\.django\.sessions"):
        MessageStorage(request)


def test_assert_messages_of_djangos_tests_works(browser: Client) -> None:
    """What was added is what a test finds on the request afterwards, and looking takes nothing."""
    from django.contrib.messages import get_messages

    answer = browser.get("/push", {"text": "one"})
    assert [str(each) for each in get_messages(answer.wsgi_request)] == ["one"]
    assert browser.get("/show").json() == {"messages": [["success", "one"]]}


@override_settings(MESSAGE_LEVEL=constants.ERROR)
def test_messages_below_the_level_are_not_kept(browser: Client) -> None:
    """And begin no session."""
    assert browser.get("/push", {"text": "one"}).cookies.output() == ""


def test_a_login_takes_the_mailbox_along_only_for_the_same_person() -> None:
    """Another user shall not read what was said to the one before."""
    session = SessionStore()
    sign_in(session, "1")
    session.save()
    storage = storage_on(session.session_key)
    storage.add(constants.INFO, "private")
    answered(storage)
    other = session_of(session.session_key)
    other["_auth_user_id"] = "2"
    other.save()
    assert texts(storage_on(other.session_key)) == []
