"""``coatcheck doctor``: each finding is caused first."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.admin import exits
from coatcheck.client import connect
from tests.admin.cli.conftest import Shop
from tests.admin.cli.running import Said, coatcheck, codes
from tests.support.processes import Job


def doctor(home: Path, *arguments: str, **environ: str) -> Said:
    """What it says to programs."""
    return coatcheck(home, "doctor", "--json", *arguments, **environ)


@pytest.fixture
def closed(home: Path, shop: Shop) -> Path:
    """A state directory that nobody has open."""
    shop.client.close()
    return home


def test_a_good_set_up(home: Path, shop: Shop) -> None:
    """Nothing is wrong, beside the application."""
    said = doctor(home, "--fail-on", "warning")

    assert (said.code, said.json["verdict"]) == (0, "ok"), said.json
    assert "nothing is wrong" in coatcheck(home, "doctor").out


def test_open_to_others(closed: Path) -> None:
    """The directory or a file in it, with the command that mends it."""
    (closed / "synced").chmod(0o644)
    said = doctor(closed)
    assert (said.code, codes(said)[0]) == (exits.CRITICAL, "open-to-others")
    assert f"chmod 600 {closed / 'synced'}" in said.json["findings"][0]["remedy"]
    (closed / "synced").chmod(0o600)
    closed.chmod(0o755)
    assert "open-to-others" in codes(doctor(closed))
    closed.chmod(0o700)
    (closed / "secret").chmod(0o640)
    assert {"open-to-others", "secret-unusable"} <= set(codes(doctor(closed)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file(closed: Path) -> None:
    """What root has made, others cannot open."""
    os.chown(closed / "duty", 12345, -1)
    assert "other-owner" in codes(doctor(closed))
    for each in (closed, *closed.iterdir()):
        os.chown(each, 12345, -1)
    assert "other-user" in codes(doctor(closed))


def test_links_and_leftovers(closed: Path) -> None:
    """A link where a file should be, and what a killed process was writing."""
    (closed / ".data.mdb.compact").touch(0o600)
    assert "leftovers" in codes(doctor(closed))
    (closed / "duty").unlink()
    (closed / "duty").symlink_to(closed / "gate")
    assert "link" in codes(doctor(closed))


def test_foreign_locks(home: Path, shop: Shop) -> None:
    """A lock that is held by what does not have the store open."""
    holder = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_SH); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(home / "gate")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = doctor(home)
        process.communicate(b"\n")
    (finding,) = (each for each in said.json["findings"] if each["code"] == "foreign-lock")
    assert f"process {process.pid} " in finding["what"]
    assert "foreign-lock" not in codes(doctor(home))


def test_stopped_holders(home: Path, shop: Shop) -> None:
    """Who has the duty and stands still is named."""
    shop.client.close()
    with Job("hold_duty", home) as job:
        job.expect("True")
        job.stop()
        said = doctor(home)
    (finding,) = (each for each in said.json["findings"] if each["code"] == "stopped-holder")
    assert f"kill -CONT {job.pid}" in finding["remedy"]


FLASK = """
from flask import Flask
from coatcheck.flask import Coatcheck
app = Flask(__name__)
app.config.update({config})
Coatcheck(app, home={home!r})
"""
ASGI = """
from coatcheck import Lifetimes
from coatcheck.asgi import SessionMiddleware
app = SessionMiddleware(None, home={home!r}, {config})
"""


@pytest.mark.parametrize(
    ("program", "config", "found"),
    [
        (FLASK, "", set()),
        (FLASK, "COATCHECK_SECURE=False", {"cookie-not-secure"}),
        (FLASK, "SESSION_COOKIE_HTTPONLY=False", {"cookie-not-httponly"}),
        (FLASK, "SESSION_COOKIE_DOMAIN='shop.example'", {"cookie-domain", "cookie-plantable"}),
        (FLASK, "SESSION_COOKIE_SAMESITE='None'", {"cookie-cross-site"}),
        (ASGI, "", set()),
        (ASGI, "https_only=False", {"cookie-not-secure"}),
        (ASGI, "same_site='none', session_cookie='sid'", {"cookie-cross-site", "cookie-plantable"}),
    ],
)
def test_unsafe_cookies(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, config: str, found: set[str]
) -> None:
    """Those of an application, by its own settings."""
    (tmp_path / "some_shop.py").write_text(program.format(home=str(closed), config=config))

    said = doctor(closed, "--app", "some_shop:app", PYTHONPATH=str(tmp_path))

    assert {each for each in codes(said) if each.startswith("cookie")} == found, said
    policy = coatcheck(closed, "policy", "--app", "some_shop:app", "--json", PYTHONPATH=str(tmp_path)).json
    (cookie,) = (each for each in policy["clauses"] if each["title"] == "Cookie")
    assert ("NOT Secure" in cookie["text"]) == ("cookie-not-secure" in found)


def test_an_environment_that_is_for_developers(closed: Path) -> None:
    """``COATCHECK_SECURE=0`` makes all cookies insecure."""
    assert "cookie-not-secure" in codes(doctor(closed, COATCHECK_SECURE="0"))
    assert "cookie-not-secure" not in codes(doctor(closed, COATCHECK_SECURE="1"))
    said = doctor(closed, "--app", "no_such_module:app")
    assert said.code == exits.MISCONFIGURED
    assert "cannot be imported" in said.err


def test_it_works_without_any_store(home: Path) -> None:
    """And makes none."""
    assert codes(doctor(home))[0] == "no-store"
    assert not home.exists()
    with connect(home) as client:
        client.create({})
    with (home / "writer").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    assert doctor(home).code == 0
