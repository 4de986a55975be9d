"""A guest book for Bottle: sessions for an application that knows nothing but WSGI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bottle import Bottle, HTTPError, redirect, request, template

from coatcheck.wsgi import SessionMiddleware

if TYPE_CHECKING:
    from coatcheck.wsgi import WSGISession

PAGE = """<!doctype html>
<title>Guest book</title>
% for flash in flashes:
<p class="{{flash.level}}">{{flash.message}}</p>
% end
% if session.principal:
<form method="post" action="/logout"><p>You are {{session.principal}}, and this is your visit number
{{session["visits"]}}. <button>Sign out</button></p></form>
<form method="post" action="/lines"><input name="line"><button>Write</button></form>
% else:
<form method="post" action="/login"><input name="name"><button>Sign in</button></form>
% end
<ul>
% for line in session.get("lines", []):
<li>{{line}}</li>
% end
</ul>
"""

book = Bottle(catchall=False)


def current() -> WSGISession:
    """The session of this request."""
    session: WSGISession = request.environ["coatcheck.session"]
    return session


@book.get("/")  # type: ignore[untyped-decorator]
def page() -> str:
    """The book, and each message once."""
    session = current()
    if session.principal:
        session.increment("visits")
    shown: str = template(PAGE, session=session, flashes=session.take_flashes())
    return shown


@book.post("/login")  # type: ignore[untyped-decorator]
def login() -> None:
    """Under a new ticket."""
    name = request.forms.getunicode("name", "").strip()
    if not name:
        raise HTTPError(400, "everybody has a name")
    current().login(name)
    current().flash(f"Welcome, {name}", level="success")
    redirect("/")


@book.post("/lines")  # type: ignore[untyped-decorator]
def write() -> None:
    """Of lines that are written at the same time, in two tabs, none is lost."""
    session = current()
    if session.principal is None:
        raise HTTPError(401, "sign in first")
    session.append("lines", request.forms.getunicode("line", ""), limit=20)
    redirect("/")


@book.post("/logout")  # type: ignore[untyped-decorator]
def logout() -> None:
    """Ends the session; the message begins a new one, of a guest."""
    current().logout()
    current().flash("Goodbye")
    redirect("/")


app = SessionMiddleware(book, home=os.environ.get("COATCHECK_HOME", "state"))
