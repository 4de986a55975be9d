"""The Django shop under two gunicorn workers, alone and beside the Flask shop on one state directory."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

import coatcheck
from tests.examples.conftest import ROOT, SHOP, running
from tests.support.require import require

DJANGO_SHOP = ROOT / "examples" / "django_shop"


class Browser:
    """Keeps cookies, as browsers do, whatever the port; follows redirects; repeats the word of the forms."""

    def __init__(self) -> None:
        self.jar = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.jar))

    @property
    def token(self) -> str | None:
        """The session's cookie."""
        return next((str(cookie.value) for cookie in self.jar if cookie.name == "id"), None)

    def get(self, port: int, path: str = "/") -> str:
        """The text of a page."""
        text: str = self._opener.open(f"http://127.0.0.1:{port}{path}", timeout=30).read().decode()
        return text

    def post(self, port: int, path: str, page: str, **form: str) -> str:
        """Press a button of a page; the text of the page that comes then."""
        for name in ("csrfmiddlewaretoken", "csrf"):
            found = re.search(rf'name="{name}" value="([^"]*)"', page)
            if found:
                form[name] = found[1]
        request = Request(f"http://127.0.0.1:{port}{path}", urlencode(form).encode())
        request.add_header("Origin", f"http://127.0.0.1:{port}")
        text: str = self._opener.open(request, timeout=30).read().decode()
        return text


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, Path]]:
    """The ports of the Django shop and the Flask shop, and the state directory of both."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    folder = tmp_path_factory.mktemp("shops")
    home, log = folder / "state", folder / "shops.log"
    environ = {**os.environ, "COATCHECK_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        ports = []
        for place, module in ((DJANGO_SHOP, "cloakroom.wsgi"), (SHOP, "app:create_app()")):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            bind = f"--bind=fd://{listener.fileno()}"
            command = ["-m", "gunicorn", "--workers=2", "--threads=8", bind, f"--chdir={place}", module]
            stack.enter_context(running(command, environ, output, [listener.fileno()]))
            ports.append(listener.getsockname()[1])
        yield ports[0], ports[1], home
    assert "Traceback" not in log.read_text(), log.read_text()


def test_a_look_around_leaves_no_session_behind(shops: tuple[int, int, Path]) -> None:
    """A robot that fetches the page costs no row and gets no session's cookie."""
    with coatcheck.connect(shops[2]) as client:
        before = client.stats().sessions
        browser = Browser()
        assert "There is no session." in browser.get(shops[0])
        assert (browser.token, client.stats().sessions) == (None, before)


def test_cart_login_devices_and_logout(shops: tuple[int, int, Path]) -> None:
    """The ticket keeps its number, the token in the cookie is new, the cart comes along; then all is over."""
    port, _, home = shops
    browser, other = Browser(), Browser()
    page = browser.post(port, "/cart/add/hat", browser.get(port))
    assert "Felt hat hangs in your cart." in page
    assert "hangs in your cart" not in browser.get(port)
    before = browser.token
    page = browser.post(port, "/login", page, name="dora")
    assert "Welcome, dora." in page
    assert re.search(r"<td>Felt hat</td>\s*<td>1</td>", page)
    assert browser.token not in (None, before)

    other.post(port, "/login", other.get(port), name="dora")
    assert "Signed out 1 other device." in browser.post(port, "/end-others", browser.get(port))
    assert "Signed in as" not in other.get(port)
    page = browser.post(port, "/cart/take/hat", browser.get(port))
    assert "is back on the rack" in page
    assert "You are signed out." in browser.post(port, "/logout", page)
    with coatcheck.connect(home) as client:
        assert client.sessions_of("dora") == []


def test_twenty_buttons_at_once_are_twenty_coats(shops: tuple[int, int, Path]) -> None:
    """Nothing is lost between the workers."""
    port, browser = shops[0], Browser()
    page = browser.post(port, "/cart/add/hat", browser.get(port))

    def press(_: int) -> None:
        tab = Browser()
        for cookie in browser.jar:
            tab.jar.set_cookie(cookie)
        tab.post(port, "/cart/add/raincoat", page)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(press, range(20)))
    assert re.search(r"<td>Yellow raincoat</td>\s*<td>20</td>", browser.get(port))


def test_one_session_in_two_frameworks(shops: tuple[int, int, Path]) -> None:
    """A cart, a login, a message and a logout of one shop are those of the other."""
    django, flask, home = shops
    browser = Browser()
    browser.post(flask, "/cart/add/hat", browser.get(flask))
    assert re.search(r"<td>Felt hat</td>\s*<td>1</td>", browser.get(django))
    browser.post(flask, "/login", browser.get(flask, "/login"), name="emil")
    page = browser.get(django)
    assert "Signed in as <b>emil</b>" in page

    with coatcheck.connect(home) as client:
        client.add_flash(str(browser.token), coatcheck.FlashMessage.success("From elsewhere"))
    assert '<p class="success" role="status">From elsewhere</p>' in browser.get(django)
    browser.post(django, "/logout", page)
    assert "emil" not in browser.get(flask)


def test_manage_py_knows_the_store(shops: tuple[int, int, Path]) -> None:
    """``check`` has nothing to say, ``coatcheck`` lists what is there."""
    environ = {**os.environ, "COATCHECK_HOME": str(shops[2]), "PYTHONPATH": str(ROOT)}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    for arguments, text in ((["check"], "no issues"), (["coatcheck", "stats"], "sessions: ")):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=DJANGO_SHOP,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert text in done.stdout
