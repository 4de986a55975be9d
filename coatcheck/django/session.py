"""DjangoSession: what is behind a ``SessionStore``: user, expiry and key of Django, as coatcheck has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from coatcheck.changes import DropIfEmpty
from coatcheck.clock import SECOND, microseconds
from coatcheck.django.plain import plain_values
from coatcheck.errors import UnstorableValue
from coatcheck.lifetimes import DAY, Lifetimes
from coatcheck.session import Session
from coatcheck.session_outage import FAILED
from coatcheck.tracked import plain
from coatcheck.tracking import SET, UNSET, changed_in_place
from coatcheck.web.stretching import lifetimes_for, stretched

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.store.record import Record
    from coatcheck.tracking import Login, Pending

USER: Final = "_auth_user_id"
"""The key under which django.contrib.auth keeps whose session it is."""

EXPIRY: Final = "_session_expiry"
"""The key under which ``set_expiry`` keeps its argument."""

AT_ONCE: Final = Lifetimes(idle=None, absolute=1 / SECOND)
"""The lifetimes of what has ended already."""

_CENTURY: Final = 100 * 365 * DAY


class DjangoSession(Session):
    """A session whose user and lifetimes follow its data.

    A user in the data who is not the principal yet makes the commit a login: new token, binding and data in one
    transaction, every grace ended. One who is no longer there ends the session; what is left begins another.
    """

    __slots__ = ("age", "keeps", "lives_otherwise", "next_token")

    age: float | None
    """Seconds that the application gives sessions, idle and, where longer, absolute; None: as the settings say."""

    keeps: bool
    """Whether an empty session is stored too."""

    next_token: str | None
    """The token that was told to the application already, for the commit to use."""

    lives_otherwise: bool
    """Whether a commit changed how long the cookie lives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See ``SessionClient.open``."""
        Session.__init__(self, *args, **kwargs)
        self.age = self.next_token = None
        self.keeps = self.lives_otherwise = False

    @property
    def borrowed(self) -> bool:
        """Whether another response brings, or has just brought, the token that the browser should have."""
        return self._borrowed

    @property
    def cut_off(self) -> bool:
        """Whether the store could not say whose session it is, and the policy is to go on without."""
        return self._cut_off

    def state_of_store(self) -> Record | None:
        """What the store is known to have: another object after each write."""
        return self._record

    def has_changes(self) -> bool:
        """Whether a commit would write, changes inside of values included."""
        if self._state == FAILED:
            return False
        self._ready()
        record = self._record
        if self.modified:
            return True
        return record is not None and bool(changed_in_place(self, record, self._handed_out))

    def is_bare(self) -> bool:
        """Whether it holds neither data nor flashes, without counting as a use."""
        pending = self._pending
        return not dict.__len__(self) and not (pending is not None and pending.flashes)

    def announce(self) -> str:
        """The token that the next commit gives the session; from now on, for whoever asks before."""
        if self.next_token is None:
            self.next_token = self._client.mint(self._token)
        return self.next_token

    def copy_anew(self, values: Mapping[str, Any]) -> None:
        """Take over values that another session had, as changes of this one."""
        self.update(values)

    # The end of a request --------------------------------------------------------------------------------------

    def commit(self) -> str | None:
        """Apply everything, in one transaction; see :meth:`coatcheck.Session.commit`.

        What Django's serializer would have stored as a plainer type, such as a member of a ``TextChoices``, is stored
        as that.
        """
        if self.keeps and self._record is None and self._state != FAILED:
            self._changes()  # an empty session is something to store, too
        if self._pending is not None:
            self._follow_user(self._pending)
            self._follow_expiry(self._changes())
        otherwise = self._pending is not None and self._pending.lifetimes is not None
        try:
            token = Session.commit(self)
        except UnstorableValue:
            if not plain_values(self):
                raise
            self._looks_everywhere = True
            token = Session.commit(self)
        self.lives_otherwise |= otherwise
        self.next_token = None
        return token

    def abandon(self) -> None:
        """Drop what is not committed; see :meth:`coatcheck.Session.abandon`."""
        Session.abandon(self)
        self.next_token = None

    def _follow_user(self, pending: Pending) -> None:
        record = self._record
        bound = None if record is None else record.principal
        user = dict.get(self, USER)
        if user is not None and str(user):
            # Set again to the same is a login too: somebody has proved again who they are (ASVS 7.2.4).
            if (str(user) != bound or pending.keys.get(USER) == SET) and (
                pending.login is None or pending.login.principal != str(user)
            ):
                self._change_user(str(user), pending, changes_hands=bound not in (None, str(user)))
        elif bound is not None and pending.login is None and (pending.cleared or pending.keys.get(USER) == UNSET):
            rest, flashes = plain(self), list(pending.flashes)
            self.logout()
            self.copy_anew(rest)
            self._changes().flashes.extend(flashes)

    def _change_user(self, user: str, pending: Pending, *, changes_hands: bool) -> None:
        # Nothing of the user before is left, but what this request has set is the new one's.
        own = {key: dict.__getitem__(self, key) for key, step in pending.keys.items() if step == SET}
        flashes = list(pending.flashes)
        self.login(user)
        if changes_hands:
            self.copy_anew(own)
            pending.flashes.extend(flashes)

    def _follow_expiry(self, pending: Pending) -> None:
        record = self._record
        touched = EXPIRY in pending.keys or (pending.cleared and record is not None and EXPIRY in record.data)
        expiry = dict.get(self, EXPIRY)
        if expiry and (touched or record is None or pending.login is not None):
            pending.lifetimes = self._lifetimes_of(expiry, pending)
        elif touched and record is not None:
            pending.lifetimes = self._base(pending) if self.age is None else stretched(self._base(pending), self.age)

    def _base(self, pending: Pending) -> Lifetimes:
        settings = self._client.settings
        signed_in = pending.login is not None or (self._record is not None and self._record.principal is not None)
        return settings.signed_in if signed_in else settings.anonymous

    def _lifetimes_of(self, expiry: Any, pending: Pending) -> Lifetimes:
        """What ``set_expiry`` asks for: a number is idle seconds, a moment the end in any case."""
        if isinstance(expiry, (int, float)):
            return stretched(self._base(pending), min(expiry, _CENTURY)) if expiry > 0 else AT_ONCE
        moment = expiry if isinstance(expiry, datetime) else datetime.fromisoformat(expiry)
        record, started = self._record, self._client.clock.now()
        if record is not None and pending.login is None and record.lifetimes.absolute is not None:
            started = record.absolute_expires_at - microseconds(record.lifetimes.absolute)
        elif record is not None and pending.login is None:
            started = record.created_at
        seconds = moment.timestamp() - started / SECOND
        return Lifetimes(idle=None, absolute=min(seconds, _CENTURY)) if seconds > 0 else AT_ONCE

    def _collect(self, record: Record, pending: Pending | None) -> tuple[list[AnyChange], int | None]:
        changes, version = Session._collect(self, record, pending)  # noqa: SLF001 - of its base
        # Django keeps the session whose last key was removed: its key is in use, as for an anonymous basket.
        return [each for each in changes if not isinstance(each, DropIfEmpty)], version

    # Hooks -----------------------------------------------------------------------------------------------------

    def _is_worth_keeping(self, data: Mapping[str, Any]) -> bool:
        return self.keeps or bool(data)

    def _usual_lifetimes(self, login: Login | None) -> Lifetimes | None:
        return lifetimes_for(self._client.settings, self._record, self.age, signed_in=login is not None)

    def _next_token(self) -> str | None:
        return self.next_token
