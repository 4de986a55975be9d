"""What a request costs and what it sends: nothing for those that do not use the session, little for the others."""

from __future__ import annotations

import pytest
from flask import Flask, Response, make_response, stream_with_context
from flask import session as flask_session
from flask.testing import FlaskClient

from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from coatcheck.web.once import MANY_COOKIES
from tests.flask.conftest import client_of, cookie_of, give


def rows(app: Flask) -> int:
    """Sessions at rest."""
    return client_of(app).stats().sessions


def test_a_request_that_does_not_use_the_session_costs_nothing(app: Flask, browser: FlaskClient) -> None:
    """No cookie, no Vary, no row, nothing written; static files and what is not found included."""
    before = rows(app)
    for path in ("/untouched", "/static/probe.py", "/static/nothing", "/nowhere"):
        with browser.get(path) as answer:
            assert "Set-Cookie" not in answer.headers
            assert "Vary" not in answer.headers
    assert rows(app) == before

    browser.get("/put?a=1")
    record = client_of(app).load(cookie_of(browser), touch=False)
    assert record is not None
    for path in ("/untouched", "/static/probe.py", "/static/nothing", "/nowhere"):
        with browser.get(path) as answer:
            assert "Set-Cookie" not in answer.headers
            assert "Vary" not in answer.headers
    again = client_of(app).load(cookie_of(browser), touch=False)
    assert again is not None
    assert again.to_wire() == record.to_wire()
    assert rows(app) == before + 1


def test_a_stream_says_that_it_may_depend_on_the_session(app: Flask, browser: FlaskClient) -> None:
    """Whoever it is for may be read when the headers have left: a shared cache would show it to the next visitor."""

    @app.get("/late")
    def late() -> Response:
        return Response(stream_with_context(str(flask_session["a"]) for _ in range(1)))

    browser.get("/put?a=1")
    answer = browser.get("/late")
    assert (answer.text, answer.headers["Vary"]) == ("1", "Cookie")


def test_a_request_that_only_reads_sends_no_cookie(app: Flask, browser: FlaskClient) -> None:
    """But Vary: Cookie, whether or not there is a session; and a visitor who stores nothing leaves nothing."""
    before = rows(app)
    for _ in range(2):
        for path in ("/read", "/look?key=a", "/show"):
            answer = browser.get(path)
            assert answer.headers.getlist("Vary") == ["Cookie"]
            assert "Set-Cookie" not in answer.headers
        assert rows(app) == before
        assert browser.get_cookie("__Host-id") is None

    browser.get("/put?a=1")
    for path in ("/read", "/look?key=a", "/show"):
        answer = browser.get(path)
        assert answer.headers.getlist("Vary") == ["Cookie"]
        assert "Set-Cookie" not in answer.headers


def test_a_reading_request_stores_one_touch_per_interval(held_app: Flask, store: LmdbStore, clock: FakeClock) -> None:
    """And slides the idle lifetime with it; an untouched request does not."""
    browser = held_app.test_client()
    browser.get("/put?a=1")
    clock.advance(61)
    browser.get("/untouched")
    assert store.counters["touch"] == 0
    for _ in range(3):
        browser.get("/look?key=a")
    assert store.counters["touch"] == 1
    for _ in range(5):
        clock.advance(1000)
        assert browser.get("/look?key=a").get_json() == {"value": "1"}


def test_the_first_write_brings_the_cookie_and_later_ones_do_not(app: Flask, browser: FlaskClient) -> None:
    """The token stays the same, so there is nothing to send; sliding needs no cookie either."""
    answer = browser.get("/put?a=1")
    token = cookie_of(browser)
    assert answer.headers["Set-Cookie"] == f"__Host-id={token}; Secure; HttpOnly; Path=/; SameSite=Lax"
    assert answer.headers.getlist("Vary") == ["Cookie"]

    answer = browser.get("/put?b=2")
    assert "Set-Cookie" not in answer.headers
    assert answer.headers.getlist("Vary") == ["Cookie"]
    assert browser.get("/read").get_json()["data"] == {"a": "1", "b": "2"}


def test_vary_is_merged(held_app: Flask) -> None:
    """One header, Cookie in it once, what the application said kept."""
    for number, vary in enumerate(("Accept", "Accept, Cookie", "*")):

        def view(vary: str = vary) -> object:
            assert flask_session.get("x") is None
            response = make_response("x")
            response.headers["Vary"] = vary
            return response

        held_app.add_url_rule(f"/vary{number}", f"vary{number}", view)  # type: ignore[arg-type]
    browser = held_app.test_client()

    found = [browser.get(f"/vary{number}").headers.getlist("Vary") for number in range(3)]

    assert found[0] == ["Accept, Cookie"]
    assert found[1] == ["Accept, Cookie"]
    assert "*" in found[2][0]


@pytest.mark.parametrize("path", ["/pop?key=a", "/clear", "/logout"])
def test_an_emptied_session_ends_and_its_cookie_goes(app: Flask, browser: FlaskClient, path: str) -> None:
    """All attributes are repeated, or a browser would keep a ``__Host-`` cookie."""
    browser.get("/put?a=1")
    token = cookie_of(browser)
    answer = browser.get(path)

    expires = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
    assert answer.headers["Set-Cookie"] == f"__Host-id=; {expires}; Secure; HttpOnly; Path=/; SameSite=Lax"
    assert answer.headers.getlist("Vary") == ["Cookie"]
    assert client_of(app).find(token).reason == "deleted"
    assert browser.get_cookie("__Host-id") is None


def test_clear_signs_out(app: Flask, browser: FlaskClient) -> None:
    """Flask applications end a login with ``session.clear()``: the principal must not outlive it."""
    browser.get("/login?name=ann")
    browser.get("/flash?text=hello")
    token = cookie_of(browser)
    browser.get("/clear")

    assert client_of(app).find(token).reason == "deleted"
    assert browser.get("/read").get_json()["principal"] is None
    assert browser.get("/show").get_json() == {"flashes": []}


@pytest.mark.parametrize("token", ["attackerchosenid", "A" * 54, "%00", '"quoted"', "é", "a b"])
def test_an_invented_token_is_never_adopted(app: Flask, browser: FlaskClient, token: str) -> None:
    """A new session has a new token; a request that only reads has the useless cookie removed."""
    headers = {"Cookie": f"__Host-id={token}"}
    plain = app.test_client(use_cookies=False)
    assert plain.get("/read", headers=headers).headers["Set-Cookie"].startswith("__Host-id=; Expires=Thu, 01 Jan 1970")
    assert "Set-Cookie" not in plain.get("/untouched", headers=headers).headers

    answer = plain.get("/put?a=1", headers=headers)
    new = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    assert new != token
    give(browser, new)
    assert browser.get("/read").get_json()["data"] == {"a": "1"}
    assert client_of(app).find(token).reason == "forged"


def test_a_login_changes_the_token(app: Flask, browser: FlaskClient) -> None:
    """What was planted before the login is worth nothing after it; the data and the sid stay."""
    browser.get("/put?cart=hat")
    planted, sid = cookie_of(browser), browser.get("/read").get_json()["sid"]
    answer = browser.get("/login?name=ann", headers={"User-Agent": "Probe/1.0 " + "x" * 1000})

    assert answer.headers["Set-Cookie"].startswith("__Host-id=")
    found = browser.get("/read").get_json()
    assert (found["principal"], found["data"], found["sid"]) == ("ann", {"cart": "hat"}, sid)
    assert client_of(app).find(planted).reason == "retired"
    info = next(each for each in client_of(app).sessions_of("ann") if each.sid == sid)
    assert info.meta["ip"] == "127.0.0.1"
    assert info.meta["user_agent"].startswith("Probe/1.0 xxx")
    assert len(info.meta["user_agent"]) == 400


def test_the_first_cookie_with_a_session_wins(app: Flask, browser: FlaskClient) -> None:
    """A bad cookie of the same name, for another path or domain, never hides the good one."""
    browser.get("/put?a=1")
    token = cookie_of(browser)
    browser.get("/logout")
    other = app.test_client()
    other.get("/put?a=2")
    dead, live = token, cookie_of(other)
    plain = app.test_client(use_cookies=False)

    for header in (
        f"__Host-id=rubbish; __Host-id={live}",
        f"__Host-id={dead}; __Host-id={live}; __Host-id=rubbish",
        f"a=b; __Host-id=; __Host-id={live}; c=d",
        f'__Host-id="{live}"',
    ):
        answer = plain.get("/read", headers={"Cookie": header})
        assert answer.get_json()["data"] == {"a": "2"}
        assert "Set-Cookie" not in answer.headers


def test_a_cookie_that_was_not_looked_at_is_left_alone(
    app: Flask, browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight bad cookies before the good one hide it, but no answer removes or replaces it; the log says so, once."""
    MANY_COOKIES.forget()
    browser.get("/put?a=1")
    token = cookie_of(browser)
    before = rows(app)
    plain = app.test_client(use_cookies=False)
    bad = [f"__Host-id=bad{number}" for number in range(8)]

    for path in ("/read", "/put?b=2", "/login?name=ann", "/logout"):
        answer = plain.get(path, headers={"Cookie": "; ".join([*bad, f"__Host-id={token}"])})
        assert "Set-Cookie" not in answer.headers
    assert rows(app) == before
    assert browser.get("/read").get_json()["data"] == {"a": "1"}
    (warning,) = [each.getMessage() for each in caplog.records if each.name == "coatcheck.flask"]
    assert "more than 8 cookies named __Host-id" in warning
    assert token not in warning

    # All of them were looked at, or the good one was: as ever.
    answer = plain.get("/read", headers={"Cookie": "; ".join(bad)})
    assert answer.headers["Set-Cookie"].startswith("__Host-id=;")
    answer = plain.get("/logout", headers={"Cookie": "; ".join([f"__Host-id={token}", *bad])})
    assert answer.headers["Set-Cookie"].startswith("__Host-id=;")


def test_a_slow_request_does_not_undo_a_logout(app: Flask, browser: FlaskClient) -> None:
    """Two requests overlap: the one that ends last has nothing to say."""
    browser.get("/put?a=1")
    token = cookie_of(browser)
    with app.test_request_context(headers={"Cookie": f"__Host-id={token}"}):
        flask_session["late"] = 1
        browser.get("/logout")
        response = app.process_response(app.response_class())
        assert flask_session.ended  # type: ignore[attr-defined]

    assert "Set-Cookie" not in response.headers
    assert response.headers["Vary"] == "Cookie"
    assert client_of(app).find(token).reason == "deleted"
    assert client_of(app).counters["ended"] == 1


def test_what_was_retired_just_now_gets_no_cookie(app: Flask, browser: FlaskClient) -> None:
    """The second click on "sign in": the first one's cookie is the good one."""
    browser.get("/put?a=1")
    before = cookie_of(browser)
    browser.get("/login?name=ann")
    before_rows = rows(app)
    late = app.test_client()
    give(late, before)

    for path in ("/login?name=ann", "/put?b=1", "/read", "/logout", "/flash?text=x"):
        assert "Set-Cookie" not in late.get(path).headers
    assert rows(app) == before_rows
    assert browser.get("/read").get_json()["data"] == {"a": "1"}


def test_the_test_client_can_look_into_the_session(app: Flask, browser: FlaskClient) -> None:
    """``session_transaction`` creates, reads, changes and empties it."""
    with browser.session_transaction() as session:
        session["a"] = 1
        session.setdefault("_flashes", []).append(("info", "hi"))
    with browser.session_transaction() as session:
        assert session["a"] == 1
        assert session["_flashes"] == [("info", "hi")]
        session["b"] = [1]
    with browser.session_transaction() as session:
        session["b"].append(2)
    assert browser.get("/read").get_json()["data"] == {"a": 1, "b": [1, 2]}
    assert browser.get("/show").get_json() == {"flashes": [["info", "hi"]]}
    with browser.session_transaction() as session:
        session.clear()
    assert browser.get_cookie("__Host-id") is None


def test_changes_while_streaming_are_kept_by_a_commit(app: Flask, browser: FlaskClient) -> None:
    """The headers have left, but the session is there to be saved to."""
    browser.get("/put?a=1")
    answer = browser.get("/stream")

    assert answer.get_data(as_text=True) == "one two"
    assert browser.get("/read").get_json()["data"] == {"a": "1", "before": 1, "during": 2}


def test_a_commit_before_the_end_still_brings_the_cookie(held_app: Flask) -> None:
    """The response sends what the request did, however often it was committed."""

    def view() -> str:
        flask_session["a"] = 1
        flask_session.commit()  # type: ignore[attr-defined]
        assert flask_session.sid is not None  # type: ignore[attr-defined]
        flask_session["b"] = 2
        return "x"

    held_app.add_url_rule("/twice", "twice", view)
    browser = held_app.test_client()

    assert "Set-Cookie" in browser.get("/twice").headers
    assert browser.get("/read").get_json()["data"] == {"a": 1, "b": 2}


def test_flask_sees_a_real_dict_with_its_own_attributes(app: Flask, browser: FlaskClient) -> None:
    """``json.dumps``, ``|``, ``permanent``, ``new``, ``accessed`` and ``modified`` are as Flask has them."""
    browser.get("/put?a=1")
    with app.test_request_context(headers={"Cookie": f"__Host-id={cookie_of(browser)}"}) as context:
        session = context.session
        assert isinstance(session, dict)
        assert (session.modified, session.new, session.permanent) == (False, False, False)
        assert session.accessed
        session |= {"b": 2}
        assert (session.modified, dict(session)) == (True, {"a": "1", "b": 2})
    with app.test_request_context() as context:
        assert context.session.new
        assert not context.session.modified


def test_changes_while_streaming_without_a_commit_are_told(
    app: Flask, browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask saves before it streams, so what is written then is lost: the log says so, and what to do."""
    assert browser.get("/stream").text == "one two"
    assert [each for each in caplog.messages if "streamed is lost" in each] == []

    assert browser.get("/stream?forget").text == "one two"

    (told,) = [each for each in caplog.messages if "streamed is lost" in each]
    assert "session.commit() in the stream" in told
