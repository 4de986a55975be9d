"""What ``manage.py check`` says, and what the settings dict refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from coatcheck import Lifetimes
from coatcheck.django.config import get_client, get_options
from coatcheck.lifetimes import DAY
from tests.django.project.settings import MIDDLEWARE, OURS, STOCK

ROOT = Path(__file__).parents[2]


def said() -> dict[str, str]:
    """The messages of coatcheck's checks, by their id."""
    return {str(each.id): f"{each.msg} {each.hint}" for each in run_checks(tags=["coatcheck"])}


def test_a_good_project_gets_no_message() -> None:
    """That of these tests."""
    assert said() == {}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"HOEM": "x"}, "unknown key 'HOEM': did you mean 'HOME'?"),
        ({"home": "x"}, "did you mean 'HOME'?"),
        ({"WIBBLE": 1}, "there are ADOPT, ANONYMOUS, "),
        ("state", "COATCHECK is str: use a dict"),
        ({"HOME": "redis://host"}, "not a URL"),
        ({"HOME": 7}, "home is 7"),
        ({"LANE": "fast"}, "lane is 'fast'"),
        ({"SECURE": "perhaps"}, "COATCHECK['SECURE']"),
        ({"NO_STORE": 1}, "COATCHECK['NO_STORE'] is 1: use True or False"),
        ({"ANONYMOUS": {"idle": -1}}, "COATCHECK['ANONYMOUS'] is no lifetimes"),
        ({"ANONYMOUS": {"idel": 1}}, "COATCHECK['ANONYMOUS'] is no lifetimes"),
        ({"ANONYMOUS": 3600}, "Lifetimes(idle=3600)"),
        ({"SECRET": "short"}, "secret"),
    ],
)
def test_a_wrong_dict_is_an_error_that_names_what(wrong: Any, text: str) -> None:
    """By the check, and where it is used."""
    with override_settings(COATCHECK=wrong):
        assert text in said()["coatcheck.E001"]
        with pytest.raises(ImproperlyConfigured) as caught:
            get_client(), get_options()
        assert text in str(caught.value)


def test_a_right_dict_is_what_it_says(home: Path) -> None:
    """Lifetimes as objects and as dicts, several secrets, options."""
    dict_ = {
        "HOME": home,
        "SECRET": ["a" * 43, "b" * 43],
        "ANONYMOUS": {"idle": 60, "absolute": 600},
        "SIGNED_IN": Lifetimes(idle=DAY),
        "ON_OUTAGE": "read-only",
        "LANE": None,
        "PARTITIONED": True,
    }
    with override_settings(COATCHECK=dict_):
        settings = get_client().settings
        assert (settings.home, settings.on_outage, settings.lane) == (home, "read-only", "direct")
        assert (settings.anonymous, settings.signed_in) == (Lifetimes(idle=60, absolute=600), Lifetimes(idle=DAY))
        assert len(settings.secrets or ()) == 2
        assert get_options().partitioned


def test_secure_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """For development; the dict counts more."""
    monkeypatch.setenv("COATCHECK_SECURE", "0")
    with override_settings(COATCHECK={}):
        assert not get_options().secure
    with override_settings(COATCHECK={"SECURE": True}):
        assert get_options().secure


@pytest.mark.parametrize(
    ("wrong", "id_", "text"),
    [
        ({"COATCHECK": {"HOME": "state"}}, "W001", "BASE_DIR"),
        ({"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": False}, "E002", "Secure"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}, "E003", "SESSION_ENGINE"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}, "E004", "SESSION_ENGINE"),
        ({"MIDDLEWARE": [STOCK, *MIDDLEWARE[1:]]}, "W002", OURS),
        ({"MESSAGE_STORAGE": "django.contrib.messages.storage.session.SessionStorage"}, "W003", "MESSAGE_STORAGE"),
        ({"SESSION_FILE_PATH": "/tmp", "SESSION_CACHE_ALIAS": "x"}, "I001", "SESSION_CACHE_ALIAS, SESSION_FILE_PATH"),
    ],
)
def test_what_could_be_better_is_said(wrong: dict[str, Any], id_: str, text: str) -> None:
    """Each with its id, which ``SILENCED_SYSTEM_CHECKS`` takes."""
    with override_settings(**wrong):
        assert text in said()[f"coatcheck.{id_}"]


def test_manage_check_says_it_and_starts_all_the_same(tmp_path: Path) -> None:
    """A dict that cannot work is a message with an id, not a traceback."""
    module = tmp_path / "broken_settings.py"
    module.write_text("from tests.django.project.settings import *\nCOATCHECK = {'HOEM': 'x'}\n")
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "broken_settings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "(coatcheck.E001) COATCHECK has an unknown key 'HOEM': did you mean 'HOME'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_changes_for_another_engine(tmp_path: Path) -> None:
    """Importing coatcheck's modules leaves the cookie of a project with another engine as it is."""
    module = tmp_path / "other_settings.py"
    module.write_text(
        "from tests.django.project.settings import *\nSESSION_ENGINE = 'django.contrib.sessions.backends.db'\n"
    )
    program = (
        "import django; django.setup(); import coatcheck.django.sessions, coatcheck.django.middleware;"
        "from django.conf import settings; print(settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "other_settings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["sessionid", "False"]
