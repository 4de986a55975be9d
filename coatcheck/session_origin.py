"""Where a session is looked for: under the token that was presented, or where it was kept before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coatcheck.session_hooks import SessionHooks
from coatcheck.tracking import Login

if TYPE_CHECKING:
    from coatcheck.adopt.origin import Origin
    from coatcheck.client.client import SessionClient
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.contract import Found

UNLOADED: Final = 1
"""The state of a session that has not been looked for."""


class SessionOrigin(SessionHooks):
    """How a session is found."""

    __slots__ = ("_client", "_presented", "_token", "origin")

    _client: SessionClient
    _token: str | None
    _presented: str | None
    origin: Origin | None
    """Where it was kept before, if the request brought a cookie of there; else None."""

    def begin_from(self, origin: Origin) -> None:
        """Look for the session where it was before, when it is loaded; see ``coatcheck.adopt``."""
        self.origin, self._presented, self._state = origin, "", UNLOADED

    def _find(self) -> Found:
        if self._token is None and self.origin is not None:
            self._token, found = self.origin.find(self._lifetimes_when)
            return found
        assert self._token is not None
        return self._client.store.find(self._token)

    def _lifetimes_when(self, signed_in: bool) -> Lifetimes | None:  # noqa: FBT001 - the one argument there is
        return self._usual_lifetimes(Login("", None) if signed_in else None)
