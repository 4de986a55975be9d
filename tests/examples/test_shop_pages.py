"""The shop in this process: what its buttons do, one after the other."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import coatcheck
from tests.examples.conftest import ROOT


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A browser that follows redirects."""
    return app.test_client()


def read(browser: FlaskClient, path: str) -> str:
    """The page as text."""
    return html.unescape(browser.get(path).get_data(as_text=True))


def press(browser: FlaskClient, path: str, **form: str) -> str:
    """Press a button with the word of the session, and read the page that follows."""
    found = re.search(r'name="csrf" value="([^"]*)"', read(browser, "/login"))
    assert found
    answer = browser.post(path, data={"csrf": found[1], **form}, follow_redirects=True)
    assert answer.status_code == 200, answer.status
    return html.unescape(answer.get_data(as_text=True))


def test_the_rack_shows_every_article_with_picture_and_price(app: Flask, browser: FlaskClient) -> None:
    """Eight articles, and each picture is there."""
    pictures = re.findall(r'src="(/static/products/\w+\.svg)"', read(browser, "/"))

    assert len(pictures) == 8
    for picture in pictures:
        with browser.get(picture) as answer:
            assert answer.mimetype == "image/svg+xml"


def test_the_cart_adds_takes_and_sums_up(browser: FlaskClient) -> None:
    """Plus, minus and remove do what they say, and the sum follows."""
    press(browser, "/cart/add/hat")
    press(browser, "/cart/add/hat")
    page = press(browser, "/cart/add/scarf")
    assert "Striped scarf hangs in your cart." in page
    assert "€ 217.00" in read(browser, "/cart")

    assert "€ 128.00" in press(browser, "/cart/take/hat")
    page = press(browser, "/cart/take/scarf", all="yes")
    assert "Striped scarf is back on the rack." in page
    assert "€ 89.00" in page

    assert "Nothing was charged" in press(browser, "/cart/checkout")
    assert "An empty hanger" in read(browser, "/cart")
    assert "nothing in your cart to collect" in press(browser, "/cart/checkout")


def test_a_rail_bears_twenty_of_a_kind(browser: FlaskClient) -> None:
    """The twenty-first is refused with a warning."""
    for _ in range(20):
        press(browser, "/cart/add/hat")

    assert "is all our rail can bear" in press(browser, "/cart/add/hat")
    assert '<output aria-label="How many">20</output>' in read(browser, "/cart")


@pytest.mark.parametrize("level", ["success", "info", "warning", "error"])
def test_a_flash_has_its_level_and_role_and_is_gone_on_the_next_page(browser: FlaskClient, level: str) -> None:
    """What is urgent is an alert, the rest a status."""
    role = "alert" if level in ("warning", "error") else "status"

    assert f'<p class="flash {level}" role="{role}">' in press(browser, "/lab/flash", level=level)
    assert 'class="flash ' not in read(browser, "/")


def test_the_login_page_says_that_there_is_no_password(browser: FlaskClient) -> None:
    """Nobody shall think that this guards anything."""
    assert "there is no password" in read(browser, "/login")


@pytest.mark.parametrize("name", ["", "   "])
def test_a_login_without_a_name_is_refused(browser: FlaskClient, name: str) -> None:
    """A blank name is nobody."""
    assert "any name will do" in press(browser, "/login", name=name)
    assert browser.get("/account").status_code == 302


def test_a_name_is_text_and_not_markup(browser: FlaskClient) -> None:
    """What somebody types as a name appears as it was typed."""
    press(browser, "/login", name="<b>anna</b>")

    assert "&lt;b&gt;anna" in browser.get("/account").get_data(as_text=True)
    assert "<b>anna</b>" not in browser.get("/account").get_data(as_text=True)


def test_five_pretended_phones_are_enough(browser: FlaskClient) -> None:
    """The demo does not let anybody fill the store with telephones."""
    press(browser, "/login", name="anna")
    for _ in range(5):
        assert "Was that you?" in press(browser, "/account/pretend")

    assert "enough telephones" in press(browser, "/account/pretend")


def test_a_device_has_the_name_that_was_given_to_it(app: Flask, browser: FlaskClient) -> None:
    """As text, whatever is in it."""
    press(browser, "/login", name="anna", label="my <old> laptop")

    assert "my &lt;old&gt; laptop" in browser.get("/account").get_data(as_text=True)


def test_other_devices_are_signed_out_after_a_recent_login_only(
    app: Flask, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who finds an open browser cannot lock its user out; signing in again is enough (ASVS 7.5.2)."""
    press(browser, "/login", name="anna")
    press(browser, "/account/pretend")
    client = app.extensions["coatcheck"].client
    now = client.clock.now
    monkeypatch.setattr(client.clock, "now", lambda: now() + 601_000_000)
    other = client.sessions_of("anna")[-1].handle
    for path in (f"/account/end/{other}", "/account/end-others", "/account/end-all"):
        assert "please sign in again first" in press(browser, path)
    assert len(client.sessions_of("anna")) == 2

    press(browser, "/login", name="anna")
    assert "Signed out 1 other device." in press(browser, "/account/end-others")
    assert len(client.sessions_of("anna")) == 1


def test_logging_in_as_somebody_else_takes_nothing_along(browser: FlaskClient) -> None:
    """The cart of one user is not shown to the next one at the same browser."""
    press(browser, "/login", name="anna")
    press(browser, "/cart/add/hat")

    press(browser, "/login", name="bert")

    assert "An empty hanger" in read(browser, "/cart")


def test_the_bottom_line_times_only_a_session_that_is_there(browser: FlaskClient) -> None:
    """Beside "no session" there is nothing that could have been read."""
    assert "no session" in read(browser, "/")
    assert "session read in" not in read(browser, "/")

    assert "session read in" in press(browser, "/cart/add/hat")


def test_there_is_no_secret_key(app: Flask) -> None:
    """Sessions and flashes work without Flask's SECRET_KEY, for no cookie is signed."""
    assert app.secret_key is None


@pytest.mark.parametrize("path", ["/nowhere", "/cart/add/sock", "/lab/race/21"])
def test_what_is_not_there_is_said_on_a_page_of_the_shop(app: Flask, browser: FlaskClient, path: str) -> None:
    """A 404 looks like the rest, with the bottom line."""
    answer = browser.post(path, headers={"Origin": "http://localhost"})

    assert answer.status_code == 404
    assert "served by worker" in answer.get_data(as_text=True)


def test_an_unreachable_store_is_a_503_and_costs_nobody_the_cookie(
    app: Flask, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store cannot be asked, the page says so and leaves the cookie alone."""
    press(browser, "/cart/add/hat")
    client = app.extensions["coatcheck"].client

    def unavailable(*arguments: object, **options: object) -> None:
        msg = "the store is having its lunch"
        raise coatcheck.StoreUnavailable(msg)

    with monkeypatch.context() as patch:
        patch.setattr(client.store, "load", unavailable)
        patch.setattr(client.store, "find", unavailable)
        answer = browser.get("/cart")

    assert answer.status_code == 503
    assert "Set-Cookie" not in answer.headers
    assert "lunch" not in answer.get_data(as_text=True)
    assert "you are still signed in" not in " ".join(answer.get_data(as_text=True).split())  # a guest never was
    assert "Felt hat" in read(browser, "/cart")


def test_flask_itself_finds_the_application(home: Path) -> None:
    """``flask --app examples/flask_shop/app`` works from the top of the checkout, as the README has it."""
    command = [sys.executable, "-m", "flask", "--app", "examples/flask_shop/app", "routes"]
    environ = {**os.environ, "COATCHECK_HOME": str(home), "PYTHONPATH": str(ROOT)}

    routes = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True, timeout=60)

    assert "shop.rack" in routes.stdout
