"""The programs of docs/one-store.md: Flask and Django under gunicorn, FastAPI under uvicorn, on one store."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import coatcheck
from coatcheck.testing import together
from tests.web.serving import GUNICORN, ROOT, UVICORN, serving

PAGE = ROOT / "docs" / "one-store.md"
PROGRAMS = {
    "flask": (GUNICORN, "flask_shop:app"),
    "django": (GUNICORN, "django_shop:application"),
    "fastapi": (UVICORN, "fastapi_shop:app"),
}
DOMAIN = "shop.example"


class Street(NamedTuple):
    """Three shops."""

    ports: dict[str, int]
    home: Path
    domain: str | None

    @property
    def cookie(self) -> str:
        """Its name."""
        return "__Secure-id" if self.domain else "__Host-id"


class Browser:
    """Keeps the cookies, as a browser does for https, whichever shop sends them."""

    def __init__(self, street: Street, cookies: dict[str, str] | None = None) -> None:
        self._street = street
        self.cookies = dict(cookies or {})
        self.attributes: dict[str, set[str]] = {}
        """What each shop said about the cookie, the last time it set one."""

    def twin(self) -> Browser:
        """Another tab."""
        return Browser(self._street, self.cookies)

    def ask(self, shop: str, path: str = "/", method: str = "GET") -> Any:
        """The answer of a shop."""
        connection = http.client.HTTPConnection("127.0.0.1", self._street.ports[shop], timeout=30)
        host = f"{shop}.{DOMAIN}" if self._street.domain else "127.0.0.1"
        headers = {"Host": host, "Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items())}
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        assert answer.status == 200, text
        for line in answer.headers.get_all("Set-Cookie", []):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            lower = {each.lower() for each in attributes}
            self.attributes[shop] = {each for each in lower if not each.startswith(("max-age=", "expires="))}
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return json.loads(text)

    def post(self, shop: str, path: str) -> Any:
        """Press a button."""
        return self.ask(shop, path, "POST")

    def users(self) -> list[Any]:
        """Who is signed in, in each shop."""
        return [self.ask(shop)["user"] for shop in PROGRAMS]


@pytest.fixture(scope="module", params=[None, DOMAIN], ids=["one host", "subdomains"])
def street(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """The files of the page in one folder, migrated and started as it says, two workers each."""
    folder = tmp_path_factory.mktemp("street")
    names = ["shared", "flask_shop", "django_shop", "fastapi_shop"]
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name, block in zip(names, blocks, strict=True):
        (folder / f"{name}.py").write_text(block, encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    migrate = [sys.executable, "django_shop.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=folder, env=environ, check=True)
    more = {} if request.param is None else {"SHOP_DOMAIN": request.param}
    with ExitStack() as stack:
        ports = {
            shop: stack.enter_context(serving(server, module, folder / "elsewhere", cwd=folder, **more))
            for shop, (server, module) in PROGRAMS.items()
        }
        yield Street(ports, folder / "state", request.param)
    assert not (folder / "elsewhere").exists()


@pytest.fixture
def browser(street: Street) -> Browser:
    """Somebody who has just arrived."""
    return Browser(street)


@pytest.fixture
def user(street: Street) -> tuple[str, str]:
    """Somebody whom Django knows: the primary key, and the name."""
    return str(Browser(street).post("django", "/login/ann")["user"]), "ann"


@pytest.mark.parametrize("shop", PROGRAMS)
def test_a_login_in_one_is_a_login_in_all(street: Street, browser: Browser, user: tuple[str, str], shop: str) -> None:
    """Each has its own idea of a user; the session is one, with one cookie, and the old token opens nothing."""
    key, name = user
    browser.post("flask", "/cart/hat")
    before = browser.twin()
    browser.post(shop, f"/login/{name if shop == 'django' else key}")

    assert browser.users() == [key, name, key]
    assert list(browser.cookies) == [street.cookie]
    assert before.cookies != browser.cookies
    assert before.users() == [None, None, None]
    with coatcheck.connect(street.home) as client:
        record = client.find(browser.cookies[street.cookie]).record
        assert record is not None
        assert (record.principal, record.lifetimes.idle, record.lifetimes.absolute) == (key, 8 * 3600, 7 * 86400)


@pytest.mark.parametrize("first", PROGRAMS)
@pytest.mark.parametrize("second", PROGRAMS)
def test_another_user_finds_nothing_of_the_first(street: Street, browser: Browser, first: str, second: str) -> None:
    """Wherever each of them signs in: neither their cart nor what a framework has noted about them."""
    keys = {name: str(Browser(street).post("django", f"/login/{name}")["user"]) for name in ("ann", "bob")}
    for shop, name in ((first, "ann"), (second, "bob")):
        browser.post(shop, f"/login/{name if shop == 'django' else keys[name]}")
        if name == "ann":
            browser.post(first, "/cart/hat")

    assert browser.users() == [keys["bob"], "bob", keys["bob"]]
    assert browser.ask("fastapi")["cart"] == []


@pytest.mark.parametrize("signs_in", PROGRAMS)
@pytest.mark.parametrize("signs_out", PROGRAMS)
def test_a_logout_in_one_is_a_logout_in_all(
    browser: Browser, user: tuple[str, str], signs_in: str, signs_out: str
) -> None:
    """Also where somebody has signed in elsewhere; the cookie is gone, and what another tab still has opens nothing."""
    key, name = user
    browser.post(signs_in, f"/login/{name if signs_in == 'django' else key}")
    tab = browser.twin()
    browser.post(signs_out, "/logout")

    assert browser.cookies == {}
    assert browser.users() == tab.users() == [None, None, None]


@pytest.mark.parametrize("shop", PROGRAMS)
def test_keys_and_flashes_go_along(browser: Browser, shop: str) -> None:
    """What one writes the others read; what it says is shown once, by whichever comes next."""
    browser.post(shop, "/cart/hat")
    one, other = (each for each in PROGRAMS if each != shop)
    text = {"flask": "hat, by Flask", "django": "hat, by Django", "fastapi": "hat, by FastAPI"}[shop]

    assert browser.ask(one) == {"user": None, "cart": ["hat"], "messages": [text]}
    assert browser.ask(other) == {"user": None, "cart": ["hat"], "messages": []}
    browser.post(one, "/cart/scarf")
    assert browser.ask(other)["cart"] == browser.ask(shop)["cart"] == ["hat", "scarf"]


def test_what_all_write_at_once_adds_up(browser: Browser) -> None:
    """Six workers, one cart, one mailbox."""
    browser.post("flask", "/cart/hat")
    browser.ask("flask")
    together(18, lambda number: browser.twin().post(list(PROGRAMS)[number % 3], f"/cart/{number}"))

    found = browser.ask("django")
    assert sorted(found["cart"][1:], key=int) == [str(number) for number in range(18)]
    assert len(found["messages"]) == 18
    assert browser.ask("fastapi")["messages"] == []


def test_all_set_the_same_cookie(street: Street) -> None:
    """Name and attributes, or browsers would keep two of them; how long it lives is each application's business."""
    seen = []
    for shop in PROGRAMS:
        browser = Browser(street)
        browser.post(shop, "/cart/hat")
        seen.append((list(browser.cookies), browser.attributes[shop]))
    assert seen[0] == seen[1] == seen[2]
    expected = {"secure", "httponly", "path=/", "samesite=lax"}
    assert seen[0] == ([street.cookie], expected | ({f"domain={DOMAIN}"} if street.domain else set()))


def test_the_transcript_of_the_page(street: Street) -> None:
    """Request by request."""
    browser = Browser(street)
    shops = {"8001": "flask", "8002": "django", "8003": "fastapi"}
    curl = r"^\$ curl .*?(-X POST )?http://127.0.0.1:(\d+)(\S+)\n(.*)$"
    shown = re.findall(curl, PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) == 5
    for post, port, path, answer in shown:
        assert browser.ask(shops[port], path, "POST" if post else "GET") == json.loads(answer)
