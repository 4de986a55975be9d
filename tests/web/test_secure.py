"""Whether the cookie is Secure."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck import ConfigurationError
from coatcheck.web.secure import as_secure, is_loopback, secure_in_environment


@pytest.mark.parametrize(
    ("value", "secure"),
    [(None, True), (True, True), (False, False), ("1", True), (" Yes ", True), ("FALSE", False), ("0", False)],
)
def test_what_can_be_said(value: Any, secure: bool) -> None:
    """In a program, and as text in an environment; nothing said is Secure."""
    assert as_secure(value) is secure


@pytest.mark.parametrize("value", ["off", "", 0, "secure"])
def test_what_cannot_be_said(value: Any) -> None:
    """A guess could turn it off."""
    with pytest.raises(ConfigurationError, match="COATCHECK_SECURE"):
        as_secure(value)


def test_the_environment_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable says nothing."""
    assert secure_in_environment() is None
    monkeypatch.setenv("COATCHECK_SECURE", " ")
    assert secure_in_environment() is None
    monkeypatch.setenv("COATCHECK_SECURE", "false")
    assert secure_in_environment() == "false"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("shop.localhost:8000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("127.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_this_machine(host: str, loopback: bool) -> None:
    """Browsers take it for safe, so nobody has to be warned."""
    assert is_loopback(host) is loopback
