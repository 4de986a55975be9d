"""The application before it moved: Flask-Session on a real store, Redis or files, and the cookies of its visitors."""

from __future__ import annotations

import http.client
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from cachelib import FileSystemCache
from flask import Flask, flash, session
from flask_session import Session as FlaskSession

from coatcheck.adopt import FlaskSessionCachelib, FlaskSessionRedis


class OldShop:
    """Its visitors are signed in; ``source`` is for whoever takes their sessions over."""

    def __init__(self, config: dict[str, Any], source: Callable[..., Any], rows: Callable[[], int]) -> None:
        self.source = source
        self.rows = rows
        """How many sessions are left there."""
        self._app = Flask("old", static_folder=None)
        self._app.config.update(config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Flask-Session itself, of its cachelib store
            FlaskSession(self._app)

        @self._app.get("/begin/<name>")
        def begin(name: str) -> str:
            session["_user_id"] = name  # as Flask-Login has it
            session["cart"] = [1, {"coat": 2}]
            flash("welcome", "success")
            return "begun"

    def cookie_of(self, name: str) -> str:
        """The value of the cookie of somebody who has signed in."""
        browser = self._app.test_client()
        browser.get(f"/begin/{name}")
        cookie = browser.get_cookie("session")
        assert cookie is not None
        return str(cookie.value)


def in_redis(port: int) -> OldShop:
    """``SESSION_TYPE = "redis"``."""
    server = redis.Redis(port=port)
    server.flushall()
    config = {"SESSION_TYPE": "redis", "SESSION_REDIS": server}
    return OldShop(config, lambda **options: FlaskSessionRedis(server, **options), server.dbsize)


def in_files(folder: Path) -> OldShop:
    """``SESSION_TYPE = "cachelib"``."""
    cache = FileSystemCache(str(folder), threshold=0)

    def source(**options: Any) -> FlaskSessionCachelib:
        return FlaskSessionCachelib(cache, allow_pickle=True, **options)

    config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
    return OldShop(config, source, lambda: len(list(folder.iterdir())))


def token_from(port: int, path: str, cookie: str) -> str:
    """The token that the answer to a request with this ``Cookie`` header brings, beside the removal of the old one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    ours, gone = answer.headers.get_all("Set-Cookie", [])
    assert gone.startswith("session=;")
    return str(ours.partition("=")[2].partition(";")[0])
