"""Changing a session as it is at that moment.

A change is made in Python, of a session as it was seen, and sent with the revision that was seen. If somebody was
faster, Redis answers with the session as it is, and the change is made again of that. Usually it was seen a moment ago,
by the load of the same request: the last sessions seen are remembered as guesses, so that a save is one round trip.
A guess alone decides nothing: only what Redis has confirmed is an answer.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coatcheck.clock import SECOND
from coatcheck.errors import (
    CoatcheckError,
    SessionConflict,
    SessionTooLarge,
    StoreUnavailable,
)
from coatcheck.redis import rest
from coatcheck.redis.base import Place, VerbsBase
from coatcheck.redis.calls import Flow, Keep, Write, was_done
from coatcheck.redis.draft import RedisDraft, keep, note, unlist
from coatcheck.redis.layout import TokenRow, tag_of
from coatcheck.redis.positions import NOWHERE, packed_position
from coatcheck.redis.rest import Session, View, view_of
from coatcheck.store import token_table
from coatcheck.store.sessions import beside_one_more, lately
from coatcheck.store.tables import DELETED

if TYPE_CHECKING:
    from coatcheck.store.apply import Step

OWN_ID: Final = 8
"""Bytes of the id of a request that was given none."""

OWN_KEPT: Final = 8
"""How many of those a session remembers."""

PATIENCE: Final = 10.0
"""Seconds in which a change must have found its moment between those of others."""


class Done(NamedTuple):
    """What a change has come to: what is to be written, if anything, and then the answer."""

    answer: Any
    write: Write | None = None
    session: Session | None = None
    """The session as it will lie there."""
    place: Place | None = None
    """Where it will be found, when that changes."""
    row: TokenRow | None = None
    """The row of its token there."""
    draft: RedisDraft | None = None
    """What the write was made of."""


Work = Callable[[View, int, int], Done]
"""Makes a change of a view, at a moment; the last argument is the moment before which nobody can be bound."""


class Changes(VerbsBase):
    """What the verbs that write have in common."""

    def change(self, place: Place, work: Work, first: View | None = None) -> Flow[Any]:
        """Do that work on the session as it is at one moment; what it answers.

        ``first``: what to suppose at first, instead of looking.
        """
        view = first or self.guesses.get(place.token_hash)
        confirmed = False
        floor = 0
        end = time.monotonic() + PATIENCE
        while True:
            if view is None:
                view = yield from self.seen(place)
                confirmed = True
            now = self._now()
            try:
                done = work(view, now, floor)
            except (CoatcheckError, TypeError, ValueError):
                if confirmed:
                    raise
                view = None
                continue
            if done.write is None:
                if confirmed:
                    return done.answer
                view = None
                continue
            reply = yield done.write.call()
            if was_done(reply):
                yield self.written(done, done.place or place, view, reply)
                return done.answer
            self.counters["replayed"] += 1
            if time.monotonic() > end:
                msg = f"a session was changed by others all the time for {PATIENCE:g} s, and nothing could be done"
                raise StoreUnavailable(msg)
            if len(reply) == 1:
                floor = int(reply[0])
            else:
                view, confirmed = (yield from self._whole(view_of(reply, place.sid), now)), True

    def written(self, done: Done, place: Place, view: View, reply: Any) -> Keep:
        """Remember what has just been written; what is to be told of it."""
        row = done.row or view.row
        self.guesses.put(place.token_hash, View(row, done.session))
        found = done.draft or view.session
        position = NOWHERE if reply == 1 else packed_position(reply)
        buried = () if done.draft is None else done.draft.buried
        sid = None if found is None else found.sid
        if done.session is None:
            return Keep(sid, None, position, buried=buried)
        return Keep(sid, done.session, position, place.token_hash, row, buried)

    def writing(self, place: Place, draft: RedisDraft, *, ends: bool = False) -> Write:
        """A write that happens only to the session as the draft has found it; one that ``ends`` it, revoked or not."""
        write = Write(self.look(place))
        assert draft.found is not None
        write.guard("revision", self.layout.session(draft.sid), draft.found.revision)
        principal = draft.found.fields.get(rest.PRINCIPAL)
        if principal is not None and not ends:
            mark = self.layout.not_before(draft.tag, bytes.fromhex(principal.decode()))
            write.guard("unrevoked", mark, draft.found.bound + draft.sid.hex().encode())
        return write

    def apply(self, draft: RedisDraft, steps: Sequence[Step], if_version: int | None = None) -> None:
        """Apply steps within the limits. Raises SessionConflict, SessionTooLarge, ChangeRefused."""
        if if_version is not None and draft.version != if_version:
            self.counters["conflict"] += 1
            raise SessionConflict(if_version, draft.version)
        for step in steps:
            step(draft)
        if draft.new_length > self.policy.max_session_bytes:
            self._check_size(draft)
        if draft.flashes_dropped:
            self.counters["flashes_dropped"] += draft.flashes_dropped

    def _check_size(self, draft: RedisDraft) -> None:
        limit, size = self.policy.max_session_bytes, draft.size
        if size <= limit or size <= draft.old_size:
            return
        values = draft.values
        key = max(values, key=lambda each: len(values[each]), default="")
        largest = len(values[key]) if key else 0
        flashes = size - draft.size_with([])
        if flashes > largest:
            key, largest = "flashes", flashes
        raise SessionTooLarge(key, size, limit, largest)

    @staticmethod
    def is_repeat(draft: RedisDraft, request_id: bytes | None) -> bool:
        """Whether the session has seen this request."""
        return request_id is not None and any(each[0] == request_id for each in draft.variable.repeats)

    @staticmethod
    def remember(draft: RedisDraft, request_id: bytes, now: int) -> None:
        """Note in the session that this request was applied.

        Ids of the caller's count as in any store. Those made here are only needed until the next moment, when what a
        broken connection has sent may come again: a few are enough.
        """
        repeats = draft.variable.repeats
        given = [each for each in repeats if len(each[0]) != OWN_ID]
        own = [each for each in lately(repeats, now) if len(each[0]) == OWN_ID][1 - OWN_KEPT :]
        kept = [*own, *(lately(given, now) if len(request_id) == OWN_ID else beside_one_more(given, now))]
        draft.variable = draft.variable._replace(repeats=[*kept, [request_id, now]])

    def stored(self, place: Place, draft: RedisDraft, now: int, request_id: bytes, kind: str) -> Done:
        """What stores a draft to which all changes were applied, or ends it where they say so."""
        draft.last_seen = now
        self.remember(draft, request_id, now)
        write = self.writing(place, draft)
        return self.put(write, draft, now, kind)

    def put(self, write: Write, draft: RedisDraft, now: int, kind: str) -> Done:
        """Add what stores a draft to a write, or what ends it where its changes say so."""
        if not draft.dropped:
            record, session = draft.saved(write, self.layout, now, kind)
            return Done(record, write, session, draft=draft)
        record, _ = draft.saved(Write(self.look(Place(draft.tag, sid=draft.sid))), self.layout, now, kind)
        self.end(write, draft, DELETED, now, "deleted")
        record.ended = True
        return Done(record, write, draft=draft)

    def end(self, write: Write, draft: RedisDraft, state: int, now: int, kind: str) -> None:
        """Add what deletes a session and remembers why for each of its tokens."""
        draft.removed(write, self.layout, now, kind)
        current_for = token_table.ENDED_KEPT if kind != "expired" else token_table.EXPIRED_KEPT
        self.bury(write, draft, draft.token_hash, state, now, now + current_for)
        for token_hash, _ in draft.variable.graces:
            self.bury(write, draft, token_hash, state, now, now + token_table.ENDED_KEPT)
        self.counters[kind] += 1

    def end_damaged(self, place: Place, session: Session, now: int, kind: str) -> Write:
        """What removes a session that cannot be read, without which others would go on. Its tokens lead nowhere."""
        write = Write(self.look(place))
        key, tag = self.layout.session(session.sid), tag_of(session.sid)
        if session.revision:
            write.guard("revision", key, session.revision)
        write.run_first("DEL", key)
        write.run_first("DEL", self.layout.flashes(session.sid))
        sid, principal = session.sid.hex().encode(), session.fields.get(rest.PRINCIPAL)
        write.unfile(self.layout.expiry(tag), sid, now)
        if principal is not None:
            with suppress(ValueError):
                unlist(write, self.layout, tag, sid, principal, now)
        note(write, self.layout, tag, kind, session.sid, now)
        self.counters[kind] += 1
        return write

    def bury(self, write: Write, draft: RedisDraft, token_hash: bytes, state: int, since: int, kept: int) -> None:
        """Add what puts a token out of use, or into its grace, and remembers it until ``kept``."""
        key, buried, now = self.layout.token(draft.tag, token_hash), self.layout.buried(draft.tag), self._now()
        row = TokenRow(draft.sid, state, since, kept, draft.revision)
        draft.buried.append((token_hash, row))
        write.run("SET", key, row.packed())
        keep(write, key, kept, now)
        write.run("ZREMRANGEBYSCORE", buried, "-inf", now - 60 * SECOND)
        write.run("ZADD", buried, kept, token_hash.hex())
        write.run("PEXPIRE", buried, token_table.ENDED_KEPT // 1000 + 60_000)


def some_id(request_id: bytes | None) -> bytes:
    """The id of a request, so that it can be sent twice and is applied once."""
    return request_id or secrets.token_bytes(OWN_ID)
