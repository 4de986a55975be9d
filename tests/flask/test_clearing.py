"""``Clear-Site-Data`` in the response to a logout."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask, Response, session

from coatcheck import ConfigurationError
from coatcheck.flask import Coatcheck
from tests.flask.conftest import client_of
from tests.flask.probe import create_app
from tests.flask.test_failures import add

USUAL = '"cache", "storage"'


@pytest.mark.parametrize(("setting", "said"), [(True, [USUAL]), (["cookies"], ['"cookies"']), (False, []), (None, [])])
@pytest.mark.parametrize("way", ["/logout", "/clear"])
def test_a_logout_says_it(home: Path, setting: object, said: list[str], way: str) -> None:
    """By its name, and by emptying a session that is signed in; no other response does."""
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_CLEAR_SITE_DATA=setting)
    browser = app.test_client()
    for path, expected in (("/put?a=1", []), ("/login?name=ann", []), (way, said), ("/read", []), (way, [])):
        assert browser.get(path).headers.getlist("Clear-Site-Data") == expected, path
    client_of(app).close()


def test_what_the_application_says_itself_stays(home: Path) -> None:
    """There is one header."""
    app = create_app(COATCHECK_HOME=str(home), COATCHECK_CLEAR_SITE_DATA=True)

    def leave() -> Response:
        session.clear()
        return Response(headers={"Clear-Site-Data": '"*"'})

    add(app, "/leave", leave)
    browser = app.test_client()
    browser.get("/login?name=ann")
    assert browser.get("/leave").headers.getlist("Clear-Site-Data") == ['"*"']
    client_of(app).close()


def test_what_cannot_be_said_is_refused_when_the_application_is_made(home: Path) -> None:
    """As any setting, and as an argument."""
    with pytest.raises(ConfigurationError, match="clear_site_data is 'everything'"):
        Coatcheck(Flask("shop"), home=home, clear_site_data="everything")
