"""The cookie rules by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import ConfigurationError
from coatcheck.cookies import LONGEST, MOST_PRESENTED, CookieRules, default_name, more_presented, presented


def test_the_default_cookie() -> None:
    """Secure, HttpOnly, Lax, for this host alone, under the name that guarantees it."""
    rules = CookieRules()

    assert rules.header("TOKEN") == "__Host-id=TOKEN; Secure; HttpOnly; Path=/; SameSite=Lax"
    assert rules.header("TOKEN", 60) == "__Host-id=TOKEN; Max-Age=60; Secure; HttpOnly; Path=/; SameSite=Lax"
    assert f"Max-Age={LONGEST};" in rules.header("TOKEN", 10**12)
    assert "Max-Age=0;" in rules.header("TOKEN", -5)


def test_a_removal_repeats_all_attributes() -> None:
    """Browsers keep a cookie whose removal says less than the cookie did."""
    for rules in (
        CookieRules(),
        CookieRules(secure=False, httponly=False, samesite=None),
        CookieRules(domain=".example.org", path="/app", samesite="none", partitioned=True),
    ):
        name, _, attributes = rules.header("TOKEN").partition("=TOKEN")
        assert rules.removal() == f"{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0{attributes}"
    assert rules.removal().endswith("; Domain=example.org; Secure; HttpOnly; Path=/app; SameSite=None; Partitioned")


def test_the_name_says_what_it_can() -> None:
    """And nothing about the software behind it."""
    assert default_name(secure=True) == "__Host-id"
    assert default_name(secure=True, domain="example.org") == "__Secure-id"
    assert default_name(secure=True, path="/app") == "__Secure-id"
    assert default_name(secure=False) == "id"


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"name": "__Host-x", "secure": False}, "Secure"),
        ({"name": "__Host-x", "domain": "example.org"}, "Domain"),
        ({"name": "__Host-x", "path": "/app"}, "Path"),
        ({"name": "__SECURE-x", "secure": False}, "Secure"),
        ({"samesite": "None", "secure": False}, "SameSite=None"),
        ({"partitioned": True, "secure": False}, "Partitioned"),
        ({"samesite": "Sometimes"}, "Sometimes"),
        ({"name": "a b"}, "a b"),
        ({"name": "x; Domain=evil"}, "evil"),
        ({"name": ""}, "name"),
        ({"path": "/; Domain=evil"}, "path"),
        ({"domain": "a\r\nSet-Cookie: b"}, "domain"),
        ({"domain": "https://example.org"}, "without scheme and port"),
        ({"domain": "example.org:8000"}, "scheme and port"),
        ({"domain": "münchen.example"}, "xn--"),
        ({"domain": "."}, "domain"),
        ({"domain": "a." * 200 + "org"}, "domain"),
        ({"domain": ["example.org"]}, "domain"),
        ({"path": "app"}, "begins with '/'"),
        ({"path": ""}, "begins with '/'"),
        ({"path": None}, "begins with '/'"),
        ({"path": "/€"}, "ASCII"),
        ({"path": "/a\n"}, "path"),
        ({"path": "/a" * 513}, "1024"),
        ({"name": "n" * 4043}, "4042"),
    ],
)
def test_what_browsers_would_refuse_is_refused(attributes: dict[str, Any], word: str) -> None:
    """At the start, with a text that says what does not go together; and nothing gets into a header by a setting."""
    with pytest.raises(ConfigurationError, match=word):
        CookieRules(**attributes)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (None, []),
        ("", []),
        ("id=one", ["one"]),
        ("a=b; id=one; c=d", ["one"]),
        ("a=b;id=one;c=d", ["one"]),
        ("id=one; id=two", ["one", "two"]),
        ('id="one"', ["one"]),
        ("id=; id=two", ["two"]),
        ("id", []),
        ("xid=one; id2=two; =id; a=id", []),
        ("id=a=b", ["a=b"]),
        ('id="', ['"']),
        ("\tid= one ", ["one"]),
        ("id =one", []),
        ('a=b; id= ; id=""', []),
        ("xid=one; id=two", ["two"]),
        ("id=one;", ["one"]),
        ("ID=one", []),
    ],
)
def test_what_was_presented(header: str | None, values: list[str]) -> None:
    """All values under the name, in order."""
    assert presented(header, "id") == values


@pytest.mark.parametrize(
    "header", ["a=b,__Host-id=evil", "\x85__Host-id=evil", "\xa0__Host-id=evil", "a=b\r\n__Host-id=evil", "a\x00; x"]
)
def test_a_cookie_of_a_subdomain_cannot_pass_for_a_host_cookie(header: str) -> None:
    """The name counts byte by byte, and the value of another cookie never becomes ours."""
    assert presented(header, "__Host-id") == []


def test_a_flood_of_cookies_is_cut() -> None:
    """Each one costs a look into the store."""
    assert len(presented("; ".join(f"id={number}" for number in range(500)), "id")) == MOST_PRESENTED


@pytest.mark.parametrize(
    ("count", "more"), [(0, False), (1, False), (MOST_PRESENTED, False), (MOST_PRESENTED + 1, True)]
)
def test_what_was_cut_is_known(count: int, more: bool) -> None:
    """Of too many cookies one may be valid that was not looked at; others do not count."""
    header = "; ".join(["a=b"] * 20 + [f"id={number}" for number in range(count)])

    assert more_presented(header, "id") is more
