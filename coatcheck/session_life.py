"""The life of a session in a request: loaded, changed, committed or abandoned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from coatcheck.changes import AnyChange, Set
from coatcheck.codec import is_mutable
from coatcheck.errors import CoatcheckError, SessionMissing, StoreUnavailable
from coatcheck.outage import may_be_dropped
from coatcheck.session_mail import SessionMailbox
from coatcheck.session_origin import UNLOADED
from coatcheck.session_outage import FAILED
from coatcheck.tracked import READY, plain
from coatcheck.tracking import Pending, changed_in_place

if TYPE_CHECKING:
    from coatcheck.client.client import SessionClient
    from coatcheck.store.contract import Reason
    from coatcheck.store.record import Record

JUST_RETIRED: Final = 30.0
"""Seconds after its rotation in which a token is taken for one that the browser sent before it had the new one."""

COMMITTED: Final = 3


class SessionLife(SessionMailbox):
    """What happens between the opening of a session and the end of its request."""

    __slots__ = (
        "_borrowed",
        "_created",
        "_looks_everywhere",
        "_own",
        "_reason",
        "_retired_ago",
        "_sealed",
        "ended",
        "logged_out",
    )

    _own: tuple[Iterable[AnyChange], Record | None]

    def __init__(
        self,
        client: SessionClient,
        token: str | None = None,
        *,
        peer: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """See ``SessionClient.open``. Nothing is loaded yet."""
        self._client = client
        self._presented = self._token = token or None
        self._state = UNLOADED if token else READY
        self._record: Record | None = None
        self._pending: Pending | None = None
        self._handed_out: set[str] = set()
        self._meta = meta
        self.origin = None
        self._takes: list[str] = []
        self._unanswered: bytes | None = None
        self._taken = self._created = self._borrowed = self._sealed = self._looks_everywhere = False
        self._lenient = self._cut_off = False
        self.outage: StoreUnavailable | None = None
        self.accessed = False
        self.peer = peer
        self.ended = False
        """Whether a commit found that the session had ended meanwhile."""
        self.logged_out = False
        """Whether a commit has carried out a logout."""
        self._reason: Reason | None = None
        self._retired_ago: float | None = None

    # Loading ---------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Make the data present, as a plain dict has it. Counts as no use, writes nothing, and never raises.

        A store that cannot be asked is remembered, and raises when the session is first used; ``on_outage =
        "anonymous"`` makes the session a new and empty one instead, and ``outage`` says why.
        """
        if self._state != UNLOADED:
            return
        try:
            found = self._find()
            record = found.record
            if record is not None:
                dict.update(self, record.values())
        except StoreUnavailable as error:
            self._unavailable(error)
            return
        except CoatcheckError as error:
            self._error = error
            self._state = FAILED
            self._client.count("unreadable")
            return
        if record is not None:
            self._record = record
            self._borrowed = record.in_grace
        else:
            self._absent(found.reason, found.ended_ago)
        self._state = READY

    def _absent(self, reason: Reason | None, ended_ago: float | None) -> None:
        # The token is forgotten at once: what was not found here is never adopted.
        self._token = None
        self._reason = reason
        self._client.note_refused(reason, self.peer)
        if reason == "retired":
            self._retired_ago = ended_ago
            self._borrowed = ended_ago is not None and ended_ago < JUST_RETIRED

    def _ready(self) -> None:
        if self._state == UNLOADED:
            self.load()
        if self._state == FAILED:
            raise self._error.with_traceback(None)
        if self._state == COMMITTED:
            self._look_again()

    def _look_again(self) -> None:
        """Show the record that the last commit answered; what the application holds of it stays the same object."""
        record = self._record
        assert record is not None
        changes, before = self._own
        own = {change.key for change in changes if isinstance(change, Set)}
        values = record.values()
        for key in {*self._handed_out, *own}:
            kept = dict.get(self, key)
            same = key in own or (before is not None and before.packed(key) == record.packed(key))
            if same and key in values and is_mutable(kept):
                values[key] = kept
                self._handed_out.add(key)
            else:
                self._handed_out.discard(key)
        self._show(values)

    def _show(self, values: Mapping[str, Any]) -> None:
        dict.clear(self)
        dict.update(self, values)
        self._state = READY

    def reload(self) -> None:
        """Drop what is not committed and look at the store again. Raises StoreUnavailable."""
        self.abandon()
        self._cut_off, self.outage = False, None
        if self._token is not None or self.origin is not None:
            self._handed_out.clear()
            self._show({})
            self._record, self._taken, self._state = None, False, UNLOADED
            self._ready()

    @property
    def modified(self) -> bool:
        """Whether anything waits for the commit that is known without comparing nested values.

        True makes the commit compare all nested values, even such as C code got hold of; False drops the changes of
        keys from the commit.
        """
        pending = self._pending
        return self._looks_everywhere or (pending is not None and not pending.is_empty)

    @modified.setter
    def modified(self, value: bool) -> None:
        self._looks_everywhere = bool(value)
        if not value:
            self._handed_out.clear()
            if self._pending is not None:
                self._pending.forget_data()

    @property
    def cookie(self) -> Literal["set", "remove", "leave"]:
        """What the response has to do with the browser's cookie, as of the last commit.

        A response replaces only the token that it owns: where the token is in grace or has just been retired, another
        response has brought the new one. An outage, and a session that ended meanwhile, leave the cookie alone.
        """
        if self._state in (UNLOADED, FAILED) or self.ended or self._cut_off:
            return "leave"
        if self._token is not None:
            return "leave" if self._token == self._presented else "set"
        if self._presented is None or self._borrowed or not self.accessed or self.outage is not None:
            return "leave"
        return "remove"

    # The end of a request --------------------------------------------------------------------------------------

    def commit(self) -> str | None:
        """Apply everything, in one transaction; nothing changed is no write.

        Answers the token that the browser should hold, or None when there is nothing to keep. A session that ended
        meanwhile stays ended: its changes are dropped, and ``ended`` is True (``on_ended = "error"``: SessionMissing).
        Raises what ``save`` raises; then nothing was applied, and the changes still wait. Where ``on_outage`` is not
        ``503``, an outage drops them instead, and ``outage`` says why; a login, a logout, a new token and the removal
        of a key raise all the same, as somebody would take them for done. (A login of somebody who is ``remembered``
        does not: the next request does it again.)
        """
        if self._state in (UNLOADED, FAILED):
            return self._token
        if self._cut_off:
            if not (self.outage is None or may_be_dropped(self._pending)):
                raise self.outage.with_traceback(None)
            self._drop()
            return self._token
        if self.outage is not None:
            self.give_back_unanswered()
        try:
            return self._commit()
        except StoreUnavailable as error:
            if not (self._goes_on_after(error) and may_be_dropped(self._pending)):
                raise
            self._go_on_without(error)
            self._drop()
            return self._token

    def _drop(self) -> None:
        """Nothing that waits is applied; flashes that were taken were taken."""
        pending, self._pending = self._pending, None
        if self._handed_out or self._looks_everywhere or not (pending is None or pending.is_empty):
            self._client.count("dropped")
        self._looks_everywhere = False
        self._handed_out.clear()
        self._show({} if self._record is None else self._record.values())

    def _commit(self) -> str | None:
        if self._state:
            self._ready()
        pending = self._pending
        if pending is not None and pending.logged_out is not None:
            token, record = pending.logged_out
            # The token may have been rotated meanwhile, by another request; the session has to end all the same.
            if not self._client.store.delete(token):
                self._client.store.revoke_sid(record.sid)
            pending.logged_out = None
            self.logged_out = True
        if self._record is None:
            return self._commit_new(pending)
        changes, if_version = self._collect(self._record, pending)
        writes = bool(changes) or pending is not None
        try:
            if writes:
                return self._write(self._record, pending, changes, if_version)
            self._touch(self._record)
        except SessionMissing as error:
            self.ended = True
            self._client.count("ended")
            self._forget()
            if writes and self._client.settings.on_ended == "error":
                raise error from None
        return self._token

    def _commit_new(self, pending: Pending | None) -> str | None:
        data = plain(self)
        login = None if pending is None else pending.login
        if not (self._is_worth_keeping(data) or login or (pending is not None and pending.flashes)):
            self._pending = None
            return None
        if self.ended or self._borrowed:
            self._client.count("dropped")
            self._forget()
            return None
        self._refuse_when_sealed()
        assert pending is not None
        token, record = self._client.store.create(
            data,
            principal=None if login is None else login.principal,
            lifetimes=pending.lifetimes or self._usual_lifetimes(login),
            meta=None if login is None else self._meta_of(login),
            flashes=pending.flashes,
            token=self._next_token(),
        )
        self._created = True
        self._settle(token, record, [Set(key, None) for key in data])
        return token

    def _collect(self, record: Record, pending: Pending | None) -> tuple[list[AnyChange], int | None]:
        changes: list[AnyChange] = []
        if pending is not None:
            changes += pending.data_changes(self, record, self._handed_out)
        suspects = set(dict.keys(self)) if self._looks_everywhere else self._handed_out
        if suspects:
            changes += changed_in_place(self, record, suspects.difference(pending.keys if pending else ()))
        # Only data can be in conflict: flashes and lifetimes do not count in the version.
        rejects = bool(changes) and self._client.settings.on_conflict == "reject"
        if pending is not None:
            if pending.flashes or pending.flashes_replaced:
                changes += pending.flash_changes()
            changes += pending.other_changes(self)
        return changes, record.version if rejects else None

    def _write(
        self, record: Record, pending: Pending | None, changes: list[AnyChange], if_version: int | None
    ) -> str | None:
        store, token = self._client.store, self._token
        assert token is not None
        if pending is not None and pending.login is not None:
            self._refuse_when_sealed()
            login = pending.login
            token, saved = store.login(
                token,
                login.principal,
                changes=changes,
                lifetimes=pending.lifetimes or self._usual_lifetimes(login),
                meta=self._meta_of(login),
                if_version=if_version,
                new_token=self._next_token(),
            )
        elif pending is not None and pending.rotation is not None:
            self._refuse_when_sealed()
            new_token, saved = store.rotate(
                token, grace=pending.rotation, changes=changes, if_version=if_version, new_token=self._next_token()
            )
            token = new_token or token
        elif changes:
            saved = store.save(token, changes, if_version=if_version)
        else:
            # Set and unset again.
            self._pending = None
            self._touch(record)
            return token
        if saved.ended:
            self._forget()
            return None
        self._settle(token, saved, changes)
        return token

    def _touch(self, record: Record) -> None:
        client, token = self._client, self._token
        if token is None or not self.accessed or client.clock.now() < record.touch_due_at:
            return
        # Nothing else was to be written: an unavailable store costs one touch, and the next request tries again.
        with suppress(StoreUnavailable):
            client.touch_soon(token)

    def _settle(self, token: str, record: Record, own: Iterable[AnyChange]) -> None:
        self._own = (own, self._record)
        self._token, self._record, self._pending = token, record, None
        self._taken = self._looks_everywhere = False
        self._state = COMMITTED

    def _forget(self) -> None:
        self._token = self._record = self._pending = None
        self._handed_out.clear()
        dict.clear(self)

    def abandon(self) -> None:
        """Drop what is not committed and give back the flashes that were taken: the request has failed."""
        self.give_back()
        pending, self._pending = self._pending, None
        if pending is not None and pending.logged_out is not None:
            self._token, self._record = pending.logged_out
        self._looks_everywhere = False
        if self._state in (UNLOADED, FAILED):
            return
        self._handed_out.clear()
        self._show({} if self._record is None else self._record.values())

    def seal(self) -> None:
        """The response has left: from now on a commit cannot bring the browser another token."""
        self._sealed = True

    @property
    def sealed(self) -> bool:
        """Whether the response has left."""
        return self._sealed

    def _refuse_when_sealed(self) -> None:
        if self._sealed:
            msg = "the response headers have left, so no new token can reach the browser: write, log in, rotate before"
            raise RuntimeError(msg)
