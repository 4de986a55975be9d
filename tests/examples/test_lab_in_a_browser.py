"""The lab in a real browser, which is where its buttons do their work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.conftest import Place
from tests.examples.webdriver import browsing, programs
from tests.support.require import require

pytestmark = pytest.mark.parametrize("place", ["direct"], indirect=True, scope="module")


def test_the_button_fires_twenty_and_twenty_survive(place: Place, tmp_path: Path) -> None:
    """Press the button, read 20/20 three times, with the script and the page as they are."""
    require(programs(), "chromium and chromedriver")
    with browsing(tmp_path / "profile") as browser:
        browser.open(f"http://127.0.0.1:{place.port}/lab")
        browser.press("[data-run=race]")
        text = browser.wait(
            "document.getElementById('race-result').textContent.includes('keys') && document.body.innerText"
        )

        scores = browser.read("[...document.querySelectorAll('#scores dd')].map(field => field.textContent)")
        assert scores == ["20/20", "20/20", "20/20"], text
        assert browser.read("document.querySelectorAll('#own .kept').length") == 20
        assert browser.read("document.querySelectorAll('#whole .kept').length") < 20


def test_the_button_shows_that_the_late_write_is_refused(place: Place, tmp_path: Path) -> None:
    """Four steps, the last two of them good; then the page tells nothing any more of the session that has ended."""
    require(programs(), "chromium and chromedriver")
    with browsing(tmp_path / "profile") as browser:
        browser.open(f"http://127.0.0.1:{place.port}/login")
        browser.read("document.getElementById('name').value = 'anna'")
        browser.press("form.panel button")
        browser.wait("document.querySelector('#ticket .stub')?.textContent === 'anna'")
        browser.open(f"http://127.0.0.1:{place.port}/lab")
        browser.press("[data-run=slow]")
        steps = browser.wait(
            "document.querySelectorAll('#steps li').length === 4"
            " && [...document.querySelectorAll('#steps li')].map(step => step.className)"
        )

        assert steps == ["", "", "good", "good"]
        guest = "document.querySelector('#ticket .stub').textContent === 'guest'"
        text = browser.wait(f"{guest} && document.body.innerText")
        assert "no ticket yet" in text
        assert "no session" in text
        assert "session read in" not in text
        assert "Sign in" in text
        assert "Your devices" not in text
