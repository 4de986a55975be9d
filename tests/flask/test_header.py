"""The token in a header instead of a cookie, for clients that keep no cookies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from coatcheck import ConfigurationError
from coatcheck.flask import Coatcheck
from tests.flask.conftest import client_of
from tests.flask.probe import create_app
from tests.flask.test_failures import Outage

HEADER = "X-Session-Token"


@pytest.fixture
def api(lane_home: Path, lane: str) -> Iterator[Flask]:
    """The application, with the header."""
    app = create_app(COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane, COATCHECK_TOKEN_HEADER=HEADER)
    yield app
    client_of(app).close()


def ask(app: Flask, path: str, token: str | None = None) -> Any:
    """One request of a client that keeps nothing."""
    return app.test_client(use_cookies=False).get(path, headers={} if token is None else {HEADER: token})


def test_a_session_begins_and_goes_on_by_the_header(api: Flask) -> None:
    """The first answer that stores something brings the token, later ones do not; no answer sets a cookie."""
    assert HEADER not in ask(api, "/untouched").headers
    answer = ask(api, "/put?a=1")
    token = answer.headers[HEADER]
    again = ask(api, "/put?b=2", token)

    assert HEADER not in again.headers
    assert ask(api, "/read", token).get_json()["data"] == {"a": "1", "b": "2"}
    assert ask(api, "/read").get_json()["data"] == {}
    assert not [each for each in (answer, again) if "Set-Cookie" in each.headers]
    assert answer.headers["Vary"] == again.headers["Vary"] == HEADER


def test_a_login_brings_a_new_token_and_a_logout_takes_it(api: Flask) -> None:
    """An empty value says that the token is worth nothing any more."""
    token = ask(api, "/put?a=1").headers[HEADER]
    answer = ask(api, "/login?name=ann&permanent=1", token)
    new = answer.headers[HEADER]

    assert new not in {token, ""}
    assert HEADER not in ask(api, "/read", new).headers
    assert ask(api, "/logout", new).headers[HEADER] == ""
    assert ask(api, "/read", new).get_json()["data"] == {}


def test_an_answer_with_a_token_is_for_no_cache(api: Flask) -> None:
    """Shared caches, which keep no Set-Cookie, give it to whoever comes next: Vary tells two without one not apart."""
    api.after_request(lambda response: response.headers.update({"Cache-Control": "public, max-age=60"}) or response)
    answer = ask(api, "/put?a=1")
    token = answer.headers[HEADER]

    assert answer.headers["Cache-Control"] == "no-store"
    assert ask(api, "/read", token).headers["Cache-Control"] == "public, max-age=60"
    assert ask(api, "/logout", token).headers["Cache-Control"] == "no-store"


def test_a_cookie_counts_for_nothing(api: Flask) -> None:
    """A browser that is made to send one cannot be made to use it (cross-site request forgery)."""
    token = ask(api, "/put?a=1").headers[HEADER]
    browser = api.test_client()
    for name in ("__Host-id", "id", "session"):
        browser.set_cookie(name, token)

    assert browser.get("/read").get_json()["data"] == {}


def test_what_was_never_issued_is_never_adopted(api: Flask) -> None:
    """Whatever the header holds."""
    for invented in ("x", "A" * 54, " ", "a,b"):
        answer = ask(api, "/put?a=1", invented)
        assert answer.headers[HEADER] not in {"", invented}


def test_an_outage_takes_no_token(api: Flask) -> None:
    """It says neither that there is a new one nor that the old one is gone."""
    token = ask(api, "/put?a=1").headers[HEADER]
    with Outage(api):
        answer = ask(api, "/read", token)
        assert (answer.status_code, HEADER in answer.headers) == (503, False)

    assert ask(api, "/read", token).get_json()["data"] == {"a": "1"}


@pytest.mark.parametrize(
    "name", ["", "Cookie", "set-cookie", "with space", "x\r\ny", 5, "Location", "content-type", "Cache-Control"]
)
def test_a_header_that_cannot_be_is_named(home: Path, name: Any) -> None:
    """When the application is made."""
    with pytest.raises(ConfigurationError, match="token_header is "):
        Coatcheck(Flask("bad"), home=home, token_header=name)
