"""Sessions: what applications ask the SessionManager, and what it answers.

Each verb of :class:`coatcheck.store.contract.SessionStore` is one request here and means the same. Where there is no
live session the answer is :class:`SessionAbsent`; where somebody else has saved in between, :class:`SaveConflicted`;
where the verb raised anything else, :class:`coatcheck.messages.failures.RequestFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coatcheck.changes import AnyChange
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes
from coatcheck.messages.packing import QuietRequest, Reply, Request, message
from coatcheck.store.contract import SessionInfo
from coatcheck.store.record import Record


@message
class CreateSession(Request):
    """Message to ask the manager for a new session. Answer: :class:`SessionCreated`."""

    data: Mapping[str, Any] | None = None
    """What the session begins with."""

    principal: str | None = None
    """Whom to bind it to; None: anonymous."""

    lifetimes: Lifetimes | None = None
    """Those of this session; None: ``default_lifetimes``."""

    default_lifetimes: Lifetimes | None = None
    """What the sender's settings say for such a session; None: the manager's settings."""

    meta: Mapping[str, Any] | None = None
    """What to note about the device."""

    flashes: Sequence[FlashMessage] = ()
    """What its mailbox begins with."""

    token: str | None = None
    """The token, minted by the sender so that a repeated request finds its own session; None: the manager mints."""


@message
class SessionCreated(Reply):
    """There is a new session."""

    token: str
    """Its token, for the browser."""

    record: Record
    """The session."""


@message
class LoadSession(Request):
    """Message to ask the manager for a session, and to note that it is in use.

    Answer: :class:`SessionLoaded` or :class:`SessionAbsent`.
    """

    token: str
    """The token that the browser sent."""

    touch: bool = True
    """Whether to store the use, when its interval has passed."""

    fresh: bool = False
    """Whether to go to the authority itself, past every copy."""


@message
class FindSession(Request):
    """Message to ask the manager what a token leads to; never a touch.

    Answer: :class:`SessionLoaded` or :class:`SessionAbsent`.
    """

    token: str
    """The token that the browser sent."""

    fresh: bool = False
    """Whether to go to the authority itself, past every copy."""


@message
class SessionLoaded(Reply):
    """There is a live session."""

    record: Record
    """The session."""


@message
class SessionAbsent(Reply):
    """There is no live session for the token; nothing was changed."""

    reason: str
    """``forged``, ``unknown``, ``expired``, ``deleted``, ``revoked`` or ``retired``."""

    ended_ago: float | None = None
    """Seconds since the session was deleted or revoked, or its token retired, where that is known."""


@message
class SaveSession(QuietRequest):
    """Message to ask the manager to apply changes to a session as it is then. It never creates one.

    Answer with ``confirm``: :class:`SessionSaved`, :class:`SessionAbsent` or :class:`SaveConflicted`.
    """

    token: str
    """Which session."""

    changes: Sequence[AnyChange] = ()
    """What to do, in order, in one transaction."""

    if_version: int | None = None
    """Do it only at this data version; None: at any."""


@message
class SessionSaved(Reply):
    """The changes are kept."""

    record: Record
    """The session after them."""


@message
class SaveConflicted(Reply):
    """Somebody else saved in between; nothing was changed."""

    expected: int | None
    """The data version that the request asked for."""

    found: int | None
    """The one that was there."""

    text: str
    """The same in words."""


@message
class TouchSession(QuietRequest):
    """Message to ask the manager to note that a session is in use. Answer with ``confirm``: :class:`SessionTouched`."""

    token: str
    """Which session."""


@message
class SessionTouched(Reply):
    """The session is in use."""

    record: Record
    """The session."""


@message
class RotateSession(Request):
    """Message to ask the manager for a new token for the same session. Answer: :class:`SessionRotated`."""

    token: str
    """The token to retire."""

    grace: float = 0.0
    """Seconds for which it still works; 0: none."""

    changes: Sequence[AnyChange] = ()
    """What to do in the same transaction."""

    if_version: int | None = None
    """Do it only at this data version; None: at any."""

    new_token: str | None = None
    """The new token, minted by the sender; None: the manager mints."""


@message
class LoginSession(Request):
    """Message to ask the manager to bind a session to a principal under a new token.

    Answer: :class:`SessionRotated`.
    """

    token: str
    """The token to retire, at once."""

    principal: str
    """Who has signed in."""

    changes: Sequence[AnyChange] = ()
    """What to do in the same transaction."""

    lifetimes: Lifetimes | None = None
    """Those of this session; None: those that were chosen for it before, or else ``default_lifetimes``."""

    default_lifetimes: Lifetimes | None = None
    """What the sender's settings say for signed-in sessions; None: the manager's settings."""

    meta: Mapping[str, Any] | None = None
    """What to note about the device; None: leave what is noted."""

    if_version: int | None = None
    """Do it only at this data version; None: at any."""

    new_token: str | None = None
    """The new token, minted by the sender; None: the manager mints."""


@message
class SessionRotated(Reply):
    """The session has a new token."""

    token: str | None
    """The new token; None when the old one was in its grace: the renewal has happened already."""

    record: Record
    """The session."""


@message
class DeleteSession(QuietRequest):
    """Message to ask the manager to end a session. Answer with ``confirm``: :class:`SessionDeleted`."""

    token: str
    """Which session."""


@message
class SessionDeleted(Reply):
    """There is no such session any more."""

    existed: bool
    """Whether there was one."""


@message
class AddFlash(QuietRequest):
    """Message to ask the manager to put a flash into the mailbox. Answer with ``confirm``: :class:`FlashAdded`."""

    token: str
    """Whose mailbox."""

    flash: FlashMessage
    """What to show once."""


@message
class FlashAdded(Reply):
    """The flash is in the mailbox."""


@message
class TakeFlashes(Request):
    """Message to ask the manager for all flashes, each exactly once over all callers. Answer: :class:`FlashesTaken`."""

    token: str
    """Whose mailbox."""


@message
class FlashesTaken(Reply):
    """The mailbox is empty now."""

    take_id: str
    """For :class:`RestoreFlashes`."""

    flashes: Sequence[FlashMessage]
    """What was in it, oldest first."""


@message
class RestoreFlashes(Request):
    """Message to ask the manager to put back what was taken but never shown. Answer: :class:`FlashesRestored`."""

    token: str
    """Whose mailbox."""

    take_id: str
    """Which take; it can be put back once, within 60 seconds."""


@message
class FlashesRestored(Reply):
    """What that take took is in the mailbox again."""

    count: int
    """How many flashes that were; 0 when it had been put back already, or was too long ago."""


@message
class ListSessions(Request):
    """Message to ask the manager for the live sessions of a principal. Answer: :class:`SessionsListed`."""

    principal: str
    """Whose sessions."""


@message
class SessionsListed(Reply):
    """The live sessions, oldest first."""

    sessions: Sequence[SessionInfo]
    """No token, no data."""


@message
class RevokeSessions(QuietRequest):
    """Message to ask the manager to end sessions that the sender has no token of.

    Either all of a principal, or one by its sid. Answer with ``confirm``: :class:`SessionsRevoked`.
    """

    principal: str | None = None
    """End all sessions of this principal."""

    except_token: str | None = None
    """But not the session of this token."""

    sid: str | None = None
    """Or end the session with this sid (32 hex digits)."""


@message
class SessionsRevoked(Reply):
    """They are gone."""

    count: int
    """How many there were."""
