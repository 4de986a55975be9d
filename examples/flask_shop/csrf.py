"""Refuse requests that another site made the browser send (cross-site request forgery).

The cookie is SameSite=Lax, so current browsers do not send it along with another site's POST. The rest is here: what
changes anything is a POST, and a POST proves that it comes from a page of this shop.

* Whoever has a session has a random word in it, and every form repeats that word. Another site can make a browser
  send a form, but it cannot read the word.
* Whoever has no session yet has no word. There the Origin header decides: browsers set it, pages cannot. Without
  this, every page with a form would have to start a session, for every robot that passes.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from flask import Flask, abort, request

from sessions import session

_KEY = "csrf"


def init_app(app: Flask) -> None:
    """Check every request before its view, and offer ``csrf_word()`` to the templates."""
    app.before_request(_protect)
    app.jinja_env.globals["csrf_word"] = word


def word() -> str:
    """What the forms of this session repeat; empty while there is no session."""
    return str(session.get(_KEY, ""))


def renew() -> str:
    """Give the session a new word: at its start and at a login."""
    session[_KEY] = secrets.token_urlsafe(18)
    return word()


def _protect() -> None:
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    expected = word()
    if expected:
        given = request.form.get(_KEY) or request.headers.get("X-CSRF-Word", "")
        allowed = secrets.compare_digest(given.encode(), expected.encode())
    else:
        allowed = urlsplit(request.headers.get("Origin", "")).netloc == request.host
    if not allowed:
        abort(400, "This form did not come from a page of this shop. Open the page again and repeat.")
    if not expected:
        renew()
