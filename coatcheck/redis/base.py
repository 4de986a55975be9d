"""What all verbs stand on: opening, and finding a session."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from coatcheck.clock import clock_from
from coatcheck.errors import (
    BadToken,
    CorruptRecord,
    SessionMissing,
)
from coatcheck.keyring import Keyring, keyring_from
from coatcheck.redis.calls import Ask, Call, Flow, Keep, read_sid, read_token
from coatcheck.redis.draft import RedisDraft
from coatcheck.redis.guesses import Guesses
from coatcheck.redis.layout import Layout, tag_of
from coatcheck.redis.policy import settle
from coatcheck.redis.rest import Session, View, view_of
from coatcheck.store import token_table
from coatcheck.store.files import SECRET, prepare_directory
from coatcheck.store.policy import Policy
from coatcheck.store.record import Record
from coatcheck.store.tables import CURRENT, GRACE
from coatcheck.tokens import Tokens

if TYPE_CHECKING:
    from coatcheck.clock import Clock
    from coatcheck.settings import Settings
    from coatcheck.store.contract import Reason

_log = logging.getLogger("coatcheck.redis")


class Place(NamedTuple):
    """Where to look for a session: a token's row, or the session itself."""

    tag: str
    token_hash: bytes | None = None
    sid: bytes | None = None
    other: bytes | None = None
    """The hash of a token to look for beside it."""


def told(place: Place, view: View) -> Keep:
    """What is to be told of what was seen there."""
    sid = place.sid if view.row is None else view.row.sid
    return Keep(sid, view.session, view.position, place.token_hash, view.row)


class VerbsBase:
    """Everything below the verbs. One object a store, for all its threads."""

    def __init__(self, settings: Settings, prefix: str, clock: Clock | None) -> None:
        """Read nothing yet."""
        self.settings = settings
        self.layout = Layout(prefix)
        self.clock: Clock = clock or clock_from(settings.clock)
        self.counters: Counter[str] = Counter()
        self.policy = Policy()
        self._now = self.clock.now
        self._keyring: Keyring | None = None
        self.guesses = Guesses()
        self._is_open = False

    # Opening ---------------------------------------------------------------------------------------------------

    @property
    def keyring(self) -> Keyring:
        """The server secrets."""
        if self._keyring is None:
            if self.settings.secrets is None:
                prepare_directory(self.settings.home)
            self._keyring = keyring_from(self.settings.secrets, self.settings.home / SECRET)
            self.tokens = Tokens(self._keyring)
        return self._keyring

    def opened(self) -> Flow[None]:
        """See that this opener agrees with the store. Raises ConfigurationError."""
        if not self._is_open:
            self.policy = yield from settle(self.layout, self.settings, self.keyring.fingerprints())
            self._is_open = True
            yield from self._warn_of_eviction()

    def _warn_of_eviction(self) -> Flow[None]:
        for server in (yield Ask("INFO", ("memory",))):
            policy = (server or {}).get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                _log.warning(
                    "maxmemory-policy of Redis is %s: when it is full it throws live sessions away; use noeviction",
                    policy,
                )
                return

    def forget(self) -> None:
        """Start anew with the next verb."""
        self._is_open = False
        self.guesses.clear()

    # From a token to a session ---------------------------------------------------------------------------------

    def mint(self, like: str | None = None) -> str:
        """A token for a verb to use; see the contract."""
        _ = self.keyring
        return self.tokens.mint(like)

    def hash_of(self, token: object) -> bytes | None:
        """The hash of a token, or None; counted."""
        _ = self.keyring
        token_hash = self.tokens.hash_of(token)
        if token_hash is None:
            self.counters["forged"] += 1
        return token_hash

    def place_of(self, token: str) -> Place:
        """Where the session of a token is. Raises BadToken."""
        token_hash = self.hash_of(token)
        if token_hash is None:
            raise BadToken
        return Place(f"{self.tokens.tag_of(token):x}", token_hash)

    def look(self, place: Place) -> Call:
        """The call that looks there."""
        prefix = self.layout.of_tag(place.tag)
        if place.token_hash is None:
            assert place.sid is not None
            return read_sid(prefix, place.sid)
        other = b"" if place.other is None else self.layout.token(place.tag, place.other)
        return read_token(prefix, self.layout.token(place.tag, place.token_hash), other)

    def seen(self, place: Place) -> Flow[View]:
        """What is there now."""
        view = yield from self._whole(view_of((yield self.look(place)), place.sid), self._now())
        self.guesses.put(place.token_hash, view)
        yield told(place, view)
        return view

    def _whole(self, view: View, now: int) -> Flow[View]:
        """The view, looked at again where it may be torn.

        A Cluster that moves a slot has part of its keys on one master and part on another, and a script that found the
        session by its token would take for missing what has not arrived yet. Asked for by its names, it is refused.
        """
        row, session = view.row, view.session
        if row is None or not row.leads(now) or (session is not None and session.has_all_flashes):
            return view
        again = view_of((yield self.look(Place(tag_of(row.sid), sid=row.sid))), row.sid)
        return View(row, again.session, view.other, view.position)

    def reason_of(self, view: View, now: int) -> tuple[Reason | None, float | None]:
        """Why there is no live session, and how many seconds ago it ended; None where there is one."""
        row, session = view.row, view.session
        if row is None or (row.kept and now >= row.kept):
            return "unknown", None
        if not row.leads(now):
            return token_table.REASONS[row.state], max(0.0, (now - row.since) / 1e6)
        if session is None:
            return ("expired" if row.state == CURRENT else "retired"), None
        if session.is_revoked:
            return "revoked", None
        ended = session.deadline
        if now >= ended:
            return "expired", (now - ended) / 1e6
        return None, None

    def live(self, view: View, now: int) -> Session:
        """The live session of a view. Raises SessionMissing."""
        reason, _ = self.reason_of(view, now)
        if reason is not None:
            self.miss(reason)
        assert view.session is not None
        return view.session

    def miss(self, reason: Reason) -> NoReturn:
        """Count it, and raise SessionMissing."""
        self.counters[reason] += 1
        raise SessionMissing(reason)

    def record_of(self, view: View) -> Record:
        """The record of a view that has one."""
        assert view.session is not None
        record = view.session.record()
        record.in_grace = view.row is not None and view.row.state == GRACE
        return record

    def draft_of(self, session: Session) -> RedisDraft:
        """A session open for changes."""
        draft = RedisDraft(session.sid, session)
        draft.flash_limit = self.policy.max_flashes
        return draft

    def readable(self, sessions: Iterable[Session]) -> list[Record]:
        """The records of those that are live. One that cannot be read must not hide the others."""
        now = self._now()
        found = []
        for each in sessions:
            try:
                record = each.record()
                _ = record.principal, record.meta
            except CorruptRecord as error:
                _log.warning("a session is left out of a list: %s", error)
                continue
            if now < record.expires_at and not each.is_revoked:
                found.append(record)
        return found
