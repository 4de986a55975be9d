"""What the browser is told, in this process: our middleware, and Django's on our engine."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings

from coatcheck import FlashMessage
from coatcheck.client import SessionClient
from coatcheck.cookies import MOST_PRESENTED
from coatcheck.django.config import _cache, get_options
from coatcheck.django.current import current
from coatcheck.django.middleware import SessionMiddleware
from coatcheck.django.session import USER
from coatcheck.django.sessions import SessionStore
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from coatcheck.web.once import OVER_HTTP
from tests.django.conftest import cookie_of, session_of, using
from tests.django.project.settings import MIDDLEWARE, OURS, STOCK
from tests.django.test_sessions import sign_in, stored
from tests.session.spy import Spy

COOKIE = "__Host-id"


@pytest.fixture
def stock() -> Iterator[None]:
    """Django's own middleware."""
    with override_settings(MIDDLEWARE=[STOCK if each == OURS else each for each in MIDDLEWARE]):
        yield


def with_cookie(token: str | None) -> Client:
    """A browser that has this key."""
    browser = Client(raise_request_exception=False)
    browser.cookies[settings.SESSION_COOKIE_NAME] = token or ""
    return browser


def test_the_cookie(browser: Client, held: SessionClient) -> None:
    """Its name, its attributes, and a life as long as the session's absolute one; the test client knows it too."""
    morsel = browser.get("/put", {"a": 1}).cookies[COOKIE]

    assert {name: value for name, value in morsel.items() if value and name != "expires"} == {
        "path": "/",
        "max-age": 4 * 3600,
        "secure": True,
        "httponly": True,
        "samesite": "Lax",
    }
    assert browser.session["a"] == "1"
    assert browser.get("/sign_in", {"name": "ann"}).cookies[COOKIE]["max-age"] == 24 * 3600


@override_settings(
    SESSION_COOKIE_NAME="own", SESSION_COOKIE_SECURE=False, SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_PATH="/p"
)
def test_what_the_application_has_set_counts(browser: Client) -> None:
    """Name, Secure, SameSite and Path."""
    answer = browser.get("/put", {"a": 1})
    morsel = answer.cookies["own"]
    assert (morsel["secure"], morsel["samesite"], morsel["path"], list(answer.cookies)) == ("", "Strict", "/p", ["own"])


def test_the_cookies_options(home: Any, browser: Client) -> None:
    """Not Secure, Partitioned, no-store, another name."""
    for options, text in (
        ({"SECURE": False}, "id="),
        ({"COOKIE_NAME": "coat"}, "coat="),
        ({"PARTITIONED": True}, "; Partitioned"),
    ):
        with override_settings(COATCHECK={"HOME": home, **options}):
            assert text in browser.get("/put", {"a": 1}).cookies.output(header=""), options
    with override_settings(COATCHECK={"HOME": home, "NO_STORE": True}):
        assert Client().get("/put", {"a": 1}).headers["Cache-Control"] == "no-store"


def test_a_domain_rules_out_the_host_prefix(browser: Client) -> None:
    """The name says what browsers will check."""
    with override_settings(SESSION_COOKIE_DOMAIN="example.com", SESSION_COOKIE_NAME="__Secure-id"):
        assert browser.get("/put", {"a": 1}).cookies["__Secure-id"]["domain"] == "example.com"


@pytest.mark.parametrize(
    "wrong",
    [
        {"SESSION_COOKIE_NAME": "__Host-id", "SESSION_COOKIE_DOMAIN": "example.com"},
        {"SESSION_COOKIE_SECURE": False, "SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_NAME": "id"},
        {"SESSION_COOKIE_NAME": "a b"},
        {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"},
        {"COATCHECK": {"HOMES": "/tmp/x"}},
    ],
)
def test_what_cannot_work_is_said_when_the_server_starts(wrong: dict[str, Any]) -> None:
    """Not to the first visitor."""
    from coatcheck.django.middleware import SessionMiddleware

    with override_settings(**wrong), pytest.raises(ImproperlyConfigured):
        SessionMiddleware(lambda request: None)


def test_untouched_costs_nothing(browser: Client, held: SessionClient, spy: Spy) -> None:
    """With a session and without: the store is not asked, no header speaks of it."""
    browser.get("/put", {"a": 1})
    spy.calls.clear()
    for visitor in (browser, Client(), with_cookie("x" * 54)):
        for path in ("/untouched", "/nowhere"):
            answer = visitor.get(path)
            assert (answer.cookies.output(), answer.headers.get("Vary")) == ("", None)
    assert not spy.calls


def test_reading_is_one_touch_an_interval(browser: Client, held: SessionClient, spy: Spy, clock: FakeClock) -> None:
    """No cookie; Vary says what the answer depends on."""
    browser.get("/put", {"a": 1})
    spy.calls.clear()
    for _ in range(6):
        clock.advance(20)
        answer = browser.get("/look", {"key": "a"})
        assert (answer.json(), answer.cookies.output(), answer.headers["Vary"]) == ({"value": "1"}, "", "Cookie")
    assert spy.writes == spy.calls["touch"] == 2


def test_writing_again_sends_no_cookie(browser: Client) -> None:
    """The browser has it."""
    browser.get("/put", {"a": 1})
    answer = browser.get("/put", {"b": 1})
    assert (answer.cookies.output(), answer.headers["Vary"]) == ("", "Cookie")


def test_a_late_response_leaves_a_login_alone(browser: Client, held: SessionClient, clock: FakeClock) -> None:
    """A key that was replaced less than 30 s ago: no cookie, no new session; what is written is dropped."""
    browser.get("/put", {"a": 1})
    late = with_cookie(cookie_of(browser))
    browser.get("/sign_in", {"name": "ann"})
    clock.advance(29)
    for path in ("/look?key=a", "/put?b=2", "/push?text=x", "/show", "/sign_out"):
        answer = late.get(path)
        assert (answer.status_code, answer.cookies.output()) == (200, ""), path
    assert held.stats().sessions == 1
    assert browser.get("/who").json()["user"] == "ann"
    assert held.counters["dropped"] == 2

    clock.advance(2)
    assert late.get("/look", {"key": "a"}).cookies[COOKIE]["max-age"] == 0
    assert late.get("/put", {"b": 2}).cookies[COOKIE]["max-age"] == 4 * 3600


def test_a_key_in_grace_writes_and_sends_no_cookie(browser: Client, held: SessionClient) -> None:
    """The response that has renewed it brings the new one."""
    browser.get("/put", {"a": 1})
    late = with_cookie(cookie_of(browser))
    renewed = browser.get("/renew").cookies[COOKIE].value
    assert renewed != cookie_of(late)
    answer = late.get("/put", {"b": 2})
    assert (answer.status_code, answer.cookies.output()) == (200, "")
    assert browser.get("/read").json()["data"] == {"a": "1", "b": "2"}


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_each_request_may_refresh_the_cookie_that_it_owns(
    browser: Client, held: SessionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where that is asked for, and only that; and Vary goes with it."""
    browser.get("/put", {"a": 1})
    assert browser.get("/untouched").cookies.output() == ""
    monkeypatch.setattr(_cache, "options", replace(get_options(), refresh=True))
    answer = browser.get("/untouched")
    assert (answer.cookies[COOKIE].value, answer.headers["Vary"]) == (cookie_of(browser), "Cookie")
    late = with_cookie(cookie_of(browser))
    browser.get("/sign_in", {"name": "ann"})
    assert late.get("/untouched").cookies.output() == ""
    assert Client().get("/untouched").cookies.output() == ""


def test_a_session_that_lives_otherwise_has_its_cookie_told(browser: Client, held: SessionClient) -> None:
    """``set_expiry`` on a session that exists."""
    browser.get("/put", {"a": 1})
    session = browser.session
    request = {"HTTP_COOKIE": f"{COOKIE}={cookie_of(browser)}"}
    assert session.session_key == cookie_of(browser)
    answer = expiring(request, 0)
    assert (answer.cookies[COOKIE].value, answer.cookies[COOKIE]["max-age"]) == (cookie_of(browser), "")
    assert expiring(request, 7 * 86400).cookies[COOKIE]["max-age"] == 7 * 86400


def expiring(meta: dict[str, str], expiry: Any) -> Any:
    """The answer of a view that sets the expiry."""
    from django.http import HttpResponse
    from django.test import RequestFactory

    from coatcheck.django.middleware import SessionMiddleware

    def view(request: Any) -> HttpResponse:
        request.session.set_expiry(expiry)
        return HttpResponse()

    return SessionMiddleware(view)(RequestFactory().get("/", **meta))


@pytest.mark.parametrize("fails", ["raise=1", "status=500", "status=503"])
def test_nothing_of_a_request_that_fails_is_stored(browser: Client, fails: str) -> None:
    """Neither data nor messages; those that it has shown are shown again."""
    browser.get("/push", {"text": "hello"})
    answer = browser.get(f"/fail?{fails}")
    assert (answer.status_code >= 500, answer.cookies.output()) == (True, "")
    assert browser.get("/read").json()["data"] == {}
    assert browser.get("/show").json() == {"messages": [["success", "hello"]]}


def test_a_login_that_fails_leaves_the_key(browser: Client) -> None:
    """The browser's key still opens what it did."""
    browser.get("/put", {"a": 1})
    before = cookie_of(browser)
    assert browser.get("/sign_in", {"name": "ann", "raise": 1}).status_code == 500
    assert cookie_of(browser) == before
    assert browser.get("/look", {"key": "a"}).json() == {"value": "1"}


def test_a_request_that_a_worker_has_no_more_time_for_takes_nothing(client: SessionClient) -> None:
    """Its messages are shown by the next one, what it wrote is not kept, and nobody takes its session for the next."""
    token, _ = client.create({}, flashes=[FlashMessage.info("kept")])

    def view(request: HttpRequest) -> HttpResponse:
        assert [each.message for each in request.session.coat.take_flashes()] == ["kept"]
        request.session["lost"] = 1
        raise SystemExit

    with pytest.raises(SystemExit):
        SessionMiddleware(view)(RequestFactory().get("/", headers={"cookie": f"{COOKIE}={token}"}))

    record = client.load(token)
    assert record is not None
    assert (record.data, [each.message for each in record.flashes], current.get()) == ({}, ["kept"], None)


def test_what_has_ended_meanwhile_stays_ended(browser: Client, home: Any, store: LmdbStore, clock: FakeClock) -> None:
    """Answered as usual, without a cookie; or 400, as Django has it, where ``on_ended`` says so."""
    for policy, status in (("drop", 200), ("error", 400)):
        client = SessionClient(Settings(home=home, on_ended=policy), store=store, clock=clock)  # type: ignore[arg-type]
        with using(client):
            session = stored(a=1)
            answer = ending(session)
            assert (answer[0], answer[1]) == (status, "")
            assert client.find(str(session.session_key)).reason == "deleted"
            assert client.counters["ended"] == 1


def ending(session: SessionStore) -> tuple[int, str]:
    """Status and cookies of a request whose session another one ends."""
    from django.core.handlers.exception import convert_exception_to_response
    from django.http import HttpResponse
    from django.test import RequestFactory

    from coatcheck.django.middleware import SessionMiddleware

    def view(request: Any) -> HttpResponse:
        request.session["late"] = 1
        session_of(session.session_key).flush()
        return HttpResponse()

    request = RequestFactory().get("/", HTTP_COOKIE=f"{COOKIE}={session.session_key}")
    answer = convert_exception_to_response(SessionMiddleware(view))(request)
    return answer.status_code, answer.cookies.output()


def test_an_outage_is_503_and_touches_no_cookie(browser: Client, held: SessionClient, spy: Spy) -> None:
    """Whether a view meets it, the saving, or another middleware; untouched pages are served."""
    browser.get("/put", {"a": 1})
    browser.get("/sign_in", {"name": "ann"})
    token = cookie_of(browser)
    spy.away = True
    for path in ("/read", "/put?b=2", "/show", "/push?text=x", "/sign_out", "/who", "/sign_in?name=bob"):
        answer = browser.get(path)
        assert (answer.status_code, answer.cookies.output()) == (503, ""), path
        assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("5", "no-store")
        assert token not in answer.content.decode()
    assert browser.get("/untouched").status_code == 200
    assert Client().get("/put", {"a": 1}).status_code == 503
    spy.away = False
    assert browser.get("/who").json()["user"] == "ann"
    assert cookie_of(browser) == token


def test_what_a_view_could_not_save_costs_no_cookie(held: SessionClient, spy: Spy) -> None:
    """A view that empties the session of a user and saves it itself, while the store goes away."""
    from django.core.handlers.exception import convert_exception_to_response
    from django.http import HttpResponse
    from django.test import RequestFactory

    from coatcheck.django.middleware import SessionMiddleware

    def view(request: Any) -> HttpResponse:
        request.session.pop("_auth_user_id")
        spy.away = True
        request.session.save()
        return HttpResponse()

    session = stored(a=1)
    sign_in(session, "42")
    session.save()
    request = RequestFactory().get("/", HTTP_COOKIE=f"{COOKIE}={session.session_key}")
    answer = SessionMiddleware(convert_exception_to_response(view))(request)
    assert (answer.status_code >= 500, answer.cookies.output()) == (True, "")
    spy.away = False
    assert session_of(session.session_key)["_auth_user_id"] == "42"


def test_an_outage_that_a_middleware_meets_is_503(held: SessionClient, spy: Spy) -> None:
    """Django makes a 500 of what a middleware raises."""
    key = stored(a=1).session_key
    spy.away = True
    with override_settings(MIDDLEWARE=[OURS, f"{__name__}.reads_the_session"]):
        answer = with_cookie(key).get("/untouched")
    assert (answer.status_code, answer.cookies.output()) == (503, "")


def reads_the_session(get_response: Any) -> Any:
    """A middleware."""

    def middleware(request: Any) -> Any:
        request.session.get("a")
        return get_response(request)

    return middleware


def test_the_page_of_an_outage_may_be_the_projects_own(
    browser: Client, held: SessionClient, spy: Spy, tmp_path: Any
) -> None:
    """A template ``503.html``, as for Django's other errors."""
    (tmp_path / "503.html").write_text("Back soon, {{ request_path }}")
    spy.away = True
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}]
    with override_settings(TEMPLATES=templates):
        assert browser.get("/put", {"a": 1}).content.decode() == "Back soon, /put"


def test_a_conflict_is_409(browser: Client, home: Any, store: LmdbStore, clock: FakeClock) -> None:
    """``on_conflict = "reject"``: nothing of the request is stored, and it can be repeated."""
    client = SessionClient(Settings(home=home, on_conflict="reject"), store=store, clock=clock)
    with using(client):
        session = stored(a=1)
        from django.http import HttpResponse
        from django.test import RequestFactory

        from coatcheck.django.middleware import SessionMiddleware

        def view(request: Any) -> HttpResponse:
            request.session["a"] = 3
            other = session_of(session.session_key)
            other["a"] = 2
            other.save()
            return HttpResponse()

        request = RequestFactory().get("/", HTTP_COOKIE=f"{COOKIE}={session.session_key}")
        answer = SessionMiddleware(view)(request)
        assert (answer.status_code, answer.cookies.output()) == (409, "")
        assert session_of(session.session_key)["a"] == 2


def test_a_good_cookie_is_found_behind_bad_ones(held: SessionClient) -> None:
    """Of one name several are possible; with too many of them none is removed and none replaced."""
    key = stored(a=1).session_key
    for before in (1, MOST_PRESENTED - 1):
        header = "; ".join([f"{COOKIE}=planted{number}" for number in range(before)] + [f"{COOKIE}={key}"])
        for header_ in (header, "; ".join(reversed(header.split("; ")))):
            answer = Client().get("/look", {"key": "a"}, HTTP_COOKIE=header_)
            assert (answer.json(), answer.cookies.output()) == ({"value": 1}, "")
    header = "; ".join([f"{COOKIE}=planted{number}" for number in range(MOST_PRESENTED + 1)] + [f"{COOKIE}={key}"])
    for path in ("/look?key=a", "/put?b=1"):
        assert Client().get(path, HTTP_COOKIE=header).cookies.output() == ""
    assert held.stats().sessions == 1


def test_several_cookies_in_an_outage_are_an_outage(held: SessionClient, spy: Spy) -> None:
    """Said when the session is used, and not before."""
    header = f"{COOKIE}={stored(a=1).session_key}; {COOKIE}={stored(a=2).session_key}"
    spy.away = True
    assert Client().get("/untouched", HTTP_COOKIE=header).status_code == 200
    assert Client(raise_request_exception=False).get("/read", HTTP_COOKIE=header).status_code == 503


def test_a_bad_cookie_that_was_used_is_removed_with_all_its_attributes() -> None:
    """Or browsers would keep it; its value is in no answer."""
    for bad in ("short", "attackerchosenid", "x" * 5000):
        answer = with_cookie(bad).get("/read")
        morsel = answer.cookies[COOKIE]
        assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", 0, "/")
        assert (morsel["secure"], morsel["httponly"], morsel["samesite"]) == (True, True, "Lax")
        assert bad not in answer.content.decode() + str(answer.headers)


def test_a_stream_may_save_what_exists(browser: Client) -> None:
    """But no new key can reach the browser any more."""
    answer = browser.get("/stream")
    assert b"".join(answer.streaming_content) == b"one two"
    assert browser.get("/read").json()["data"] == {"before": 1, "during": 2}


def test_a_stream_says_that_it_may_depend_on_the_session(client: SessionClient) -> None:
    """Whoever it is for may be read when the headers have left: a shared cache would show it to the next visitor."""
    token, _ = client.create({USER: "7"}, principal="7")
    request = RequestFactory().get("/", headers={"cookie": f"{COOKIE}={token}"})
    pieces = (str(request.session[key]) for key in [USER])

    answer = SessionMiddleware(lambda _: StreamingHttpResponse(pieces))(request)
    assert answer["Vary"] == "Cookie"
    assert b"".join(answer.streaming_content) == b"7"

    file = SessionMiddleware(lambda _: FileResponse(io.BytesIO(b"same for all")))(request)
    assert "Vary" not in file


def test_a_secure_cookie_over_http_is_warned_of_once(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Browsers drop it without a word."""
    OVER_HTTP.forget()
    for _ in range(2):
        Client().get("/put", {"a": 1}, HTTP_HOST="shop.example")
        Client().get("/put", {"a": 1}, HTTP_HOST="localhost:8000")
        Client().get("/put", {"a": 1}, HTTP_HOST="shop.example", secure=True)
    assert len([each for each in caplog.records if "over plain http" in each.getMessage()]) == 1


def test_force_login_and_the_clients_session_work(browser: Client, client: SessionClient) -> None:
    """What tests of applications use."""
    from tests.django.conftest import ann

    browser.force_login(ann())
    session = browser.session
    session["mark"] = "set by the test"
    session.save()
    assert browser.get("/who").json()["mark"] == "set by the test"
    assert browser.get("/who").json()["user"] == "ann"
    browser.logout()
    assert client.sessions_of(str(ann().pk)) == []


# Django's own middleware ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stock")
def test_the_stock_middleware_has_the_same_cookie(browser: Client) -> None:
    """Name and Secure are coatcheck's, as the settings say so since the engine was imported."""
    morsel = browser.get("/put", {"a": 1}).cookies[COOKIE]
    assert (morsel["secure"], morsel["httponly"], morsel["max-age"]) == (True, True, 24 * 3600)
    assert browser.get("/sign_in", {"name": "ann"}).status_code == 200
    assert browser.get("/who").json()["user"] == "ann"
    assert browser.get("/sign_out").cookies[COOKIE]["max-age"] == 0


@pytest.mark.usefixtures("stock")
def test_the_stock_middleware_never_brings_a_replaced_key(browser: Client, held: SessionClient) -> None:
    """Late requests that read are answered; those that write get Django's 400. No cookie in either case."""
    browser.get("/put", {"a": 1})
    late = with_cookie(cookie_of(browser))
    browser.get("/sign_in", {"name": "ann"})
    answers = [late.get(path) for path in ("/look?key=a", "/untouched", "/put?b=2", "/push?text=x")]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 400]
    assert [answer.cookies.output() for answer in answers] == [""] * 4

    in_grace = with_cookie(cookie_of(browser))
    session = session_of(cookie_of(browser))
    session.coat.rotate(grace=10)
    session.cookie_is_guarded = True
    session.save()
    assert in_grace.get("/put", {"c": 1}).status_code == 400
    assert in_grace.get("/look", {"key": "a"}).cookies.output() == ""


@pytest.mark.usefixtures("stock")
def test_the_stock_middleware_touches_no_cookie_in_an_outage(browser: Client, held: SessionClient, spy: Spy) -> None:
    """Django answers 500 to what the view meets; what was signed in is so afterwards."""
    browser.get("/put", {"a": 1})
    browser.get("/sign_in", {"name": "ann"})
    token = cookie_of(browser)
    spy.away = True
    for path in ("/read", "/put?b=2", "/show", "/sign_out", "/who"):
        answer = browser.get(path)
        assert (answer.status_code, answer.cookies.output()) == (500, ""), path
    spy.away = False
    assert (browser.get("/who").json()["user"], cookie_of(browser)) == ("ann", token)


@pytest.mark.usefixtures("stock")
def test_the_stock_middleware_saves_values_changed_in_place(browser: Client) -> None:
    """``session.modified = True`` is not needed there either."""
    browser.get("/put", {"a": 1})
    session = browser.session
    session["cart"] = []
    session.save()
    browser.get("/nest", {"item": "hat"})
    assert browser.get("/read").json()["data"]["cart"] == ["hat"]


def test_sign_in_is_what_django_does() -> None:
    """The helper of these tests sets the keys that django.contrib.auth does."""
    from django.contrib import auth

    session = SessionStore()
    sign_in(session, "1")
    assert set(session.keys()) == {auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY}
