"""The actor lane: every verb as a message to the SessionManager, with the same answers and the same errors.

What is certainly not a token is refused here, before anything is sent. Tokens are minted here, so that a create, rotate
or login that is sent again, for lack of an answer, finds its own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from coatcheck import messages as m
from coatcheck.client.line import Line, ManagerLine
from coatcheck.client.sender import Sender
from coatcheck.errors import BadToken, StoreUnavailable
from coatcheck.keyring import Keyring, keyring_from
from coatcheck.metering import meter_of
from coatcheck.store.arguments import (
    check_changes,
    check_grace,
    check_lifetimes,
    check_mapping,
    check_principal,
    check_version,
    sid_bytes,
)
from coatcheck.store.contract import CheckReport, CleanupReport, Found, SessionInfo, StoreStats
from coatcheck.store.files import SECRET
from coatcheck.system.failures import error_of
from coatcheck.system.files import Whereabouts, keyring_of
from coatcheck.tokens import Tokens

if TYPE_CHECKING:
    from coatcheck.changes import AnyChange
    from coatcheck.flashes import FlashMessage
    from coatcheck.lifetimes import Lifetimes
    from coatcheck.settings import Settings
    from coatcheck.store.contract import Reason
    from coatcheck.store.record import Record

LONG_TIMEOUT: Final = 3600.0
"""Seconds that the verbs of the administrator may take; the others have ``Settings.ask_timeout``."""

_PAGE: Final = 200
_RESTORED_WITHIN: Final = 50.0  # a store keeps a take for 60
_Answer = TypeVar("_Answer", bound=m.Reply)


class ActorStore:
    """The contract of :class:`coatcheck.store.contract.SessionStore`, carried out by the SessionManager.

    Safe to make before a fork and to share between threads. Nothing is joined before the first verb; none of them ever
    starts a system: StoreUnavailable, at once, where none runs.
    """

    def __init__(self, settings: Settings, *, line: Line | None = None) -> None:
        """``line`` instead of the one to the system that runs on the settings' state directory."""
        self.settings = settings
        log = logging.getLogger("coatcheck.client")
        self._line: Line = line or ManagerLine(settings, log)
        self.sender = Sender(self._line, log)
        """Where what is told waits to be sent; its ``counters`` say what became of it."""
        self._told = meter_of(settings.home).add("told", self, self.sender.counters)
        self._minter: Tokens | None = None

    # Sessions --------------------------------------------------------------------------------------------------

    def create(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        principal: str | None = None,
        lifetimes: Lifetimes | None = None,
        meta: Mapping[str, Any] | None = None,
        flashes: Iterable[FlashMessage] = (),
        token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str, Record]:
        """A new session; see the contract."""
        check_mapping("create", data)
        check_lifetimes(lifetimes)
        if principal is not None:
            check_principal(principal)
        check_mapping("meta", meta)
        default = self.settings.anonymous if principal is None else self.settings.signed_in
        request = m.CreateSession(
            data=data,
            principal=principal,
            lifetimes=lifetimes,
            default_lifetimes=default,
            meta=meta,
            flashes=tuple(flashes),
            token=self._tokens.mint() if token is None else token,
            request_id=_id(request_id),
            deadline=self._deadline(),
        )
        reply = self._ask(request, m.SessionCreated)
        return reply.token, reply.record

    def load(self, token: str, *, touch: bool = True, fresh: bool = False) -> Record | None:
        """The live session, or None; see the contract."""
        if self._tokens.hash_of(token) is None:
            return None
        request = m.LoadSession(token=token, touch=touch, fresh=fresh, deadline=self._deadline())
        reply = self._line.call(request, request.deadline or 0.0, repeatable=True)
        if isinstance(reply, m.SessionLoaded):
            return reply.record
        if isinstance(reply, m.SessionAbsent):
            return None
        raise _unexpected(reply)

    def find(self, token: str, *, fresh: bool = False) -> Found:
        """The live session, or why there is none; see the contract."""
        if self._tokens.hash_of(token) is None:
            return Found(reason="forged")
        request = m.FindSession(token=token, fresh=fresh, deadline=self._deadline())
        reply = self._line.call(request, request.deadline or 0.0, repeatable=True)
        if isinstance(reply, m.SessionLoaded):
            return Found(reply.record)
        if isinstance(reply, m.SessionAbsent):
            return Found(reason=cast("Reason", reply.reason), ended_ago=reply.ended_ago)
        raise _unexpected(reply)

    def save(
        self,
        token: str,
        changes: Sequence[AnyChange],
        *,
        if_version: int | None = None,
        request_id: bytes | None = None,
    ) -> Record:
        """Apply changes to the record as it is now; see the contract."""
        genuine = self._genuine(token)
        check_changes("save", changes)
        check_version(if_version)
        request = m.SaveSession(
            token=genuine,
            changes=changes,
            if_version=if_version,
            request_id=_id(request_id),
            deadline=self._deadline(),
            confirm=True,
        )
        return self._ask(request, m.SessionSaved).record

    def touch(self, token: str) -> Record:
        """Store that the session is in use; see the contract."""
        request = m.TouchSession(token=self._genuine(token), deadline=self._deadline(), confirm=True)
        return self._ask(request, m.SessionTouched).record

    def touch_later(self, token: str) -> None:
        """The same without waiting for it: whoever it was for has had his answer."""
        self.tell(m.TouchSession(token=self._genuine(token)))

    def tell(self, request: m.QuietRequest) -> bool:
        """Have a request carried out without waiting for it: it goes to the sender of this process, in order.

        Returns at once, also where no system runs; then it is tried for 30 seconds, or until the request's own
        ``deadline``. False when 1,000 are waiting already, and this one was dropped. Raises TypeError for a request
        that cannot be told, because there is an answer to it.
        """
        if not isinstance(request, m.QuietRequest):
            msg = f"{type(request).__name__} is not told but asked: use the verb of its name"
            raise TypeError(msg)
        self._told.begin()
        return self.sender.tell(request)

    def rotate(
        self,
        token: str,
        *,
        grace: float = 0.0,
        changes: Sequence[AnyChange] = (),
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str | None, Record]:
        """A new token for the same session; see the contract."""
        check_grace(grace)
        genuine = self._genuine(token)
        check_changes("rotate", changes)
        check_version(if_version)
        request = m.RotateSession(
            token=genuine,
            grace=grace,
            changes=changes,
            if_version=if_version,
            new_token=self._tokens.mint(like=token) if new_token is None else new_token,
            request_id=_id(request_id),
            deadline=self._deadline(),
        )
        reply = self._ask(request, m.SessionRotated)
        return reply.token, reply.record

    def login(
        self,
        token: str,
        principal: str,
        *,
        changes: Sequence[AnyChange] = (),
        lifetimes: Lifetimes | None = None,
        meta: Mapping[str, Any] | None = None,
        if_version: int | None = None,
        new_token: str | None = None,
        request_id: bytes | None = None,
    ) -> tuple[str, Record]:
        """Rotate and bind to a principal; see the contract."""
        check_principal(principal)
        genuine = self._genuine(token)
        check_changes("login", changes)
        check_lifetimes(lifetimes)
        check_version(if_version)
        check_mapping("meta", meta)
        request = m.LoginSession(
            token=genuine,
            principal=principal,
            changes=changes,
            lifetimes=lifetimes,
            default_lifetimes=self.settings.signed_in,
            meta=meta,
            if_version=if_version,
            new_token=self._tokens.mint(like=token) if new_token is None else new_token,
            request_id=_id(request_id),
            deadline=self._deadline(),
        )
        reply = self._ask(request, m.SessionRotated)
        if reply.token is None:
            raise _unexpected(reply)
        return reply.token, reply.record

    def delete(self, token: str) -> bool:
        """End the session; see the contract."""
        if self._tokens.hash_of(token) is None:
            return False
        request = m.DeleteSession(token=token, deadline=self._deadline(), confirm=True)
        # Sent again it would find nothing, and the answer would be that there had been nothing.
        return self._ask(request, m.SessionDeleted, repeatable=False).existed

    # Flashes ---------------------------------------------------------------------------------------------------

    def add_flash(self, token: str, flash: FlashMessage, *, request_id: bytes | None = None) -> None:
        """Append to the mailbox; see the contract."""
        request = m.AddFlash(
            token=self._genuine(token),
            flash=flash,
            request_id=_id(request_id),
            deadline=self._deadline(),
            confirm=True,
        )
        self._ask(request, m.FlashAdded)

    def take_flashes(self, token: str, *, request_id: bytes | None = None) -> tuple[str, list[FlashMessage]]:
        """Take all flashes; see the contract."""
        request = m.TakeFlashes(token=self._genuine(token), request_id=_id(request_id), deadline=self._deadline())
        reply = self._ask(request, m.FlashesTaken)
        return reply.take_id, list(reply.flashes)

    def restore_flashes(self, token: str, take_id: str) -> int:
        """Put back what that take took; see the contract."""
        request = m.RestoreFlashes(token=self._genuine(token), take_id=take_id, deadline=self._deadline())
        return self._ask(request, m.FlashesRestored, repeatable=False).count

    def restore_soon(self, token: str, take_id: str) -> None:
        """The same, without waiting: as soon as the system answers, while it can be put back."""
        self._told.begin()
        self.sender.tell(m.RestoreFlashes(token=token, take_id=take_id, deadline=self._deadline(_RESTORED_WITHIN)))

    # Principals ------------------------------------------------------------------------------------------------

    def sessions_of(self, principal: str) -> list[SessionInfo]:
        """The live sessions of a principal; see the contract."""
        request = m.ListSessions(principal=check_principal(principal), deadline=self._deadline())
        return list(self._ask(request, m.SessionsListed).sessions)

    def revoke(self, principal: str, *, except_: str | None = None) -> int:
        """End all sessions of a principal but one; see the contract."""
        check_principal(principal)
        request = m.RevokeSessions(principal=principal, except_token=except_, deadline=self._deadline(), confirm=True)
        return self._ask(request, m.SessionsRevoked, repeatable=False).count

    def revoke_sid(self, sid: str) -> bool:
        """End the session with this sid; see the contract."""
        sid_bytes(sid)
        request = m.RevokeSessions(sid=sid, deadline=self._deadline(), confirm=True)
        return bool(self._ask(request, m.SessionsRevoked, repeatable=False).count)

    # The store as a whole --------------------------------------------------------------------------------------

    def sweep(self, limit: int = 1000) -> CleanupReport:
        """Remove what is expired now; see the contract."""
        request = m.CleanupExpired(limit=limit, deadline=self._deadline(LONG_TIMEOUT), confirm=True)
        return self._ask(request, m.SessionsCleaned, repeatable=False).report

    def scan(self, *, after: str | None = None, limit: int | None = None) -> Iterator[SessionInfo]:
        """Live sessions in the order of their sid; see the contract."""
        while limit is None or limit > 0:
            wanted = _PAGE if limit is None else min(limit, _PAGE)
            request = m.ScanSessions(after=after, limit=wanted, deadline=self._deadline())
            page = self._ask(request, m.SessionsScanned).sessions
            yield from page
            if len(page) < wanted:
                return
            after = page[-1].sid
            limit = None if limit is None else limit - len(page)

    def stats(self) -> StoreStats:
        """Counts and sizes; see the contract."""
        return self._ask(m.InspectStore(deadline=self._deadline()), m.StoreInspected).stats

    def check(self) -> CheckReport:
        """Compare every record with every index; see the contract."""
        return self._ask(m.CheckStore(deadline=self._deadline(LONG_TIMEOUT)), m.StoreChecked).report

    def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a consistent copy; see the contract."""
        path = str(Path(target).absolute())
        request = m.BackupStore(target=path, deadline=self._deadline(LONG_TIMEOUT))
        self._ask(request, m.StoreBackedUp, repeatable=False)

    def compact(self) -> tuple[int, int]:
        """Rewrite the data file without its free pages; see the contract."""
        request = m.CompactStore(deadline=self._deadline(LONG_TIMEOUT))
        reply = self._ask(request, m.StoreCompacted, repeatable=False)
        return reply.before, reply.after

    def sync(self) -> None:
        """Force what was committed onto the disk; see the contract."""
        self._ask(m.SyncStore(deadline=self._deadline(LONG_TIMEOUT)), m.StoreSynced)

    def close(self) -> None:
        """Send what is waiting to be told, for two seconds at most; then give back what is open. See the contract."""
        self.sender.close()
        self._told.end()
        self._line.close()

    # Asking ----------------------------------------------------------------------------------------------------

    def _deadline(self, timeout: float | None = None) -> float:
        return time.monotonic() + (self.settings.ask_timeout if timeout is None else timeout)

    def _ask(self, request: m.Request, answer: type[_Answer], *, repeatable: bool = True) -> _Answer:
        """Send a request; its answer, or the error it ended in.

        ``repeatable``: it may be sent again when it is unknown whether it was read: because it only reads, or because
        the store knows it again by its id.
        """
        assert request.deadline is not None
        reply = self._line.call(request, request.deadline, repeatable=repeatable)
        if isinstance(reply, answer):
            return reply
        raise _unexpected(reply)

    def mint(self, like: str | None = None) -> str:
        """A token for a verb to use; see the contract."""
        return self._tokens.mint(like)

    @property
    def _tokens(self) -> Tokens:
        if self._minter is None:
            self._minter = Tokens(self.keyring)
        return self._minter

    @property
    def keyring(self) -> Keyring:
        """The server secrets. Raises StoreUnavailable where no system runs, and what reading them raises."""
        if not isinstance(self._line, ManagerLine):
            return keyring_from(self.settings.secrets, self.settings.home / SECRET)
        if self.settings.secrets is None:
            Whereabouts.read(self.settings.home)  # says where no system runs; there may be no secret either
        return keyring_of(self.settings)

    def _genuine(self, token: str) -> str:
        """The token. Raises BadToken for what was never issued."""
        if self._tokens.hash_of(token) is None:
            raise BadToken
        return token


def _id(request_id: bytes | None) -> bytes:
    return os.urandom(16) if request_id is None else request_id


def _unexpected(reply: m.Reply) -> Exception:
    error = error_of(reply)
    if error is None:
        msg = f"the session manager answered with {type(reply).__name__}: it runs another version of coatcheck"
        return StoreUnavailable(msg)
    return error
