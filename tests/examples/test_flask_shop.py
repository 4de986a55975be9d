"""The shop under two gunicorn workers, as a visitor meets it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import coatcheck
from tests.examples.conftest import Place
from tests.examples.visitor import Page, Visitor

PAGES = ("/", "/cart", "/lab", "/login", "/account", "/no-such-page")


def at_once(count: int, act: Callable[[int], Page]) -> list[Page]:
    """Twenty people press twenty buttons at the same moment."""
    line = threading.Barrier(count)

    def start(number: int) -> Page:
        line.wait(10)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(1, count + 1)))


def test_a_look_around_leaves_nothing_behind(visitor: Visitor, place: Place) -> None:
    """A robot that fetches pages gets no cookie and costs no row."""
    with coatcheck.connect(place.home) as client:
        before = client.stats().sessions
        pages = [visitor.get(path) for path in ("/", "/cart", "/lab", "/static/shop.css", "/no-such-page")]

        assert [page.headers.get("Set-Cookie") for page in pages] == [None] * 5
        assert client.stats().sessions == before


def test_login_changes_the_token_and_keeps_the_ticket_and_the_cart(visitor: Visitor, user: str) -> None:
    """After a login the handle and the cart are the same, the token is another, and the old one opens nothing."""
    visitor.get("/")
    visitor.post("/cart/add/hat")
    before = visitor.get("/cart")
    planted = Visitor(visitor.port, token=visitor.token)

    after = visitor.sign_in(user)

    assert before.handle
    assert after.handle == before.handle
    assert visitor.token != planted.token
    assert "Felt hat" in visitor.get("/cart").text
    assert "Felt hat" not in planted.get("/cart").text
    assert planted.get("/account").status == 302


def test_the_account_page_shows_what_the_login_changed(visitor: Visitor, user: str) -> None:
    """Old and new fingerprint of the token are shown, and they differ."""
    page = visitor.sign_in(user)

    old, new = re.findall(r'<dd class="mono(?: gone)?">([0-9a-f]{6})</dd>', page.text)
    assert old != new


def test_a_cart_filled_by_twenty_requests_at_once_is_complete(visitor: Visitor) -> None:
    """Twenty parallel requests for three articles: none of the twenty is lost."""
    visitor.get("/")
    visitor.post("/cart/add/hat")
    visitor.get("/cart")
    articles = ("hat", "scarf", "umbrella")

    answers = at_once(20, lambda number: visitor.post(f"/cart/add/{articles[number % 3]}"))

    assert {answer.status for answer in answers} == {302}
    counts = re.findall(r"<output[^>]*>(\d+)</output>", visitor.get("/cart").text)
    assert sorted(map(int, counts)) == [7, 7, 7]


def test_flashes_are_shown_once(visitor: Visitor, user: str) -> None:
    """Twenty messages flashed at once: the next page shows all of them, the one after it none."""
    visitor.sign_in(user)
    levels = ("success", "info", "warning", "error")

    at_once(20, lambda number: visitor.post("/lab/flash", level=levels[number % 4]))
    shown, again = visitor.get("/"), visitor.get("/")

    assert sorted(shown.flashes) == sorted(levels * 5)
    assert shown.text.count('role="alert"') == 10
    assert again.flashes == []


def test_the_race_keeps_everything_where_one_value_keeps_little(visitor: Visitor) -> None:
    """20 keys, 20 flashes, a counter of 20; the value that all of them put back whole has lost some, so they raced."""
    visitor.get("/lab")
    visitor.post("/lab/race")
    visitor.get("/lab")

    at_once(20, lambda number: visitor.post(f"/lab/race/{number}"))
    result = json.loads(visitor.post("/lab/race/result").text)

    everyone = list(range(1, 21))
    assert result["keys"] == everyone
    assert sorted(result["flashes"]) == everyone
    assert result["count"] == 20
    assert len(result["whole"]) < 20
    assert 1 <= len(result["workers"]) <= 2


def test_a_slow_request_does_not_undo_a_logout(visitor: Visitor, user: str) -> None:
    """What a request writes after the logout is refused, and the session stays gone."""
    visitor.sign_in(user)
    late = Visitor(visitor.port, token=visitor.token, word=visitor.word)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(late.post, "/lab/slow")
        while not json.loads(visitor.get("/lab/who").text)["slow"]:
            pass
        visitor.post("/logout")
        answer = json.loads(slow.result().text)

    assert answer["alive"] is False
    assert answer["reason"] == "deleted"
    assert visitor.token == ""
    assert late.get("/account").status == 302


def test_devices_are_listed_and_one_is_signed_out(visitor: Visitor, user: str) -> None:
    """Both devices of a user are on the list with browser and address; the one signed out is out at its next click."""
    phone = Visitor(visitor.port, agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1")
    other = phone.sign_in(user).handle
    page = visitor.sign_in(user)

    assert "Firefox on Linux" in page.text
    assert "Safari on iPhone" in page.text
    assert page.text.count("from 127.0.0.1") == 2
    assert re.search(r'class="here".*?' + page.handle, page.text, re.DOTALL)

    visitor.post(f"/account/end/{other}")

    assert phone.get("/account").status == 302
    assert f"Sign out ticket {other}" in page.text
    assert f"Sign out ticket {other}" not in visitor.get("/account").text


def test_others_are_signed_out_and_this_device_stays(visitor: Visitor, user: str) -> None:
    """Sign out all others ends the other devices only, also a pretended phone."""
    second = Visitor(visitor.port)
    second.sign_in(user)
    visitor.sign_in(user)
    visitor.post("/account/pretend")

    visitor.post("/account/end-others")

    page = visitor.get("/account")
    assert "Signed out 2 other devices." in page.text
    assert page.text.count("Sign out ticket") == 1
    assert second.get("/account").status == 302


def test_sign_out_everywhere_ends_every_device(visitor: Visitor, place: Place, user: str) -> None:
    """Sign out everywhere ends this device too, and leaves other users alone."""
    second, stranger = Visitor(visitor.port), Visitor(visitor.port)
    second.sign_in(user)
    stranger.sign_in(f"not-{user}")
    visitor.sign_in(user)

    answer = visitor.post("/account/end-all")

    assert answer.headers["Location"].endswith("goodbye=everywhere")
    assert [each.get("/account").status for each in (visitor, second, stranger)] == [302, 302, 200]
    with coatcheck.connect(place.home) as client:
        assert client.sessions_of(user) == []


def test_nobody_signs_out_somebody_else(visitor: Visitor, user: str) -> None:
    """The handle of another user's session is of no use."""
    stranger = Visitor(visitor.port)
    handle = stranger.sign_in(f"not-{user}").handle
    visitor.sign_in(user)

    visitor.post(f"/account/end/{handle}")

    assert stranger.get("/account").status == 200


def test_forged_requests_are_refused(visitor: Visitor, user: str) -> None:
    """Without the word of the session, or from another site, nothing is changed."""
    visitor.sign_in(user)
    visitor.post("/cart/add/hat")

    forged = [
        visitor.send("POST", "/cart/add/hat", {}),
        visitor.send("POST", "/cart/add/hat", {"csrf": "x" * len(visitor.word)}),
        visitor.send("POST", "/cart/add/hat", {"csrf": ""}, origin=f"http://{visitor.host}"),
        visitor.send("POST", "/account/end-all", {}, origin="https://evil.example"),
        Visitor(visitor.port).send("POST", "/login", {"name": "eve"}),
        Visitor(visitor.port).send("POST", "/login", {"name": "eve"}, origin="https://evil.example"),
        Visitor(visitor.port).send("POST", "/login", {"name": "eve"}, origin="null"),
    ]

    assert [page.status for page in forged] == [400] * 7
    assert all("Set-Cookie" not in page.headers for page in forged)
    assert re.findall(r"<output[^>]*>(\d+)</output>", visitor.get("/cart").text) == ["1"]


def test_every_page_is_strict_and_no_page_shows_a_token(visitor: Visitor, user: str) -> None:
    """A policy without inline script or style on every page, which keeps to it; the token is in the cookie alone."""
    visitor.sign_in(user)
    pages = [visitor.get(path) for path in PAGES]

    assert len(visitor.token) > 40
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:|https?://", page.text)
        assert visitor.token not in page.text


def test_the_cookie_is_out_of_reach(visitor: Visitor) -> None:
    """HttpOnly and SameSite=Lax; not Secure, for the demo speaks plain http."""
    visitor.get("/")
    cookie = visitor.post("/cart/add/hat").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_the_bottom_line_names_the_worker_and_the_lane(place: Place, visitor: Visitor, user: str) -> None:
    """Both workers serve the same session, and each page says which did."""
    handle = visitor.sign_in(user).handle
    workers = set()
    for _ in range(200):
        page = visitor.get("/")
        assert page.handle == handle
        workers.add(page.worker)
        if len(workers) == 2:
            break

    assert len(workers) == 2
    assert f"over the <b>{place.lane}</b> lane" in page.text
    assert re.search(r"session read in <b>\d+ µs</b>", page.text)
