"""What Flask's own parts find: no null session, their signals, and the names that Flask-Session's users know."""

from __future__ import annotations

from pathlib import Path

import flask
import flask.sessions
import pytest
from flask import Flask, request
from flask import session as flask_session

from coatcheck import ConfigurationError
from coatcheck.flask import Coatcheck, CoatcheckSessionInterface, FlaskSession
from tests.flask.conftest import client_of, cookie_of
from tests.flask.probe import create_app
from tests.flask.test_failures import add


def test_there_is_no_null_session(home: Path) -> None:
    """Flask gives one that refuses to be written where there is no SECRET_KEY; here none is needed."""
    app = create_app(COATCHECK_HOME=str(home))
    assert app.secret_key is None
    with app.test_request_context("/"):
        assert isinstance(flask_session._get_current_object(), FlaskSession)  # type: ignore[attr-defined]
        assert not app.session_interface.is_null_session(flask_session)
        flask_session["a"] = 1
    client_of(app).close()


def test_an_interface_that_opens_none_gets_flasks_null_session(home: Path) -> None:
    """A subclass may say that a request has no session: it can be read, and refuses to be written."""

    class Exempt(CoatcheckSessionInterface):
        def open_session(self, app: Flask, request: flask.Request) -> FlaskSession | None:  # type: ignore[override]
            return None if request.path.startswith("/exempt") else super().open_session(app, request)

    app = create_app(COATCHECK_HOME=str(home))
    app.session_interface = Exempt(client_of(app))

    def write() -> str:
        flask_session["a"] = 1
        return "written"

    add(app, "/exempt/read", lambda: {"value": flask_session.get("a")})
    add(app, "/exempt/write", write)
    browser = app.test_client()
    browser.get("/put?a=1")
    assert browser.get("/exempt/read").get_json() == {"value": None}
    assert browser.get("/exempt/write").status_code == 500
    assert browser.get("/look?key=a").get_json() == {"value": "1"}
    client_of(app).close()


def test_signals_are_left_alone(home: Path) -> None:
    """Each is sent as often as without coatcheck, in the same order."""

    def sent(app: Flask) -> list[str]:
        names = ["request_started", "request_finished", "got_request_exception", "request_tearing_down"]
        names += ["appcontext_pushed", "appcontext_popped", "message_flashed", "template_rendered"]
        seen: list[str] = []
        receivers = []
        for name in names:

            def note(_: object, name: str = name, **__: object) -> None:
                seen.append(name)

            receivers.append(note)
            getattr(flask, name).connect(note, app)

        def view() -> str:
            flask.flash("hello")
            return flask.render_template_string("hello")

        app.add_url_rule("/view", "view", view)
        app.add_url_rule("/fail", "fail", lambda: str(1 / 0))
        browser = app.test_client()
        browser.get("/view")
        browser.get("/fail")
        return seen

    plain, ours = Flask("plain"), Flask("ours")
    plain.secret_key = "x"
    Coatcheck(ours, home=home)
    assert sent(ours) == sent(plain)
    client_of(ours).close()


def test_the_cookies_name_may_depend_on_the_request(home: Path) -> None:
    """One session for each tenant of one application; none sees another's."""

    class Tenants(CoatcheckSessionInterface):
        def get_cookie_name(self, app: Flask) -> str:
            return f"__Host-{request.args['tenant']}" if flask.has_request_context() else "__Host-none"

    app = create_app(COATCHECK_HOME=str(home))
    app.session_interface = Tenants(client_of(app))
    add(app, "/set", lambda: flask_session.update(of=request.args["tenant"]) or "set")
    browser = app.test_client()
    browser.get("/set?tenant=a")
    browser.get("/set?tenant=b")

    assert cookie_of(browser, "__Host-a") != cookie_of(browser, "__Host-b")
    assert browser.get("/read?tenant=a").get_json()["data"] == {"of": "a"}
    assert browser.get("/read?tenant=b").get_json()["data"] == {"of": "b"}
    assert browser.get("/read?tenant=c").get_json()["data"] == {}
    client_of(app).close()


def test_regenerate_as_flask_session_has_it(home: Path) -> None:
    """A new token for the same session; the old one is worth nothing."""
    app = create_app(COATCHECK_HOME=str(home))

    def view() -> str:
        app.session_interface.regenerate(flask_session)  # type: ignore[attr-defined]
        return str(flask_session.sid)  # type: ignore[attr-defined]

    add(app, "/regenerate", view)
    browser = app.test_client()
    browser.get("/put?a=1")
    token, sid = cookie_of(browser), browser.get("/read").get_json()["sid"]

    assert browser.get("/regenerate").text == sid
    assert cookie_of(browser) != token
    assert client_of(app).find(token).reason == "retired"
    assert browser.get("/read").get_json()["data"] == {"a": "1"}
    client_of(app).close()


@pytest.mark.parametrize("key", ["_flashes", "_permanent", 5])
def test_a_principal_key_that_cannot_be_is_named(home: Path, key: object) -> None:
    """When the application is made."""
    with pytest.raises(ConfigurationError, match="COATCHECK_PRINCIPAL_KEY is "):
        Coatcheck(Flask("bad"), home=home, principal_key=key)


def test_another_interface_that_fails_to_open_is_left_to_flask(home: Path) -> None:
    """What coatcheck does after a failed request, in any application, must not fail itself."""

    class Failing(flask.sessions.SessionInterface):
        def open_session(self, app: Flask, request: flask.Request) -> None:
            msg = "out of order"
            raise LookupError(msg)

    app = create_app(COATCHECK_HOME=str(home))
    app.session_interface = Failing()

    assert app.test_client().get("/untouched").status_code == 500
    assert not flask.has_request_context()
    client_of(app).close()
