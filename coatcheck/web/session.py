"""WebSession: the session of a request in a middleware that knows no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from coatcheck.session import Session
from coatcheck.tracking import changed_in_place
from coatcheck.web.answer import outlives_its_cookie
from coatcheck.web.stretching import lifetimes_for

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.tracking import Login
    from coatcheck.web.options import WebOptions

_LONGEST_AGENT: Final = 400


class WebSession(Session):
    """A :class:`coatcheck.Session` that a middleware commits before the response leaves."""

    __slots__ = ("_options", "_user_agent", "lives_otherwise")

    def __init__(
        self, options: WebOptions, token: str | None = None, *, peer: str | None = None, user_agent: str = ""
    ) -> None:
        """Made by a middleware."""
        Session.__init__(self, options.client, token, peer=peer)
        self._options = options
        self._user_agent = user_agent[:_LONGEST_AGENT]
        self.lives_otherwise = False
        """Whether a commit of this request changed how long the cookie lives."""

    def mark_accessed(self) -> None:
        """Somebody has asked for it; what Starlette calls for each ``request.session``."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Compare all values at the commit, even such as were changed behind its back."""
        self.accessed = True
        self.modified = True

    def commit(self) -> str | None:
        """Apply everything, in one transaction; see :meth:`coatcheck.Session.commit`."""
        pending = self._pending
        changed = pending is not None and pending.lifetimes is not None
        token = Session.commit(self)
        self.lives_otherwise |= changed and self.outage is None
        return token

    def refreshes(self) -> bool:
        """Whether the response repeats a token that has not changed.

        Where its lifetime has. And where the session may live longer than a cookie: once in a touch interval then, as a
        response that is overtaken by that of a login would bring the old token back.
        """
        if self.lives_otherwise:
            return True
        record, now = self._record, self._client.clock.now()
        if record is None or not self.accessed or self._options.browser_session or now < record.touch_due_at:
            return False
        return outlives_its_cookie(self, now)

    def has_leftovers(self) -> bool:
        """Whether anything was changed since the last commit, nested values included."""
        if self.modified:
            return True
        record = self._record
        return record is not None and bool(changed_in_place(self, record, self._handed_out))

    def _usual_lifetimes(self, login: Login | None) -> Lifetimes | None:
        return lifetimes_for(self._client.settings, self._record, self._options.lifetime, signed_in=login is not None)

    def _meta_of(self, login: Login) -> Mapping[str, Any]:
        return {"ip": self.peer, "user_agent": self._user_agent, **(login.meta or {})}
