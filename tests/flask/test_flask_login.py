"""Flask-Login as it is: who signs in gets a new token and is listed; who signs out is out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_login
import pytest
from flask import Flask, flash, get_flashed_messages, request
from flask import session as flask_session
from flask.testing import FlaskClient

from coatcheck.flask import Coatcheck
from tests.flask.conftest import client_of, cookie_of, give
from tests.flask.test_failures import Outage, add

# Python 3.12 and later warn Flask-Login.
pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")

session: Any = flask_session


class User(flask_login.UserMixin):
    """Somebody."""

    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture
def shop(lane_home: Path, lane: str) -> Iterator[Flask]:
    """An application that uses Flask-Login as its manual says, on either lane."""
    app = create_shop(COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane)
    yield app
    client_of(app).close()


def create_shop(**config: Any) -> Flask:
    """The application."""
    app = Flask("shop", static_folder=None)
    app.config.update(SECRET_KEY="for the cookie of `remember`", **config)
    Coatcheck(app)
    manager = flask_login.LoginManager(app)
    manager.user_loader(User)

    @app.get("/login")
    def login() -> str:
        flask_login.login_user(User(request.args["name"]), remember="remember" in request.args)
        flash("welcome")
        return "in"

    @app.get("/logout")
    def logout() -> str:
        flask_login.logout_user()
        flash("goodbye")
        return "out"

    @app.get("/confirm")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def confirm() -> str:
        flask_login.confirm_login()
        return "confirmed"

    @app.get("/who")
    def who() -> dict[str, Any]:
        user = flask_login.current_user
        return {
            "user": user.get_id() if user.is_authenticated else None,
            "principal": session.principal,
            "fresh": session.has_recent_auth(60),
            "data": {key: value for key, value in session.items() if not key.startswith("_")},
        }

    @app.get("/secret")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def secret() -> str:
        return "secret"

    @app.get("/sudo")
    def sudo() -> str:
        session.require_recent_auth(60)
        return "sudo"

    @app.get("/put")
    def put() -> str:
        session.update(request.args)
        return "put"

    @app.get("/show")
    def show() -> Any:
        return get_flashed_messages()

    return app


@pytest.fixture
def browser(shop: Flask) -> FlaskClient:
    """A visitor with a cart."""
    browser = shop.test_client()
    browser.get("/put?cart=coat")
    return browser


def test_who_signs_in_gets_a_new_token_and_is_listed(shop: Flask, browser: FlaskClient) -> None:
    """The cart comes along; the token from before, which somebody may have planted, is worth nothing."""
    planted = cookie_of(browser)
    browser.get("/login?name=ann-of-login")
    token = cookie_of(browser)

    assert token != planted
    assert client_of(shop).find(planted).reason == "retired"
    assert browser.get("/secret").text == "secret"
    who = browser.get("/who").get_json()
    assert (who["user"], who["principal"], who["fresh"], who["data"]) == (
        "ann-of-login",
        "ann-of-login",
        True,
        {"cart": "coat"},
    )
    listed = client_of(shop).sessions_of("ann-of-login")
    assert listed[-1].meta["user_agent"].startswith("Werkzeug")
    assert browser.get("/show").get_json() == ["welcome"]
    assert cookie_of(browser) == token


def test_who_signs_out_is_out(shop: Flask, browser: FlaskClient) -> None:
    """The token opens nothing any more; cart and flashes go on in a session that is nobody's, as Flask-Login has it."""
    browser.get("/login?name=ann-who-leaves")
    token = cookie_of(browser)
    assert browser.get("/logout").text == "out"

    assert cookie_of(browser) != token
    assert client_of(shop).find(token).reason == "deleted"
    assert client_of(shop).sessions_of("ann-who-leaves") == []
    assert browser.get("/secret").status_code == 401
    who = browser.get("/who").get_json()
    assert (who["user"], who["principal"], who["data"]) == (None, None, {"cart": "coat"})
    assert browser.get("/show").get_json() == ["welcome", "goodbye"]

    thief = shop.test_client()
    give(thief, token)
    assert thief.get("/secret").status_code == 401


def test_whichever_way_the_key_goes_the_user_is_out(home: Path) -> None:
    """A session that is nobody's to Flask-Login is nobody's here; what else was in it goes on."""
    ways: list[Any] = [
        lambda: str(session.popitem()),
        lambda: session.pop("_user_id"),
        lambda: session.__delitem__("_user_id"),
        lambda: session.__setitem__("_user_id", None),
        lambda: session.update(_user_id=None),
        lambda: session.__ior__({"_user_id": None}),
    ]
    app = create_shop(COATCHECK_HOME=home)
    app.add_url_rule("/<int:way>", "way", lambda way: str(ways[way]()))
    for way in range(len(ways)):
        browser = app.test_client()
        browser.get("/put?cart=coat&_user_id=ann")
        token = cookie_of(browser)
        browser.get(f"/{way}")

        assert client_of(app).find(token).reason == "deleted"
        found = browser.get("/who").get_json()
        assert (found["principal"], found["user"], found["data"]) == (None, None, {"cart": "coat"})
    client_of(app).close()


def test_another_user_gets_nothing_of_the_one_before(shop: Flask, browser: FlaskClient) -> None:
    """Even without a logout in between."""
    browser.get("/login?name=ann")
    browser.get("/login?name=bob")

    who = browser.get("/who").get_json()
    assert (who["user"], who["principal"], who["data"]) == ("bob", "bob", {})


def test_a_revoked_user_is_out_at_once(shop: Flask, browser: FlaskClient) -> None:
    """From the administrator's side, by the name that Flask-Login knows."""
    browser.get("/login?name=ann-revoked")
    assert client_of(shop).revoke("ann-revoked") == 1

    assert browser.get("/secret").status_code == 401


def test_remember_me_is_no_recent_login(shop: Flask, browser: FlaskClient) -> None:
    """Flask-Login's own cookie begins a session in which nobody has proved anything; confirming it does."""
    browser.get("/login?name=ann-remembered&remember=1")
    client_of(shop).revoke("ann-remembered")
    browser.delete_cookie("__Host-id")

    who = browser.get("/who").get_json()
    assert (who["user"], who["principal"], who["fresh"]) == ("ann-remembered", "ann-remembered", False)
    assert browser.get("/sudo").status_code == 403
    token = cookie_of(browser)
    browser.get("/confirm")
    assert browser.get("/sudo").text == "sudo"
    assert cookie_of(browser) != token
    client_of(shop).revoke("ann-remembered")


def test_strong_protection_signs_out_by_removing_keys(shop: Flask, browser: FlaskClient) -> None:
    """Another browser with the same token: nobody is signed in there, and the token is worth nothing."""
    shop.login_manager.session_protection = "strong"  # type: ignore[attr-defined]
    browser.get("/login?name=ann-protected")
    token = cookie_of(browser)
    thief = shop.test_client()
    give(thief, token)

    assert thief.get("/secret", headers={"User-Agent": "another"}).status_code == 401
    assert client_of(shop).find(token).reason == "deleted"


@pytest.mark.parametrize("policy", ["503", "anonymous", "read-only"])
def test_nobody_is_signed_in_or_out_in_an_outage(lane_home: Path, lane: str, policy: str) -> None:
    """A page that only looks like it does not leave."""
    app = create_shop(COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane, COATCHECK_ON_OUTAGE=policy)
    browser = app.test_client()
    with Outage(app, ("create", "save", "login", "delete")):
        assert browser.get("/login?name=ann-in-an-outage").status_code == 503
    browser.get("/login?name=ann-in-an-outage")
    with Outage(app, ("create", "save", "login", "delete")):
        assert browser.get("/logout").status_code == 503

    assert browser.get("/secret").text == "secret"
    client_of(app).revoke("ann-in-an-outage")
    client_of(app).close()


@pytest.mark.parametrize("policy", ["anonymous", "read-only"])
def test_who_is_remembered_is_served_in_an_outage(lane_home: Path, lane: str, policy: str) -> None:
    """Flask-Login's cookie says who it is: the page is theirs, nothing is kept, and the next request does it again."""
    app = create_shop(COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane, COATCHECK_ON_OUTAGE=policy)
    browser = app.test_client()
    browser.get("/login?name=ann-who-returns&remember=1")
    token = cookie_of(browser)
    client_of(app).revoke("ann-who-returns")
    with Outage(app, ("create", "save", "login", "delete")):
        for _ in range(2):
            answer = browser.get("/who")
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
            assert answer.get_json()["user"] == "ann-who-returns"
            assert not answer.get_json()["fresh"]
        for path in ("/login?name=ann-who-returns", "/login?name=bob", "/confirm"):
            answer = browser.get(path)
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False), path

    assert cookie_of(browser) == token
    who = browser.get("/who").get_json()
    assert (who["user"], who["principal"], who["fresh"]) == ("ann-who-returns", "ann-who-returns", False)
    assert cookie_of(browser) != token
    client_of(app).revoke("ann-who-returns")
    client_of(app).close()


def test_who_is_remembered_is_no_guest_while_nothing_can_be_read(lane_home: Path, lane: str) -> None:
    """Nor can they sign out then: the session, which nobody can see, would go on."""
    app = create_shop(COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane, COATCHECK_ON_OUTAGE="anonymous")
    browser = app.test_client()
    browser.get("/login?name=ann-in-the-dark&remember=1")
    token = cookie_of(browser)
    with Outage(app):
        assert browser.get("/who").get_json()["user"] == "ann-in-the-dark"
        assert browser.get("/secret").text == "secret"
        assert not browser.get("/who").get_json()["fresh"]
        for path in ("/login?name=ann-in-the-dark", "/login?name=bob", "/confirm", "/logout"):
            answer = browser.get(path)
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False), path

    assert cookie_of(browser) == token
    who = browser.get("/who").get_json()
    assert (who["user"], who["principal"], who["fresh"]) == ("ann-in-the-dark", "ann-in-the-dark", True)
    client_of(app).revoke("ann-in-the-dark")
    client_of(app).close()


def test_a_password_right_after_a_memory_is_a_recent_login(shop: Flask, browser: FlaskClient) -> None:
    """In the same request: who was remembered by its cookie proves who they are."""
    browser.get("/login?name=ann-remembered-late&remember=1")
    client_of(shop).revoke("ann-remembered-late")
    browser.delete_cookie("__Host-id")

    assert browser.get("/confirm").text == "confirmed"
    assert browser.get("/sudo").text == "sudo"
    client_of(shop).revoke("ann-remembered-late")


def test_an_outage_is_a_503_though_flask_login_looks_again_after_the_view(shop: Flask, browser: FlaskClient) -> None:
    """It reads the session after each view, when an error could not be answered any more; the cookie stays."""
    add(shop, "/untouched", lambda: "untouched")
    browser.get("/login?name=ann-and-the-outage")
    token = cookie_of(browser)
    with Outage(shop):
        for path, status in (("/who", 503), ("/secret", 503), ("/untouched", 200), ("/nowhere", 404)):
            answer = browser.get(path)
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (status, False), path

    assert cookie_of(browser) == token
    assert browser.get("/secret").text == "secret"
    client_of(shop).revoke("ann-and-the-outage")


def test_the_key_can_be_another_or_none(home: Path) -> None:
    """For applications with a key of their own, and for those that call ``session.login`` themselves."""
    for key, bound in (("user", "ann"), ("", None)):
        app = Flask("own")
        Coatcheck(app, home=home, principal_key=key)

        def view() -> dict[str, Any]:
            session["user"] = "ann"
            return {"principal": session.principal}

        app.add_url_rule("/", "view", view)
        assert app.test_client().get("/").get_json() == {"principal": bound}
        client_of(app).close()
