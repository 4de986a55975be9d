"""``Clear-Site-Data``: what can be said, and which responses of the middleware say it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import anyio
import pytest

import coatcheck
from coatcheck import ConfigurationError
from coatcheck.asgi import SessionMiddleware as ASGIMiddleware
from coatcheck.web.clearing import clear_site_data
from coatcheck.wsgi import SessionMiddleware as WSGIMiddleware
from tests.asgi.driving import answer, visit

USUAL = '"cache", "storage"'
CASES = [
    ("logout", 200, (), [USUAL]),
    ("logout and flash", 200, (), [USUAL]),
    ("logout", 200, [("clear-site-data", '"cookies"')], ['"cookies"']),
    ("logout", 500, (), []),
    ("put", 200, (), []),
    ("nothing", 200, (), []),
]
"""What the application does, its status and headers, and what the response says."""


@pytest.mark.parametrize(
    ("value", "header"),
    [
        (None, None),
        (False, None),
        (True, USUAL),
        ("*", '"*"'),
        ("cache, cookies", '"cache", "cookies"'),
        ('"cache","executioncontexts"', '"cache", "executionContexts"'),
        (["storage"], '"storage"'),
        (("clientHints", "cache"), '"clientHints", "cache"'),
    ],
)
def test_what_can_be_said(value: Any, header: str | None) -> None:
    """A flag for what is usual, or directives, quoted or not."""
    assert clear_site_data(value) == header


@pytest.mark.parametrize("value", [1, "", "cash", [], [1], {"cache": True}, "cache\r\nX: y", b"cache"])
def test_what_cannot_be_said(home: Path, value: Any) -> None:
    """When the application is made, with what there is to say."""
    with pytest.raises(ConfigurationError, match=r"clear_site_data is .*use True for cache and storage, or a list of"):
        ASGIMiddleware(visit, home=home, clear_site_data=value)  # type: ignore[arg-type]


def act(session: Any, what: str) -> None:
    """What the application does."""
    if what.startswith("logout"):
        session.logout()
    if what.endswith("flash"):
        session.flash("goodbye")
    if what == "put":
        session["b"] = 2


def signed_in(home: Path) -> str:
    """The token of somebody."""
    with coatcheck.connect(home) as client:
        return client.create({"a": 1}, principal="ann")[0]


@pytest.mark.parametrize(("what", "status", "headers", "expected"), CASES)
@pytest.mark.parametrize("asks", [True, False])
def test_asgi(home: Path, asks: bool, what: str, status: int, headers: Any, expected: list[str]) -> None:
    """The response to a logout, and no other; what the application says by itself stays."""
    token = signed_in(home)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope["session"], what)
        await answer(send, status, headers=[(name.encode(), value.encode()) for name, value in headers])

    middleware = ASGIMiddleware(app, home=home, clear_site_data=asks)
    sent = anyio.run(visit, middleware, token)
    middleware.client.close()
    assert sent.values("clear-site-data") == (expected if asks else [value for _, value in headers])


@pytest.mark.parametrize(("what", "status", "headers", "expected"), CASES)
def test_wsgi(home: Path, what: str, status: int, headers: Any, expected: list[str]) -> None:
    """The same."""
    environ: dict[str, Any] = {"HTTP_COOKIE": f"__Host-id={signed_in(home)}"}
    setup_testing_defaults(environ)
    said: list[tuple[str, str]] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        act(environ["coatcheck.session"], what)
        start_response(f"{status} Indeed", list(headers))
        return [b""]

    def start_response(_: str, headers: list[tuple[str, str]], *__: Any) -> Any:
        said.extend(headers)

    middleware = WSGIMiddleware(app, home=home, clear_site_data=True)
    list(middleware(environ, start_response))
    middleware.client.close()
    assert [value for name, value in said if name.lower() == "clear-site-data"] == expected
