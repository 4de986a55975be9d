"""CoatcheckSessionInterface: how Flask opens and saves its session."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import flask
from flask.globals import app_ctx
from flask.sessions import SessionInterface, SessionMixin

from coatcheck import cookies
from coatcheck.clock import SECOND
from coatcheck.cookies import CookieRules
from coatcheck.errors import CoatcheckError
from coatcheck.flask.config import TOKEN_HEADER, as_timedelta, clearing_of, header_of, is_secure
from coatcheck.flask.session import FlaskSession
from coatcheck.lifetimes import Lifetimes
from coatcheck.web.answer import ends_at, outlives_its_cookie, token_action
from coatcheck.web.clearing import CLEAR_SITE_DATA
from coatcheck.web.once import OVER_HTTP
from coatcheck.web.opening import open_presented, open_several
from coatcheck.web.stretching import lifetimes_for
from coatcheck.web.transport import HeaderTransport

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from coatcheck.adopt import Adopter
    from coatcheck.client import SessionClient
    from coatcheck.store.record import Record

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

_log = logging.getLogger("coatcheck.flask")


class CoatcheckSessionInterface(SessionInterface):
    """``app.session_interface = CoatcheckSessionInterface(client)``; :class:`Coatcheck` does that and the rest."""

    session_class = FlaskSession

    def __init__(self, client: SessionClient) -> None:
        """``client`` may be shared by several applications."""
        self.client = client
        self.adopter: Adopter | None = None
        """Takes over the sessions of another store; see :mod:`coatcheck.adopt`."""

    # What the cookie looks like: Flask's getters, to be overridden as with any session interface. --------------

    def get_cookie_name(self, app: Flask) -> str:
        """``SESSION_COOKIE_NAME``; ``COATCHECK_COOKIE_NAME``; else as :func:`coatcheck.cookies.default_name` says."""
        config = app.config
        name: str = config["SESSION_COOKIE_NAME"]
        if name != app.default_config["SESSION_COOKIE_NAME"]:
            return name
        return config.get("COATCHECK_COOKIE_NAME") or cookies.default_name(
            secure=self.get_cookie_secure(app), domain=self.get_cookie_domain(app), path=self.get_cookie_path(app)
        )

    def get_cookie_secure(self, app: Flask) -> bool:
        """True, unless ``COATCHECK_SECURE`` is False. Flask's own setting is False by default, so only True counts."""
        return is_secure(app) or bool(app.config["SESSION_COOKIE_SECURE"])

    def get_cookie_samesite(self, app: Flask) -> str | None:
        """``SESSION_COOKIE_SAMESITE``; Lax where that is not set."""
        return app.config["SESSION_COOKIE_SAMESITE"] or "Lax"

    def get_cookie_partitioned(self, app: Flask) -> bool:
        """``SESSION_COOKIE_PARTITIONED``, which Flask has since 3.1."""
        return bool(app.config.get("SESSION_COOKIE_PARTITIONED", False))

    def cookie_rules(self, app: Flask) -> CookieRules:
        """What the getters say, checked. Raises ConfigurationError for a cookie that browsers would refuse."""
        return CookieRules(
            name=self.get_cookie_name(app),
            secure=self.get_cookie_secure(app),
            httponly=self.get_cookie_httponly(app),
            samesite=self.get_cookie_samesite(app),
            domain=self.get_cookie_domain(app),
            path=self.get_cookie_path(app),
            partitioned=self.get_cookie_partitioned(app),
        )

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:  # noqa: ARG002 - as Flask's
        """When a permanent session ends however much it is used, so that use need not send the cookie again."""
        if not isinstance(session, FlaskSession) or not session.is_permanent():
            return None
        return _EPOCH + timedelta(microseconds=ends_at(session, self.client.clock.now()))

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Whether to send a cookie whose token has not changed: because it lives otherwise now, or to refresh it.

        Flask refreshes the cookie of a permanent session with each response (``SESSION_REFRESH_EACH_REQUEST``). Here
        the cookie ends with the session, so that would change nothing, and where the response is overtaken by that of
        a login it would bring the old token back. So it needs ``COATCHECK_REFRESH``, or a session that lives longer
        than a cookie may.
        """
        assert isinstance(session, FlaskSession)
        if session.lives_otherwise:
            return True
        if not (session.is_permanent() and app.config["SESSION_REFRESH_EACH_REQUEST"]):
            return False
        return bool(app.config.get("COATCHECK_REFRESH")) or outlives_its_cookie(session, self.client.clock.now())

    def lifetimes_of(self, app: Flask, record: Record | None, *, signed_in: bool) -> Lifetimes | None:
        """The lifetimes that ``PERMANENT_SESSION_LIFETIME`` asks for; None where the application did not set it.

        It is the idle lifetime, and the absolute one too when it is longer than that. A login leaves lifetimes
        alone that were chosen for this very session.
        """
        lifetime: timedelta = app.permanent_session_lifetime
        if lifetime == as_timedelta(app.default_config["PERMANENT_SESSION_LIFETIME"]):
            return None
        return lifetimes_for(self.client.settings, record, lifetime.total_seconds(), signed_in=signed_in)

    # Opening and saving ----------------------------------------------------------------------------------------

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """The session of the request; on the direct lane with its data, which counts as no use."""
        session = self._open(app, request)
        if session.may_be_unavailable and flask.has_request_context():
            # What runs after the view, as Flask-Login's and its like, is too late for an error that is answered by 503.
            flask.after_this_request(session.raise_no_more_after)
        return session

    def _open(self, app: Flask, request: Request) -> FlaskSession:
        if app.config.get(TOKEN_HEADER) is not None:
            by_header = HeaderTransport(app.config[TOKEN_HEADER])
            value = request.headers.get(by_header.name)
            return open_presented(
                lambda token: self.session_class(self, app, request, token),
                value,
                by_header,
                _log,
                load=self.client.direct,
            )
        header, name = request.environ.get("HTTP_COOKIE"), self.get_cookie_name(app)
        if self.adopter is not None and header:
            origin = self.adopter.origin_of(self.client, header, name)
            if origin is not None:
                session = self.session_class(self, app, request)
                session.begin_from(origin)
                if self.client.direct:
                    session.load()
                return session
        tokens = cookies.presented(header, name)
        if len(tokens) > 1:
            more = len(tokens) == cookies.MOST_PRESENTED and cookies.more_presented(header, name)
            return open_several(
                lambda token: self.session_class(self, app, request, token), tokens, name, _log, more=more
            )
        session = self.session_class(self, app, request, tokens[0] if tokens else None)
        if self.client.direct:
            session.load()
        return session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Commit, then tell the browser. Flashes that a response of 500 or above has taken are given back."""
        assert isinstance(session, FlaskSession)
        if response.status_code >= 500:
            session.give_back()
        try:
            session.commit()
        except CoatcheckError as error:
            session.abandon()
            _answer_instead(app, session, response, error)
            varies = session.accessed
        else:
            varies = self._send_token(app, session, response)
            clearing = clearing_of(app) if session.logged_out else None
            if clearing is not None:
                response.headers.setdefault(CLEAR_SITE_DATA, clearing)
            session.seal()
        # A stream that reads the session when the headers have left: a cache would show it to whoever comes next.
        varies = varies or (response.is_streamed and response.headers.get("Content-Length") is None)
        if varies:
            _vary_by(response, app.config.get(TOKEN_HEADER) or "Cookie")

    def _send_token(self, app: Flask, session: FlaskSession, response: Response) -> bool:
        accessed = session.accessed
        by_header = header_of(app)
        # What a client keeps itself needs no refresh.
        action = token_action(session, lambda: by_header is None and self.should_set_cookie(app, session))
        if action == "leave":
            return accessed
        # Shared caches know what Set-Cookie is. In any other header they would hand a token to the next visitor.
        if app.config.get("COATCHECK_NO_STORE") or by_header is not None:
            response.headers["Cache-Control"] = "no-store"
        if by_header is not None:
            issued = action == "set" and session.token is not None
            name, value = by_header.issue(session.token or "", None) if issued else by_header.removal()
            response.headers[name] = value
            return True
        rules = self.cookie_rules(app)
        if action == "set" and session.token is not None:
            header = rules.header(session.token, self._max_age(app, session))
            if rules.secure and session.came_over_http():
                OVER_HTTP.warn(_log, "ProxyFix behind a proxy", "COATCHECK_SECURE=False")
        else:
            header = rules.removal()
        response.headers.add("Set-Cookie", header)
        if session.origin is not None:
            for removal in session.origin.removals(rules.name or "", rules.domain, rules.path):
                response.headers.add("Set-Cookie", removal)
        return True

    def _max_age(self, app: Flask, session: FlaskSession) -> int | None:
        expires = self.get_expiration_time(app, session)
        if expires is None:
            return None
        return math.ceil(expires.timestamp() - self.client.clock.now() / SECOND)

    def regenerate(self, session: FlaskSession) -> None:
        """A new token for the same session, as Flask-Session has it."""
        session.rotate()


def ask_flask(method: Callable[..., Any], error: Exception) -> Any:
    """What Flask does about an error; from Flask 3.2 on such methods take the context first."""
    if "ctx" in inspect.signature(method).parameters:
        return method(app_ctx._get_current_object(), error)  # type: ignore[attr-defined]  # noqa: SLF001
    return method(error)


def current_session() -> FlaskSession | None:
    """The session of the request that is being answered, if there is one and it is ours."""
    if not flask.has_request_context():
        return None
    current: Any = flask.session
    try:
        session = current._get_current_object()  # noqa: SLF001 - the documented way to what a proxy stands for
    except (AssertionError, AttributeError, RuntimeError):
        return None  # opening it is what has failed, in whosever interface that was
    return session if isinstance(session, FlaskSession) else None


def _vary_by(response: Response, header: str) -> None:
    headers = response.headers
    for name, _ in headers:  # quicker than `in`, which makes an HTTP exception for what is not there
        if name.lower() == "vary":
            response.vary.add(header)
            return
    headers.add("Vary", header)


def _answer_instead(app: Flask, session: FlaskSession, response: Response, error: CoatcheckError) -> None:
    """Nothing was stored, so the response, which says otherwise, must not leave: let the error handlers answer.

    Raises the error when there is no handler for it, and outside a request, as in the test client's
    ``session_transaction``.
    """
    if current_session() is not session:
        raise error
    instead = app.make_response(ask_flask(app.handle_user_exception, error))
    close = getattr(response.response, "close", None)
    if close is not None:
        close()
    response.response, response.direct_passthrough = instead.response, instead.direct_passthrough
    response.status, response.headers = instead.status, instead.headers
