"""A pytest plugin for Flask's own tests: where ``SWAPPED`` is set, every application's sessions are coatcheck's."""

from __future__ import annotations

import os
import shutil
import tempfile

import _pytest.monkeypatch
import pytest
from flask import Flask
from flask.sessions import SessionInterface, SessionMixin

from coatcheck.client import connect
from coatcheck.flask import CoatcheckSessionInterface


class Swapped(CoatcheckSessionInterface):
    """Where Flask's tests look at the cookie, they look at Flask's own settings."""

    get_cookie_name = SessionInterface.get_cookie_name
    get_cookie_secure = SessionInterface.get_cookie_secure
    get_cookie_samesite = SessionInterface.get_cookie_samesite

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """As ``COATCHECK_REFRESH`` would have it."""
        return super().should_set_cookie(app, session) or SessionInterface.should_set_cookie(self, app, session)


def pytest_configure(config: pytest.Config) -> None:
    """Put it where Flask looks for its own."""
    if not hasattr(_pytest.monkeypatch, "notset"):
        _pytest.monkeypatch.notset = _pytest.monkeypatch.NOTSET  # type: ignore[attr-defined] # its name since pytest 9
    if not os.environ.get("SWAPPED"):
        return
    home = tempfile.mkdtemp(prefix="coatcheck-swapped-")
    client = connect(os.path.join(home, "state"))  # noqa: PTH118 - a text
    Flask.session_interface = Swapped(client)

    def clean_up() -> None:
        client.close()
        shutil.rmtree(home)

    config.add_cleanup(clean_up)
