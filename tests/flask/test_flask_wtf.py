"""Flask-WTF as it is: its CSRF token lives in the session, until a login."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_wtf
import flask_wtf.csrf
import pytest
from flask import Flask
from flask import session as flask_session
from wtforms import StringField

from coatcheck.flask import Coatcheck
from tests.flask.conftest import client_of, cookie_of

session: Any = flask_session


class NameForm(flask_wtf.FlaskForm):
    """Asks for a name."""

    name = StringField()


@pytest.fixture
def forms(lane_home: Path, lane: str) -> Iterator[Flask]:
    """An application all of whose forms are protected."""
    app = Flask("forms", static_folder=None)
    app.config.update(SECRET_KEY="for the words of forms", COATCHECK_HOME=str(lane_home), COATCHECK_LANE=lane)
    Coatcheck(app)
    flask_wtf.CSRFProtect(app)

    @app.get("/form")
    def form() -> str:
        return str(NameForm().csrf_token.current_token)

    @app.post("/form")
    def sent() -> str:
        form = NameForm()
        if not form.validate_on_submit():
            return "invalid"
        session.login(form.name.data)
        return str(flask_wtf.csrf.generate_csrf())

    yield app
    client_of(app).close()


def test_a_form_is_accepted_with_the_word_of_its_session(forms: Flask) -> None:
    """Before the login and after it; without the word, and with that of somebody else, it is refused."""
    browser, other = forms.test_client(), forms.test_client()
    word, foreign = browser.get("/form").text, other.get("/form").text
    send: Any = {"base_url": "https://localhost", "headers": {"Referer": "https://localhost/form"}}

    assert browser.post("/form", data={"name": "ann"}, **send).status_code == 400
    assert browser.post("/form", data={"name": "ann", "csrf_token": foreign}, **send).status_code == 400
    token = cookie_of(browser)
    answer = browser.post("/form", data={"name": "ann", "csrf_token": word}, **send)
    assert answer.status_code == 200
    assert cookie_of(browser) != token
    again = browser.post("/form", data={"name": "ann", "csrf_token": answer.text}, **send)
    assert again.status_code == 200


def test_the_word_of_before_is_worth_nothing_after_a_login(forms: Flask) -> None:
    """Or whoever had planted the session, and so knows the word, could send forms in the name of who signs in."""
    attacker = forms.test_client()
    word = attacker.get("/form").text
    victim = forms.test_client()
    victim.set_cookie("__Host-id", cookie_of(attacker), secure=True)
    send: Any = {"base_url": "https://localhost", "headers": {"Referer": "https://localhost/form"}}
    new = victim.post("/form", data={"name": "ann", "csrf_token": word}, **send).text

    assert new != word
    assert victim.post("/form", data={"name": "ann", "csrf_token": word}, **send).status_code == 400
    assert victim.post("/form", data={"name": "ann", "csrf_token": new}, **send).status_code == 200


def test_a_page_without_a_form_starts_no_session(forms: Flask) -> None:
    """The word is made when a form asks for it."""
    forms.add_url_rule("/plain", "plain", lambda: "plain")

    assert "Set-Cookie" not in forms.test_client().get("/plain").headers
