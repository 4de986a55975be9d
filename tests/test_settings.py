"""Settings: where they come from, and what is said about wrong ones."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from coatcheck.client import connect
from coatcheck.errors import ConfigurationError
from coatcheck.lifetimes import ANONYMOUS, SIGNED_IN
from coatcheck.settings import Settings
from coatcheck.store.policy import Policy

SETTINGS_PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def test_defaults() -> None:
    """Nothing given and nothing in the environment: the documented defaults."""
    settings = Settings.load(environ={})

    assert settings == Settings()
    assert settings.home == Path.cwd() / "coatcheck-state"
    assert settings.lane == "direct"
    assert settings.secrets is None
    assert (settings.anonymous, settings.signed_in) == (ANONYMOUS, SIGNED_IN)
    assert (settings.gate_timeout, settings.ask_timeout) == (2.0, 5.0)
    assert settings.durability is None
    assert settings.clock == "system"


def test_the_environment_fills_in() -> None:
    """``COATCHECK_*`` variables set what the arguments leave out; empty ones are as good as none."""
    environ = {
        "COATCHECK_HOME": "/var/lib/shop",
        "COATCHECK_SECRET": "new-secret, old-secret",
        "COATCHECK_LANE": "actor",
        "COATCHECK_DURABILITY": "commit",
        "COATCHECK_PORT": "2929",
        "COATCHECK_CLOCK": " ",
    }

    settings = Settings.load(environ=environ)

    assert settings.home == Path("/var/lib/shop")
    assert settings.secrets == ("new-secret", "old-secret")
    assert (settings.lane, settings.durability, settings.port) == ("actor", "commit", 2929)
    assert settings.clock == "system"


def test_arguments_come_first() -> None:
    """What is given overrules the environment; None gives nothing."""
    environ = {"COATCHECK_HOME": "/env", "COATCHECK_LANE": "actor", "COATCHECK_DURABILITY": "commit"}

    settings = Settings.load("/given", environ, lane="direct", durability=None)

    assert settings.home == Path("/given")
    assert settings.lane == "direct"
    assert settings.durability == "commit"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the variables of the process count."""
    monkeypatch.setenv("COATCHECK_HOME", "/from/the/process")

    assert Settings.load().home == Path("/from/the/process")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lane", "carrier-pigeon"),
        ("durability", "never"),
        ("on_principal_limit", "ask"),
        ("on_conflict", "merge"),
        ("on_ended", "ignore"),
        ("on_outage", "hope"),
        ("on_outage", 503),
        ("map_size", 0),
        ("map_size", "64G"),
        ("max_session_bytes", -1),
        ("max_flashes", 0),
        ("max_flashes", True),
        ("gate_timeout", 0),
        ("ask_timeout", -5),
        ("pool_size", 0),
        ("max_sessions_per_principal", -1),
        ("max_sessions_per_principal", 1.5),
        ("port", 70_000),
        ("port", "http"),
        ("home", ""),
        ("home", " "),
        ("home", 5),
        ("home", b"state"),
        ("redis", "active"),
        ("redis_prefix", "{a}"),
        ("redis_prefix", ""),
        ("encryption_keys_file", " "),
        ("encryption_keys_file", 5),
        ("anonymous", 3600),
        ("signed_in", "nist-aal2"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: Any) -> None:
    """The error has the setting, the value, and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(environ={}, **{name: value})

    assert name in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "use" in str(caught.value)


@pytest.mark.parametrize("name", ["anonymous", "signed_in"])
def test_wrong_lifetimes_show_right_ones(name: str) -> None:
    """A bare number of seconds is the likely mistake, so the error shows what to write instead."""
    with pytest.raises(ConfigurationError, match=rf"{name} is 3600: .*Lifetimes\(idle=3600\)"):
        Settings.load(None, {}, **{name: 3600})


@pytest.mark.parametrize("home", ["", 5])
def test_connect_refuses_a_home_that_is_none(home: Any) -> None:
    """An empty home is no way to say the working directory."""
    with pytest.raises(ConfigurationError, match=r"home is .*directory"):
        connect(home)


def test_an_unknown_setting_is_named() -> None:
    """A misspelt setting is an error that lists those there are."""
    with pytest.raises(ConfigurationError, match="idel_timeout") as caught:
        Settings.load(environ={}, idel_timeout=5)

    assert "gate_timeout" in str(caught.value)


def test_a_wrong_variable_is_named() -> None:
    """A port that is no number names the variable it came from."""
    with pytest.raises(ConfigurationError, match="COATCHECK_PORT"):
        Settings.load(environ={"COATCHECK_PORT": "http"})


def test_repr_shows_no_secret() -> None:
    """Settings can be logged."""
    settings = Settings.load(environ={}, secrets=("do-not-show-me",))

    assert "do-not-show-me" not in f"{settings!r} {settings}"
    assert settings.secrets == ("do-not-show-me",)


@pytest.mark.parametrize("url", ["localhost:6379/top-secret", "", 5])
def test_a_redis_url_that_is_none_is_not_shown(url: Any) -> None:
    """It may hold a password, so it is in no error and no ``repr``; what is wrong is said without it."""
    with pytest.raises(ConfigurationError, match="redis_url is no URL: use one such as redis://") as caught:
        Settings(redis_url=url)

    assert "top-secret" not in str(caught.value)
    assert "top-secret" not in repr(Settings(redis_url="redis://:top-secret@host"))


def test_every_limit_has_its_variable() -> None:
    """Numbers come from the environment too."""
    environ = {"COATCHECK_MAX_SESSION_BYTES": "131072", "COATCHECK_GATE_TIMEOUT": "0.5", "COATCHECK_ON_ENDED": "error"}

    settings = Settings.load(environ=environ)

    assert (settings.max_session_bytes, settings.gate_timeout, settings.on_ended) == (131072, 0.5, "error")


def test_a_misspelt_variable_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """What looks like one of ours and is none has no effect: that is said, once."""
    for _ in range(2):
        Settings.load(environ={"COATCHECK_LANES": "actor", "COATCHECK_MY_OWN": "1"})

    assert [record.getMessage() for record in caplog.records] == [
        "COATCHECK_LANES in the environment has no effect: did you mean COATCHECK_LANE?"
    ]


@pytest.mark.parametrize("home", ["redis://localhost:6379/0", "file:///state"])
def test_a_url_is_no_home(home: str) -> None:
    """Nobody gets a directory named ``redis:``."""
    with pytest.raises(ConfigurationError, match="not a URL"):
        connect(home)


@pytest.mark.parametrize(
    ("secrets", "why"), [(5, "type int"), ([5], "is int, not bytes"), (["abc"], "has 3 bytes, 32 are needed")]
)
def test_a_secret_that_cannot_be_is_said_when_connecting(secrets: Any, why: str) -> None:
    """Not to the first visitor."""
    with pytest.raises(ConfigurationError, match=why):
        connect("state", secrets=secrets)


def test_the_page_of_settings_has_them_all() -> None:
    """Each with its key, whether the environment is read, and whose it is; the numbers are the defaults."""
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in SETTINGS_PAGE.read_text(encoding="utf-8").partition("## ")[0].splitlines()
        if line.startswith("| `")
    ]
    environ = {"COATCHECK_HOME": "a", "COATCHECK_SECRET": "b", "COATCHECK_LANE": "actor", "COATCHECK_PORT": "9"}
    environ |= {"COATCHECK_DURABILITY": "commit", "COATCHECK_CLOCK": "file:c", "COATCHECK_ON_ENDED": "error"}
    environ |= {"COATCHECK_ON_PRINCIPAL_LIMIT": "refuse", "COATCHECK_ON_CONFLICT": "reject"}
    environ |= {"COATCHECK_ON_OUTAGE": "read-only", "COATCHECK_BIND": "127.0.0.2"}
    environ |= {"COATCHECK_REDIS": "standby", "COATCHECK_REDIS_URL": "redis://localhost"}
    environ |= {row[1]: "1" for row in rows if row[1] not in environ}
    plain, read = Settings.load(environ={}), Settings.load(environ=environ)
    wide = {each.name: each.default for each in fields(Policy)}

    assert [row[0] for row in rows] == [each.name for each in fields(Settings)]
    for name, key, variable, default, _, kept, _ in rows:
        assert key == f"COATCHECK_{name.upper() if name != 'secrets' else 'SECRET'}"
        assert (variable == "yes") == (getattr(plain, name) != getattr(read, name)), name
        assert (kept == "store") == (name in wide), name
        if re.fullmatch(r"[\d,]+(\.\d+)?", default):
            assert float(default.replace(",", "")) == wide.get(name, getattr(plain, name)), name
