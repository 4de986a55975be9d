"""Sign in, sign out, and the list of devices somebody is signed in with."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

import csrf
from coatcheck import ReauthenticationRequired
from sessions import client, fingerprint, handle, session

account = Blueprint("account", __name__)

RECENT = 600
"""Seconds after a login in which other devices may be signed out without another one (ASVS 7.5.2)."""

PRETEND = {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"}
"""The phone of the button "Pretend"; an address of the range kept for examples (RFC 5737)."""


@account.get("/login")
def ask_name() -> str:
    """The form. It starts a session, so that the page after it can show what the login changes."""
    if not csrf.word():
        csrf.renew()
    return render_template("login.html", goodbye=request.args.get("goodbye"))


@account.post("/login")
def login() -> Response:
    """Bind the session to the name: same session, same data, new token."""
    name = request.form.get("name", "").strip()[:40]
    if not name:
        flash("Please tell us a name; any name will do.", "error")
        return redirect(url_for("account.ask_name"))
    before = {"handle": handle(), "print": fingerprint()}
    session.login(name, label=request.form.get("label", "").strip()[:40] or None)
    session["before_login"] = before
    csrf.renew()
    flash(f"Welcome, {name}. Your cart came along, your old token did not.", "success")
    return redirect(url_for("account.devices"))


@account.post("/logout")
def logout() -> Response:
    """End this session, here and now."""
    session.logout()
    return redirect(url_for("account.ask_name", goodbye="here"))


@account.get("/account")
def devices() -> str | Response:
    """Every session of this user, and what the last login changed."""
    if not session.principal:
        return redirect(url_for("account.ask_name"))
    return render_template(
        "account.html",
        devices=client().sessions_of(session.principal),
        before=session.get("before_login"),
        fingerprint=fingerprint(),
    )


@account.post("/account/end/<ticket>")
def end_one(ticket: str) -> Response:
    """Sign out one device. It is looked up among the user's own sessions only."""
    _user()
    if ticket == handle():
        return logout()
    session.require_recent_auth(RECENT)
    if session.revoke_other(ticket):
        flash(f"Ticket {ticket} is no longer valid.", "success")
    else:
        flash(f"Ticket {ticket[:8]} was already gone.", "info")
    return redirect(url_for("account.devices"))


@account.post("/account/end-others")
def end_others() -> Response:
    """Sign out every device but this one."""
    _user()
    session.require_recent_auth(RECENT)
    count = session.revoke_others()
    flash(f"Signed out {count} other {'device' if count == 1 else 'devices'}.", "success" if count else "info")
    return redirect(url_for("account.devices"))


@account.post("/account/end-all")
def end_all() -> Response:
    """Sign out everywhere, here too."""
    user = _user()
    session.require_recent_auth(RECENT)
    client().revoke(user)
    session.logout()
    return redirect(url_for("account.ask_name", goodbye="everywhere"))


@account.post("/account/pretend")
def pretend() -> Response:
    """A second device for whoever has only one browser at hand: a real session, whose token nobody holds."""
    user = _user()
    if len(client().sessions_of(user)) < 6:
        client().create({}, principal=user, meta=PRETEND)
        flash("A phone has signed in under your name. Was that you?", "warning")
    else:
        flash("That is enough telephones. Sign some out first.", "error")
    return redirect(url_for("account.devices"))


@account.errorhandler(ReauthenticationRequired)
def sign_in_again(_: ReauthenticationRequired) -> Response:
    """A login of the same name makes it recent. A real shop asks for the password here."""
    flash("That was a while ago: please sign in again first.", "warning")
    return redirect(url_for("account.ask_name"))


def _user() -> str:
    if not session.principal:
        abort(403, "Sign in first.")
    return session.principal
