"""What the application set counts; what it left at Flask's default yields to coatcheck's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import session as flask_session

import coatcheck
from coatcheck import ConfigurationError, Lifetimes, StoreUnavailable
from coatcheck.flask import Coatcheck, CoatcheckSessionInterface
from coatcheck.store.lmdb import LmdbStore
from coatcheck.testing import FakeClock
from tests.flask.conftest import client_of, cookie_of, give, with_client
from tests.flask.probe import create_app

DAY = 86_400


def set_cookie(app: Flask, path: str = "/put?a=1") -> str:
    """The cookie that a new visitor gets."""
    return app.test_client().get(path).headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("config", "name", "attributes"),
    [
        ({}, "__Host-id", "; Secure; HttpOnly; Path=/; SameSite=Lax"),
        ({"SESSION_COOKIE_SECURE": True}, "__Host-id", "; Secure; HttpOnly; Path=/; SameSite=Lax"),
        ({"COATCHECK_SECURE": False}, "id", "; HttpOnly; Path=/; SameSite=Lax"),
        ({"SESSION_COOKIE_NAME": "sid"}, "sid", "; Secure; HttpOnly; Path=/; SameSite=Lax"),
        ({"COATCHECK_COOKIE_NAME": "session"}, "session", "; Secure; HttpOnly; Path=/; SameSite=Lax"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "__Host-id", "; Secure; HttpOnly; Path=/; SameSite=Strict"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "__Host-id", "; Secure; Path=/; SameSite=Lax"),
        (
            {"SESSION_COOKIE_DOMAIN": "example.org"},
            "__Secure-id",
            "; Domain=example.org; Secure; HttpOnly; Path=/; SameSite=Lax",
        ),
        ({"SESSION_COOKIE_PATH": "/app"}, "__Secure-id", "; Secure; HttpOnly; Path=/app; SameSite=Lax"),
        ({"APPLICATION_ROOT": "/app"}, "__Secure-id", "; Secure; HttpOnly; Path=/app; SameSite=Lax"),
        (
            {"SESSION_COOKIE_PARTITIONED": True},
            "__Host-id",
            "; Secure; HttpOnly; Path=/; SameSite=Lax; Partitioned",
        ),
    ],
)
def test_the_cookie_is_as_configured(home: Path, config: dict[str, Any], name: str, attributes: str) -> None:
    """Flask's settings, and the three of coatcheck's own."""
    app = create_app(COATCHECK_HOME=str(home), **config)
    before, _, after = set_cookie(app).partition("=")
    client_of(app).close()

    assert before == name
    assert after[after.index(";") :] == attributes


@pytest.mark.parametrize(
    "config",
    [
        {"SESSION_COOKIE_NAME": "__Host-x", "SESSION_COOKIE_PATH": "/app"},
        {"COATCHECK_SECURE": False, "SESSION_COOKIE_SAMESITE": "None"},
        {"COATCHECK_HOMES": "/tmp"},
        {"COATCHECK_LANE": "sideways"},
    ],
)
def test_what_cannot_work_is_said_at_the_start(home: Path, config: dict[str, Any]) -> None:
    """When the application is made, not by the first browser that refuses the cookie."""
    with pytest.raises(ConfigurationError):
        create_app(COATCHECK_HOME=str(home), **config)


def test_the_getters_can_be_overridden(home: Path) -> None:
    """As with any session interface of Flask: a cookie name per application, even per request."""

    class Mine(CoatcheckSessionInterface):
        def get_cookie_name(self, app: Flask) -> str:
            return "mine"

        def get_cookie_samesite(self, app: Flask) -> str | None:
            return None

    app = create_app(COATCHECK_HOME=str(home))
    app.session_interface = Mine(client_of(app))
    browser = app.test_client()
    cookie = browser.get("/put?a=1").headers["Set-Cookie"]

    assert cookie.startswith("mine=")
    assert "SameSite" not in cookie
    assert browser.get("/read").get_json()["data"] == {"a": "1"}
    client_of(app).close()


def test_no_store_is_an_option(home: Path) -> None:
    """With the cookie, and without it not."""
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_NO_STORE=True)
    browser = app.test_client()

    assert browser.get("/put?a=1").headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in browser.get("/put?a=2").headers
    assert browser.get("/logout").headers["Cache-Control"] == "no-store"
    client_of(app).close()


# How long ----------------------------------------------------------------------------------------------------------


def test_a_permanent_session_lives_until_its_absolute_deadline(
    held_app: Flask, store: LmdbStore, clock: FakeClock
) -> None:
    """The cookie says so; that of any other session ends with the browser."""
    browser = held_app.test_client()
    assert "Max-Age" not in browser.get("/put?a=1").headers["Set-Cookie"]
    cookie = browser.get("/login?name=ann&permanent=1").headers["Set-Cookie"]
    assert f"; Max-Age={DAY};" in cookie

    clock.advance(600)
    record = store.load(cookie_of(browser))
    assert record is not None
    assert record.absolute_expires_at == clock.now() + (DAY - 600) * 1_000_000


def test_a_permanent_cookie_is_refreshed_as_flask_does(held_app: Flask, clock: FakeClock) -> None:
    """With every response, and with Vary, where asked for, and unless Flask's setting is off; that writes nothing."""
    browser = held_app.test_client()
    browser.get("/login?name=ann&permanent=1")
    token = cookie_of(browser)
    clock.advance(100)
    for path in ("/untouched", "/read", "/put?b=0"):
        assert "Set-Cookie" not in browser.get(path).headers
    held_app.config["COATCHECK_REFRESH"] = True
    for path in ("/untouched", "/read", "/put?b=1"):
        answer = browser.get(path)
        assert answer.headers["Set-Cookie"].startswith(f"__Host-id={token}; Max-Age={DAY - 100};")
        assert answer.headers["Vary"] == "Cookie"

    held_app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    for path in ("/untouched", "/read", "/put?b=2"):
        assert "Set-Cookie" not in browser.get(path).headers


def test_a_session_that_outlives_its_cookie_is_refreshed(held_app: Flask, clock: FakeClock) -> None:
    """Browsers keep none for longer than 400 days, so without this it would end while it is in use."""
    browser = held_app.test_client()
    with held_app.test_request_context() as context:
        context.session.permanent = True
        context.session.set_lifetimes(Lifetimes(idle=500 * DAY, absolute=None))  # type: ignore[attr-defined]
        context.session["a"] = 1
        give(browser, held_app.process_response(held_app.response_class()).headers["Set-Cookie"][10:64])
    clock.advance(399 * DAY)

    assert f"; Max-Age={400 * DAY};" in browser.get("/look?key=a").headers["Set-Cookie"]


def test_a_refresh_never_brings_an_old_token_back(held_app: Flask) -> None:
    """A slow response must not undo the login that happened meanwhile."""
    held_app.config["COATCHECK_REFRESH"] = True
    browser = held_app.test_client()
    browser.get("/login?name=ann&permanent=1")
    token = cookie_of(browser)
    with held_app.test_request_context(headers={"Cookie": f"__Host-id={token}"}):
        assert flask_session.get("_permanent")
        browser.get("/login?name=ann&permanent=1")
        response = held_app.process_response(held_app.response_class())

    assert cookie_of(browser) != token
    assert "Set-Cookie" not in response.headers


def test_a_refresh_during_an_outage_is_left_out(held_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the token is still the one cannot be asked, so the cookie is left alone."""
    held_app.config["COATCHECK_REFRESH"] = True
    browser = held_app.test_client()
    browser.get("/login?name=ann&permanent=1")

    def away(*_: object, **__: object) -> None:
        msg = "away"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(client_of(held_app).store, "load", away)
    answer = browser.get("/read")

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)


def test_a_session_that_becomes_permanent_tells_the_browser(held_app: Flask) -> None:
    """And one that is not any more does, too; setting what is set already is no change."""
    held_app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    browser = held_app.test_client()
    browser.get("/put?a=1")

    def set_permanent(value: bool) -> str | None:
        with held_app.test_request_context(headers={"Cookie": f"__Host-id={cookie_of(browser)}"}) as context:
            context.session.permanent = value
            return held_app.process_response(held_app.response_class()).headers.get("Set-Cookie")

    assert "; Max-Age=14400;" in str(set_permanent(True))
    assert set_permanent(True) is None
    cookie = set_permanent(False)
    assert cookie is not None
    assert "Max-Age" not in cookie


def test_permanent_alone_is_not_worth_a_session(held_app: Flask, store: LmdbStore) -> None:
    """Applications set it in every request, for every robot."""
    held_app.before_request(lambda: setattr(flask_session, "permanent", True))
    browser = held_app.test_client()
    assert "Set-Cookie" not in browser.get("/read").headers
    assert store.stats().sessions == 0

    browser.get("/put?a=1")
    written = store.counters["save"] + store.counters["create"]
    browser.get("/read")
    assert store.counters["save"] + store.counters["create"] == written
    assert browser.get("/read").get_json()["data"] == {"_permanent": True, "a": "1"}


@pytest.mark.parametrize(
    ("lifetime", "anonymous", "signed_in"),
    [
        (None, (1800.0, 14_400.0), (1800.0, 86_400.0)),
        (timedelta(days=31), (1800.0, 14_400.0), (1800.0, 86_400.0)),
        (timedelta(hours=1), (3600.0, 14_400.0), (3600.0, 86_400.0)),
        (timedelta(days=7), (604_800.0, 604_800.0), (604_800.0, 604_800.0)),
        (7200, (7200.0, 14_400.0), (7200.0, 86_400.0)),
    ],
)
def test_permanent_session_lifetime(
    store: LmdbStore, clock: FakeClock, lifetime: Any, anonymous: tuple[float, float], signed_in: tuple[float, float]
) -> None:
    """Where the application set it, it is the idle lifetime, and the absolute one when it is longer."""
    config = {} if lifetime is None else {"PERMANENT_SESSION_LIFETIME": lifetime}
    app = with_client(create_app(COATCHECK_HOME=str(store.settings.home), **config), store, clock)
    browser = app.test_client()

    def lifetimes() -> tuple[float | None, float | None]:
        record = store.load(cookie_of(browser), touch=False)
        assert record is not None
        return record.lifetimes.idle, record.lifetimes.absolute

    browser.get("/put?a=1")
    assert lifetimes() == anonymous
    browser.get("/login?name=ann")
    assert lifetimes() == signed_in
    fresh = app.test_client()
    fresh.get("/login?name=ann")
    browser = fresh
    assert lifetimes() == signed_in


def test_lifetimes_chosen_for_a_session_outlive_a_login(store: LmdbStore, clock: FakeClock) -> None:
    """An application-wide lifetime is only the usual one."""
    own = Lifetimes(idle=100, absolute=1000)
    app = create_app(COATCHECK_HOME=str(store.settings.home), PERMANENT_SESSION_LIFETIME=timedelta(hours=1))
    with_client(app, store, clock)
    browser = app.test_client()
    with browser.session_transaction() as session:
        session["a"] = 1
        session.set_lifetimes(own)  # type: ignore[attr-defined]
    browser.get("/login?name=ann")

    record = store.load(cookie_of(browser))
    assert record is not None
    assert record.lifetimes == own


# Where the client comes from ---------------------------------------------------------------------------------------


def test_settings_come_from_arguments_then_config_then_environment(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three ways to say where the state is."""
    monkeypatch.setenv("COATCHECK_HOME", str(tmp_path / "environment"))
    app = Flask("one")
    Coatcheck(app)
    assert client_of(app).settings.home == tmp_path / "environment"

    app = Flask("two")
    app.config["COATCHECK_HOME"] = tmp_path / "config"
    app.config["COATCHECK_MAX_FLASHES"] = 3
    app.config["COATCHECK_SECRET"] = "x" * 40
    Coatcheck(app)
    settings = client_of(app).settings
    assert (settings.home, settings.max_flashes, settings.secrets) == (tmp_path / "config", 3, ["x" * 40])

    app = Flask("three")
    app.config["COATCHECK_HOME"] = tmp_path / "config"
    Coatcheck(app, home=home, lane="actor", secure=False, max_flashes=4)
    settings = client_of(app).settings
    assert (settings.home, settings.lane, settings.max_flashes) == (home, "actor", 4)
    assert app.session_interface.get_cookie_name(app) == "id"


def test_one_extension_serves_several_applications(home: Path, tmp_path: Path) -> None:
    """``init_app`` gives each what its own configuration says."""
    extension = Coatcheck()
    apps = [Flask("one"), Flask("two")]
    for app, where in zip(apps, (home, tmp_path / "other"), strict=True):
        app.config["COATCHECK_HOME"] = where
        extension.init_app(app)
    for app, where in zip(apps, (home, tmp_path / "other"), strict=True):
        with app.app_context():
            assert extension.client.settings.home == where
    with pytest.raises(RuntimeError):
        extension.client  # noqa: B018


def test_a_client_that_exists_is_used(home: Path) -> None:
    """Through the extension, or through the session interface alone; but not beside settings."""
    with coatcheck.connect(home) as client:
        app, bare = Flask("one"), Flask("two")
        Coatcheck(app, client=client, secure=False)
        assert client_of(app) is client
        bare.session_interface = CoatcheckSessionInterface(client)
        bare.add_url_rule("/", "set", lambda: str(flask_session.setdefault("a", 1)))
        browser = bare.test_client()
        assert [browser.get("/").text, browser.get("/").text] == ["1", "1"]
        assert client.open(cookie_of(browser)) == {"a": 1}
        with pytest.raises(ConfigurationError, match="not both"):
            Coatcheck(client=client, home=home)
