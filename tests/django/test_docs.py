"""The program of docs/django.md, as somebody would save and start it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.settings import Settings
from coatcheck.testing import together
from tests.django.served import ROOT, Visitor, served
from tests.support.require import require

PAGE = ROOT / "docs" / "django.md"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The folder with ``shop.py`` and its database."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (text,) = [block for block in blocks if "settings.configure" in block]
    (tmp_path / "shop.py").write_text(text)
    subprocess.run([sys.executable, "shop.py", "migrate", "--verbosity=0"], cwd=tmp_path, env=plain(), check=True)
    return tmp_path


def plain() -> dict[str, str]:
    """An environment that names no settings."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    return environ


def test_the_program_of_the_page_does_what_the_page_says(program: Path) -> None:
    """Under gunicorn with two workers: the transcript, a login, a logout, and a cart that adds up."""
    require(importlib.util.find_spec("gunicorn"), "gunicorn")
    spare = program / "spare.sqlite3"
    shutil.copy(program / "db.sqlite3", spare)
    with served(program / "state", spare, module="shop", folder=program) as port:
        browser = Visitor(port)
        assert browser.get("/add/hat").text == '{"added": "hat"}'
        shown = '{"cart": ["hat"], "user": "AnonymousUser", "messages": ["hat is in your cart"]}'
        assert browser.get("/").text == shown
        assert shown in PAGE.read_text()
        before = browser.token
        assert browser.get("/login/ann").json == {"user": "ann"}
        assert browser.token != before
        together(10, lambda _: browser.twin().get("/add/coat"))
        found = browser.get("/").json
        assert (found["user"], found["cart"], len(found["messages"])) == ("ann", ["hat", *["coat"] * 10], 10)
        said = subprocess.run(
            [sys.executable, "shop.py", "coatcheck", "list", "--user", "ann"],
            cwd=program,
            env=plain(),
            check=True,
            capture_output=True,
            text=True,
        )
        assert said.stdout.startswith("sessions: 1\n")
        browser.get("/logout")
        assert browser.get("/").json["user"] == "AnonymousUser"
    checked = subprocess.run(
        [sys.executable, "shop.py", "check"], cwd=program, env=plain(), check=True, capture_output=True, text=True
    )
    assert "no issues" in checked.stdout


def test_every_key_of_the_dict_is_a_setting_that_the_pages_tell(home: Path) -> None:
    """The integration's own are named in docs/settings.md."""
    from coatcheck.django.config import _OPTIONS

    text = (ROOT / "docs" / "settings.md").read_text()
    assert Settings(home=home)
    for name in _OPTIONS:
        assert f"`{name}`" in text, name
