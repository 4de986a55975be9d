"""What a configuration that cannot work, or has no effect, makes coatcheck say, and when."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from coatcheck import ConfigurationError
from coatcheck.flask import Coatcheck
from coatcheck.web.once import OVER_HTTP
from tests.flask.conftest import client_of, cookie_of
from tests.flask.probe import create_app

LOGGER = "coatcheck.flask"


@pytest.fixture(autouse=True)
def _not_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has warned of nothing yet."""
    OVER_HTTP.forget()
    monkeypatch.delenv("COATCHECK_SECURE", raising=False)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the integration's logger was told."""
    return [each.getMessage() for each in caplog.records if each.name == LOGGER]


# Secure cookies over plain http ------------------------------------------------------------------------------------


def test_a_secure_cookie_over_http_is_warned_of_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The browser drops it without a word, so the log has the word, with the remedies and without the token."""
    app = create_app(COATCHECK_HOME=str(home))
    app.test_client().get("/untouched", base_url="http://shop.example")
    assert warnings(caplog) == []
    cookies = [
        app.test_client().get("/put?a=1", base_url="http://shop.example:8000").headers["Set-Cookie"] for _ in range(2)
    ]
    client_of(app).close()

    (warning,) = warnings(caplog)
    assert "a browser will not send this cookie back over http" in warning
    assert "use https, ProxyFix behind a proxy, or COATCHECK_SECURE=False while developing" in warning
    assert not any(cookie.partition("=")[2].partition(";")[0] in warning for cookie in cookies)


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ("localhost", False),
        ("localhost:5000", False),
        ("shop.localhost:5000", False),
        ("127.0.0.1:5000", False),
        ("127.8.9.10", False),
        ("[::1]:5000", False),
        ("[::1]", False),
        ("192.168.1.5:5000", True),
        ("127.0.0.1.example.org", True),
        ("localhost.example.org", True),
        ("notlocalhost", True),
        ("[::2]:5000", True),
    ],
)
def test_only_other_machines_are_warned_of(
    home: Path, caplog: pytest.LogCaptureFixture, host: str, warned: bool
) -> None:
    """Browsers keep a Secure cookie of their own machine."""
    app = create_app(COATCHECK_HOME=str(home))
    app.test_client().get("/put?a=1", headers={"Host": host})
    client_of(app).close()

    assert bool(warnings(caplog)) is warned


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_what_works_is_not_warned_of(home: Path, caplog: pytest.LogCaptureFixture, scheme: str, secure: bool) -> None:
    """Neither https nor a cookie that is not Secure."""
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_SECURE=secure)
    app.test_client().get("/put?a=1", base_url=f"{scheme}://shop.example")
    client_of(app).close()

    assert warnings(caplog) == []


@pytest.mark.parametrize("value", ["off", "", 0, 1, 1.0, [], "tru"])
def test_secure_is_true_or_false(home: Path, value: Any) -> None:
    """Anything else may mean the opposite of what Python makes of it."""
    with pytest.raises(ConfigurationError) as caught:
        create_app(COATCHECK_HOME=str(home), COATCHECK_SECURE=value)

    assert f"COATCHECK_SECURE is {value!r}: use True or False" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [("0", "id"), ("false", "id"), ("No", "id"), ("1", "__Host-id"), ("TRUE", "__Host-id"), ("yes", "__Host-id")],
)
def test_secure_may_come_from_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str
) -> None:
    """By itself, or by way of the configuration; the configuration goes first."""
    by_config = create_app(COATCHECK_HOME=str(home), COATCHECK_SECURE=text)
    monkeypatch.setenv("COATCHECK_SECURE", text)
    by_itself = create_app(COATCHECK_HOME=str(home), COATCHECK_SECURE=None)
    overruled = create_app(COATCHECK_HOME=str(home), COATCHECK_SECURE=False)

    assert [each.session_interface.get_cookie_name(each) for each in (by_config, by_itself, overruled)] == [
        name,
        name,
        "id",
    ]


def test_a_wrong_text_in_the_environment_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting and the value."""
    monkeypatch.setenv("COATCHECK_SECURE", "nope")

    with pytest.raises(ConfigurationError, match="COATCHECK_SECURE is 'nope'"):
        create_app(COATCHECK_HOME=str(home))


# Settings of Flask-Session -----------------------------------------------------------------------------------------


def test_settings_without_effect_are_named(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those of Flask-Session, in one line, without their values; those of Flask itself count and are not named."""
    without = {
        "SESSION_TYPE": "redis",
        "SESSION_PERMANENT": False,
        "SESSION_USE_SIGNER": True,
        "SESSION_KEY_PREFIX": "prefix:",
        "SESSION_REDIS": "redis://user:do-not-show-me@host",
        "SESSION_FILE_DIR": "/somewhere",
        "SESSION_FILE_THRESHOLD": 500,
        "SESSION_SQLALCHEMY": None,
        "SESSION_SQLALCHEMY_TABLE": "sessions",
    }
    counts = {"SESSION_COOKIE_NAME": "sid", "SESSION_REFRESH_EACH_REQUEST": False, "SESSION_OF_PARLIAMENT": 5}
    with caplog.at_level(logging.INFO):
        create_app(COATCHECK_HOME=str(home), **without, **counts)

    (line,) = warnings(caplog)
    assert "no effect" in line
    assert line.endswith(": " + ", ".join(sorted(without)))
    assert "do-not-show-me" not in line


def test_without_such_settings_nothing_is_said(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A plain Flask application has none."""
    with caplog.at_level(logging.INFO):
        create_app(COATCHECK_HOME=str(home))

    assert warnings(caplog) == []


# What is wrong is said at the start --------------------------------------------------------------------------------


def test_unknown_names_are_answered_as_they_were_spelt(home: Path) -> None:
    """Names of the configuration in upper case, those of arguments in lower case, with the cookie's own."""
    with pytest.raises(ConfigurationError) as caught:
        create_app(COATCHECK_HOME=str(home), COATCHECK_COOKIENAME="x")
    for name in ("COOKIENAME", "HOME", "SECRET", "SECURE", "COOKIE_NAME", "NO_STORE", "SIGNED_IN"):
        assert f"COATCHECK_{name}" in str(caught.value)

    with pytest.raises(ConfigurationError, match=r"unknown setting cookiename: .*cookie_name.*home.*no_store.*secure"):
        Coatcheck(home=home, cookiename="x")


def test_unknown_names_count_beside_a_client_too(app: Flask) -> None:
    """A misspelt COATCHECK_SECURE must not be overlooked."""
    other = Flask("other")
    other.config["COATCHECK_SECUER"] = False

    with pytest.raises(ConfigurationError, match="COATCHECK_SECUER"):
        Coatcheck(other, client=client_of(app))


@pytest.mark.parametrize(
    "value", [None, "1 day", True, 0, -5, float("nan"), float("inf"), 1e-9, 10**30, timedelta(0), timedelta(days=-1)]
)
def test_a_lifetime_that_cannot_be_is_named(home: Path, value: Any) -> None:
    """By init_app, with the setting and the value."""
    with pytest.raises(ConfigurationError) as caught:
        create_app(COATCHECK_HOME=str(home), PERMANENT_SESSION_LIFETIME=value)

    assert f"PERMANENT_SESSION_LIFETIME is {value!r}: use a timedelta" in str(caught.value)


@pytest.mark.parametrize("name", ["ANONYMOUS", "SIGNED_IN"])
def test_lifetimes_that_are_none_are_named(home: Path, name: str) -> None:
    """By init_app too."""
    with pytest.raises(ConfigurationError, match=rf"{name.lower()} is 3600: .*Lifetimes\(idle=3600\)"):
        create_app(COATCHECK_HOME=str(home), **{f"COATCHECK_{name}": 3600})


# What the documentation says about tokens --------------------------------------------------------------------------


def test_only_a_login_rotates_the_token(held_app: Flask) -> None:
    """Clearing an anonymous session and writing a user into it leaves the token as it was."""
    browser = held_app.test_client()
    browser.get("/put?a=1")
    token = cookie_of(browser)
    with browser.session_transaction() as session:
        session.clear()
        session["user"] = "ann"
    assert cookie_of(browser) == token

    browser.get("/login?name=ann")
    assert cookie_of(browser) != token


def test_a_home_that_cannot_be_is_said_when_the_application_is_made(tmp_path: Path) -> None:
    """Not to its first visitor; and nothing is made yet where it can be."""
    (tmp_path / "file").write_text("")
    app = Flask(__name__)
    app.config["COATCHECK_HOME"] = tmp_path / "file" / "state"
    with pytest.raises(ConfigurationError, match="file is not a directory"):
        Coatcheck(app)

    app.config["COATCHECK_HOME"] = tmp_path / "deep" / "state"
    Coatcheck(app)

    assert not (tmp_path / "deep").exists()
