"""Who a session belongs to: login, logout, how long ago somebody proved who they are, and their other sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from coatcheck.clock import SECOND
from coatcheck.errors import ReauthenticationRequired
from coatcheck.session_life import SessionLife
from coatcheck.session_origin import UNLOADED
from coatcheck.session_outage import FAILED
from coatcheck.tracking import Login, Pending

if TYPE_CHECKING:
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.store.contract import SessionInfo
    from coatcheck.store.record import Record

AUTH_TIME: Final = "auth_time"
"""The key of the meta that says when somebody last proved who they are, in microseconds UTC."""

_SHORTEST_HANDLE: Final = 8


class SessionAuth(SessionLife):
    """What a session does with its principal."""

    __slots__ = ()

    @property
    def principal(self) -> str | None:
        """Whom it is bound to, a login that is not committed yet included."""
        record = self._loaded()
        pending = self._pending
        if pending is not None and pending.login is not None:
            return pending.login.principal
        return None if record is None else record.principal

    def _loaded(self) -> Record | None:
        if self._state in (UNLOADED, FAILED):
            self._ready()
        return self._record

    # What takes effect in commit -------------------------------------------------------------------------------

    def login(
        self,
        principal: str,
        lifetimes: Lifetimes | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        label: str | None = None,
        remembered: bool = False,
    ) -> None:
        """Bind the session to a principal, under a new token (ASVS 7.2.4).

        A session of another principal loses its data and flashes first, changes of this request included. To be called
        as well when somebody who is signed in has proved again who they are: it sets ``auth_time``.

        ``meta`` is noted about the device, and ``label``, a name for it, too; the integrations add its ``ip`` and
        ``user_agent``. ``remembered``: nobody has proved anything just now, as by a long-lived cookie of a "remember
        me": there is no ``auth_time`` then.
        """
        if not isinstance(principal, str) or not principal:
            msg = f"a principal is a non-empty str, not {type(principal).__name__}: use str(user.id)"
            raise TypeError(msg)
        pending = self._changes() if remembered else self._certain()
        record = self._record
        if record is not None and record.principal not in (None, principal):
            dict.clear(self)
            self._handed_out.clear()
            self._taken = True
            pending.forget_data()
            pending.flashes.clear()
        noted = {**(meta or {}), AUTH_TIME: None if remembered else self._client.clock.now()}
        if label is not None:
            noted["label"] = label
        pending.login = Login(principal, noted, remembered)
        if lifetimes is not None:
            pending.lifetimes = lifetimes

    def rotate(self, grace: float = 0.0) -> None:
        """A new token for the same session; the old one works ``grace`` seconds longer."""
        pending = self._certain()
        if self._record is not None:
            pending.rotation = grace

    def logout(self) -> None:
        """End the session. What is written afterwards starts a new one."""
        pending = self._certain()
        ending = pending.logged_out
        if ending is None and self._record is not None and self._token is not None:
            ending = (self._token, self._record)
        dict.clear(self)
        self._handed_out.clear()
        self._token = self._record = None
        self._pending = pending = Pending()
        pending.logged_out = ending

    def clear(self) -> None:
        """Remove all keys; flashes, principal and lifetimes stay."""
        self._certain()
        SessionLife.clear(self)

    def _certain(self) -> Pending:
        """Where a change is noted that would be unsafe to lose. Raises what ``outage`` says where it would be lost."""
        pending = self._changes()
        if self._cut_off and self.outage is not None:
            raise self.outage.with_traceback(None)
        return pending

    # How long ago ----------------------------------------------------------------------------------------------

    @property
    def auth_time(self) -> int | None:
        """When the principal last proved who they are, by a login: microseconds UTC; None: not in this session."""
        record = self._loaded()
        pending = self._pending
        if pending is not None and pending.login is not None:
            meta: Mapping[str, Any] = pending.login.meta or {}
        elif record is None or record.principal is None:
            return None
        else:
            meta = record.meta
        found = meta.get(AUTH_TIME)
        return found if isinstance(found, int) else None

    def has_recent_auth(self, max_age: float) -> bool:
        """Whether a login, into this session, is at most ``max_age`` seconds ago."""
        moment = self.auth_time
        return moment is not None and self._client.clock.now() - moment <= max_age * SECOND

    def require_recent_auth(self, max_age: float) -> None:
        """Raise ReauthenticationRequired unless a login is at most ``max_age`` seconds ago (ASVS 7.5.1 to 7.5.3).

        For the pages that change a password, an address or a second factor, and for the list of a user's sessions.
        The application asks for the password again and calls :meth:`login` with the same principal.
        """
        if not self.has_recent_auth(max_age):
            moment = self.auth_time
            age = None if moment is None else (self._client.clock.now() - moment) / SECOND
            raise ReauthenticationRequired(max_age, age, signed_in=self.principal is not None)

    # The other sessions of the principal -----------------------------------------------------------------------

    def other_sessions(self) -> list[SessionInfo]:
        """The principal's live sessions but this one, oldest first (ASVS 7.5.2); none without a principal."""
        principal = self.principal
        if principal is None:
            return []
        mine = None if self._record is None else self._record.sid
        return [info for info in self._client.store.sessions_of(principal) if info.sid != mine]

    def revoke_other(self, handle: str) -> bool:
        """End another session of the same principal, now; whether there was one.

        ``handle``: its ``handle`` or ``sid``, as :meth:`other_sessions` has them. That of somebody else's session, and
        one that fits several, ends nothing.
        """
        if len(handle) < _SHORTEST_HANDLE:
            return False
        found = [info for info in self.other_sessions() if info.sid.startswith(handle)]
        return len(found) == 1 and self._client.store.revoke_sid(found[0].sid)

    def revoke_others(self) -> int:
        """End all other sessions of the principal, now; how many. After a change of password, say (ASVS 7.4.3)."""
        principal = self.principal
        return 0 if principal is None else self._client.store.revoke(principal, except_=self._token)

    # For asyncio and trio -------------------------------------------------------------------------------------

    async def aother_sessions(self) -> list[SessionInfo]:
        """The twin of ``other_sessions`` for asyncio and trio."""
        return await self._client.runner.read(self.other_sessions, finish=True)

    async def arevoke_other(self, handle: str) -> bool:
        """The twin of ``revoke_other`` for asyncio and trio."""
        return await self._client.runner.write(lambda: self.revoke_other(handle), finish=True)

    async def arevoke_others(self) -> int:
        """The twin of ``revoke_others`` for asyncio and trio."""
        return await self._client.runner.write(self.revoke_others, finish=True)
