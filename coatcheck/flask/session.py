"""FlaskSession: a session as Flask knows it, whose key ``_flashes`` is the mailbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import flask
from flask.sessions import SessionMixin
from markupsafe import Markup

from coatcheck.flashes import FlashMessage
from coatcheck.flask.config import principal_key
from coatcheck.session import Session
from coatcheck.session_auth import AUTH_TIME
from coatcheck.tracked import plain
from coatcheck.web.secure import is_loopback

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from coatcheck.flask.interface import CoatcheckSessionInterface
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.tracking import Login

FLASHES: Final = "_flashes"
"""The key under which ``flask.flash`` and ``get_flashed_messages`` look for their list."""

PERMANENT: Final = "_permanent"
"""The key behind ``session.permanent``."""

_LONGEST_AGENT: Final = 400

FRESH: Final = "_fresh"
"""The key under which Flask-Login notes whether the user has signed in, or is known by a "remember me" only."""

_CSRF_WORD: Final = "csrf_token"

Pair = tuple[str, Any]


class FlaskSession(Session, SessionMixin):  # type: ignore[override]
    """``flask.session``.

    The key ``_flashes`` is not data but the mailbox: ``get`` returns a fresh list of (category, message); assigning
    a list that begins with what ``get`` returned appends the rest, any other list replaces all; ``in`` looks; ``pop``
    and ``del`` take. So parallel requests lose no flash and show none twice.

    The key ``_user_id``, by which Flask-Login says who is signed in (``COATCHECK_PRINCIPAL_KEY``), binds the session:
    setting it is a :meth:`login`, removing it a :meth:`logout` after which the other keys go on in a new session.
    """

    __slots__ = ("_app", "_held", "_interface", "_request", "_seen", "lives_otherwise")

    def __init__(
        self, interface: CoatcheckSessionInterface, app: Flask, request: Request, token: str | None = None
    ) -> None:
        """Made by the session interface."""
        Session.__init__(self, interface.client, token, peer=request.remote_addr)
        self._interface = interface
        self._app = app
        self._request = request
        self._seen: list[Pair] | None = None
        self._held: list[Pair] | None = None
        self.lives_otherwise = False
        """Whether a commit of this request changed how long the cookie lives."""

    # The mailbox -----------------------------------------------------------------------------------------------

    def _look(self) -> list[Pair]:
        self._keep_held()
        self._seen = [(flash.level, flash.message) for flash in self.flashes()]
        return list(self._seen)

    def _assign(self, pairs: Iterable[Any]) -> None:
        try:
            assigned: list[Pair] = [(category, message) for category, message in pairs]
        except (TypeError, ValueError) as error:
            msg = f"session[{FLASHES!r}] is the mailbox of flashes: it takes a list of (category, message)"
            raise TypeError(msg) from error
        seen = self._seen
        pending = self._changes()
        if seen is not None and assigned[: len(seen)] == seen:
            new = assigned[len(seen) :]
        else:
            new = assigned
            pending.flashes.clear()
            pending.flashes_replaced = True
        pending.flashes += [FlashMessage(_plain(category), _plain(message)) for category, message in new]
        self._seen, self._held = assigned, None

    def _keep_held(self) -> None:
        """Flashes appended to a list that ``[]`` or ``setdefault`` handed out, as Flask's older idiom does."""
        held, self._held = self._held, None
        if held is not None and held != self._seen:
            self._assign(held)

    def _take(self) -> list[Pair]:
        self._keep_held()
        self._seen = None
        return [(flash.level, flash.message) for flash in self.take_flashes()]

    def __getitem__(self, key: str) -> Any:
        if key != FLASHES:
            return Session.__getitem__(self, key)
        found = self._look()
        if not found:
            raise KeyError(key)
        self._held = found
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; for ``_flashes`` a fresh list of (category, message)."""
        if key != FLASHES:
            return Session.get(self, key, default)
        return self._look() or default

    def __contains__(self, key: object) -> bool:
        if key != FLASHES:
            return Session.__contains__(self, key)
        self._keep_held()
        return bool(self.flashes())

    def __setitem__(self, key: str, value: Any) -> None:
        if key == FLASHES:
            self._assign(value)
            return
        if key == principal_key(self._app):
            if value is None:
                self._sign_out()
            else:
                self._sign_in(str(value))
        elif key == FRESH:
            self._confirm(fresh=bool(value))
        Session.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which gets the default when it is missing."""
        if key != FLASHES:
            return Session.setdefault(self, key, default)
        if key not in self and default:
            self._assign(default)
        self._held = self._look()
        return self._held

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value; ``_flashes`` takes what is in the mailbox now."""
        if key != FLASHES:
            found = key in self
            value = Session.pop(self, key, *default)
            if found and key == principal_key(self._app):
                self._sign_out()
            return value
        if key in self:
            return self._take()  # another request may have taken them first: then the list is empty
        if default:
            return default[0]
        raise KeyError(key)

    def clear(self) -> None:
        """Remove everything, flashes included.

        Applications sign users out with it, so it ends a session that is bound to a principal.
        """
        self._seen = self._held = None
        if self.principal is not None:
            self.logout()
            return
        Session.clear(self)
        pending = self._changes()
        pending.flashes.clear()
        pending.flashes_replaced = self._record is not None

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        self._reads()
        key = next(dict.__reversed__(self), None)
        if key is None:
            msg = "popitem(): dictionary is empty"
            raise KeyError(msg)
        return key, self.pop(key)

    # Who is signed in, as Flask-Login says it --------------------------------------------------------------------

    def login(self, principal: str, *arguments: Any, **more: Any) -> None:
        """Bind the session to a principal, under a new token; see :meth:`coatcheck.Session.login`.

        The word that Flask-WTF has in the session for its forms goes too, as Django's does at a login. Whoever planted
        the session knows it, and could send forms in the name of whoever signs in.
        """
        Session.login(self, principal, *arguments, **more)
        word = self._app.config.get("WTF_CSRF_FIELD_NAME", _CSRF_WORD)
        if Session.pop(self, word, None) is not None and flask.has_app_context():
            flask.g.pop(word, None)  # where it stays for the rest of the request

    def _sign_in(self, principal: str) -> None:
        login = self._changes().login
        if login is not None and login.principal == principal:
            return
        if not self._cut_off:
            self.login(principal)
            return
        # Only the next key (FRESH) says whether somebody is remembered, whom an outage costs nothing; until then it is
        # a login as any other, which the commit refuses.
        self.login(principal, remembered=True)
        self._mark(remembered=self._lenient)

    def _mark(self, *, remembered: bool) -> None:
        login = self._changes().login
        if login is not None:
            meta = {**(login.meta or {}), AUTH_TIME: None} if remembered else login.meta
            self._changes().login = replace(login, meta=meta, remembered=remembered)

    def _confirm(self, *, fresh: bool) -> None:
        """Whether the user has signed in just now, or is known by a "remember me" only."""
        pending = self._pending
        login = None if pending is None else pending.login
        if not fresh:
            self._mark(remembered=True)
        elif (login is None or login.remembered) and self.principal is not None:
            self.login(self.principal)

    def _sign_out(self) -> None:
        """End the session: its token was a user's. What else was in it goes on in a new one, which is nobody's."""
        pending = self._certain()
        if self._record is None or self._record.principal is None:
            pending.login = None
            return
        rest, waiting = plain(self), self.flashes()
        self.logout()
        for key, value in rest.items():
            Session.__setitem__(self, key, value)
        self._changes().flashes += waiting

    @property
    def auth_time(self) -> int | None:
        """When the principal last signed in, microseconds UTC; None: not in this session, or "remembered" only."""
        return None if dict.get(self, FRESH) is False else Session.auth_time.__get__(self)

    # What Flask wants to know ----------------------------------------------------------------------------------

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser."""
        self._reads()
        return self.is_permanent()

    @permanent.setter
    def permanent(self, value: bool) -> None:
        # Applications set this in every request: only a change is one.
        if self.permanent != bool(value):
            self[PERMANENT] = bool(value)

    def is_permanent(self) -> bool:
        """The same without counting as a use."""
        return bool(dict.get(self, PERMANENT, False))

    def raise_no_more_after(self, response: Response) -> Response:
        """:meth:`raise_no_more`, as Flask calls it after the view."""
        self.raise_no_more()
        return response

    def came_over_http(self) -> bool:
        """Whether the request came over plain http from elsewhere: browsers keep no Secure cookie that goes back."""
        if self._request.is_secure:
            return False
        environ = self._request.environ  # request.host raises for a host that is not trusted
        host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
        return not is_loopback(host)

    def commit(self) -> str | None:
        """Apply everything, in one transaction; see :meth:`coatcheck.Session.commit`."""
        if self._held is not None:
            self._keep_held()
        self._seen = None
        pending = self._pending
        changed = pending is not None and (PERMANENT in pending.keys or pending.lifetimes is not None)
        token = Session.commit(self)
        self.lives_otherwise |= changed and self.outage is None
        return token

    def _is_worth_keeping(self, data: Mapping[str, Any]) -> bool:
        return any(key != PERMANENT for key in data)

    def _usual_lifetimes(self, login: Login | None) -> Lifetimes | None:
        return self._interface.lifetimes_of(self._app, self._record, signed_in=login is not None)

    def _meta_of(self, login: Login) -> Mapping[str, Any]:
        agent = self._request.environ.get("HTTP_USER_AGENT", "")[:_LONGEST_AGENT]
        return {"ip": self.peer, "user_agent": agent, **(login.meta or {})}


def _plain(text: Any) -> Any:
    """Text as it can be stored: what knows its HTML (Markup, lazy translations) as Markup, other text as str."""
    if type(text) is str:
        return text
    if hasattr(text, "__html__"):
        return Markup(text.__html__())  # noqa: S704 - it says so itself
    return str.__str__(text) if isinstance(text, str) else text
