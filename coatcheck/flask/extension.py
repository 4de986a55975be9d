"""Coatcheck: the Flask extension."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import flask
from flask import got_request_exception
from werkzeug.exceptions import Forbidden, ServiceUnavailable

from coatcheck.client import SessionClient, connect
from coatcheck.errors import ConfigurationError, ReauthenticationRequired, StoreUnavailable
from coatcheck.flask.commands import commands
from coatcheck.flask.config import (
    COOKIE_OPTIONS,
    PREFIX,
    adopter_of,
    check_names,
    check_values,
    settings_of,
    tell_what_has_no_effect,
)
from coatcheck.flask.interface import CoatcheckSessionInterface, ask_flask, current_session
from coatcheck.store.files import check_home
from coatcheck.web.answer import RETRY_AFTER

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

_log = logging.getLogger("coatcheck.flask")


class Coatcheck:
    """Keeps the sessions of Flask applications: ``Coatcheck(app)``, or ``Coatcheck()`` and ``init_app(app)``.

    What is given here goes before ``app.config["COATCHECK_..."]``, and that before the environment.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        client: SessionClient | None = None,
        home: str | os.PathLike[str] | None = None,
        lane: str | None = None,
        **settings: Any,
    ) -> None:
        """``client``: one that exists, instead of ``home``, ``lane`` and the other fields of the settings."""
        given = {"home": home, "lane": lane, **settings}
        self._given = {name: value for name, value in given.items() if value is not None}
        if client is not None and self._given.keys() - COOKIE_OPTIONS:
            msg = "Coatcheck takes a client, or the settings for one, not both"
            raise ConfigurationError(msg)
        check_names(self._given)
        self._client = client
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make coatcheck the session interface of the application. Opens nothing before the first request.

        Raises ConfigurationError for settings and cookie rules that cannot work.
        """
        given = dict(self._given)
        for option in COOKIE_OPTIONS & given.keys():
            app.config[f"{PREFIX}{option.upper()}"] = given.pop(option)
        settings = {**settings_of(app), **given}
        check_values(app)
        client = self._client or connect(**settings)
        check_home(client.settings.home)
        interface = CoatcheckSessionInterface(client)
        interface.cookie_rules(app)
        interface.adopter = adopter_of(app)
        tell_what_has_no_effect(app)
        app.session_interface = interface
        app.extensions["coatcheck"] = interface
        if StoreUnavailable not in app.error_handler_spec[None][None]:
            app.register_error_handler(StoreUnavailable, _store_unavailable)
        if ReauthenticationRequired not in app.error_handler_spec[None][None]:
            app.register_error_handler(ReauthenticationRequired, _sign_in_again)
        if commands.name not in app.cli.commands:
            app.cli.add_command(commands)
        app.teardown_request(_tear_down)

    @property
    def client(self) -> SessionClient:
        """The client of the current application. Raises RuntimeError outside of one."""
        interface: CoatcheckSessionInterface = flask.current_app.extensions["coatcheck"]
        return interface.client


def _store_unavailable(error: StoreUnavailable) -> ResponseReturnValue | ServiceUnavailable:
    """Slow or down is not logged out: 503, and the cookie stays as it is."""
    app = flask.current_app
    app.logger.error("no session: %s", error)
    page = ServiceUnavailable(retry_after=RETRY_AFTER)
    try:
        answer: ResponseReturnValue | ServiceUnavailable = ask_flask(app.handle_http_exception, page)
    except StoreUnavailable:
        answer = page  # the application's own page of errors uses the session
    return answer


def _sign_in_again(_: ReauthenticationRequired) -> ResponseReturnValue:
    """For applications that have no way to ask for the password again."""
    answer: ResponseReturnValue = ask_flask(flask.current_app.handle_http_exception, Forbidden("Sign in again first."))
    return answer


def _request_failed(_: Flask, **__: Any) -> None:
    """Nothing of a request that fails reaches the store; what the error page writes afterwards does."""
    session = current_session()
    if session is not None:
        session.abandon()


def _tear_down(error: BaseException | None) -> None:
    """A request that something else than an Exception has ended, such as a worker's time limit; or a stream."""
    if error is not None and not isinstance(error, Exception):
        _request_failed(flask.current_app)
    session = current_session()
    if session is not None and session.sealed and session.modified:
        _log.warning(
            "%s: what was written to the session while the response was streamed is lost: write before, or call "
            "session.commit() in the stream",
            flask.request.endpoint,
        )


# For all applications, whichever way they got their session interface.
got_request_exception.connect(_request_failed)
