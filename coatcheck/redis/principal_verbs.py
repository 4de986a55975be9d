"""Principals: whose sessions these are, how many one may have, and how to end them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck.errors import CorruptRecord, PrincipalLimit, StoreUnavailable
from coatcheck.redis.base import Place
from coatcheck.redis.calls import Call, Command, Flow, Many, Pause, Write, was_done
from coatcheck.redis.changing import PATIENCE, Changes, Done
from coatcheck.redis.draft import MARKED, note
from coatcheck.redis.layout import TAGS, moment, tag_of
from coatcheck.redis.rest import Session, View, view_of
from coatcheck.redis.scripts import READ
from coatcheck.store import token_table
from coatcheck.store.arguments import check_principal, sid_bytes
from coatcheck.store.contract import SessionInfo
from coatcheck.store.record import Record
from coatcheck.store.tables import EXPIRED, REVOKED

if TYPE_CHECKING:
    from coatcheck.redis.draft import RedisDraft

LOCKED: Final = 5_000
"""How long one process may count the sessions of a principal, in milliseconds."""

_META: Final = "meta"


class Binding(NamedTuple):
    """A principal and where its sessions are listed: one hash for each server secret, newest first."""

    principal: str
    hashes: list[bytes]


class PrincipalVerbs(Changes):
    """``sessions_of``, ``revoke`` and ``revoke_sid``, and the binding that create and login do."""

    def sessions_of(self, principal: str) -> Flow[list[SessionInfo]]:
        """The live sessions of a principal; see the contract."""
        binding = self.binding(principal)
        yield from self.opened()
        sessions = yield from self._members(binding)
        return [record.info() for record in self._living(sessions)]

    def revoke(self, principal: str, *, except_: str | None = None) -> Flow[int]:
        """End the sessions of a principal; see the contract.

        What is written first, under every tag, ends all of them at once, even one that no index has; then they are
        removed one by one.
        """
        binding = self.binding(principal)
        place = None if except_ is None else self.place_of(except_)
        yield from self.opened()
        now = self._now()
        kept = None
        if place is not None:
            row = (yield from self.seen(place)).row
            kept = row.sid if row is not None and row.leads(now) else None
        spared = b"" if kept is None else kept.hex().encode()
        marks = [self._mark(tag, each, moment(now) + spared) for tag in TAGS for each in binding.hashes]
        yield Many(marks)
        # Whatever is bound from here on is bound after the mark, and lives.
        found = [each.sid for each in (yield from self._members(binding))]
        ended = 0
        for sid in found:
            if sid != kept:
                ended += yield from self.end_sid(sid, "revoked")
        return ended

    def _mark(self, tag: str, principal_hash: bytes, mark: bytes) -> Call:
        key = self.layout.not_before(tag, principal_hash)
        write = Write(Call(READ, (key,), (self.layout.of_tag(tag), b"-", b"")))
        write.run_first("PERSIST", key)  # a Redis that is full refuses a SET, but not after another write
        write.run("SET", key, mark, "PX", token_table.ENDED_KEPT // 1000)
        note(write, self.layout, tag, MARKED, b"", int(mark[:20]), principal_hash)
        return write.call()

    def revoke_sid(self, sid: str) -> Flow[bool]:
        """End the session with this sid; see the contract."""
        identity = sid_bytes(sid)
        yield from self.opened()
        return (yield from self.end_sid(identity, "revoked"))

    def end_sid(self, sid: bytes, kind: str) -> Flow[bool]:
        """End a session as revoked, or as expired if it was; whether it was live."""
        place, request = Place(tag_of(sid), sid=sid), secrets.token_bytes(16)

        def work(view: View, now: int, _: int) -> Done:
            if view.session is None:
                return Done(False)
            try:
                draft = self.draft_of(view.session)
            except CorruptRecord:
                return Done(True, self.end_damaged(place, view.session, now, kind))
            draft.revision = request
            live = now < draft.deadline
            write = self.writing(place, draft, ends=True)
            self.end(write, draft, REVOKED if live else EXPIRED, now, kind if live else "expired")
            return Done(live, write, draft=draft)

        live: bool = yield from self.change(place, work)
        return live

    def _members(self, binding: Binding) -> Flow[list[Session]]:
        """The sessions at rest that are listed for a principal, in no order."""
        lists = [
            Command("ZRANGE", (self.layout.principal(tag, each), 0, -1)) for tag in TAGS for each in binding.hashes
        ]
        sids = [bytes.fromhex(each.decode()) for members in (yield Many(lists)) for each in members]
        if not sids:
            return []
        looks = [self.look(Place(tag_of(sid), sid=sid)) for sid in sids]
        views = [view_of(reply, sid) for sid, reply in zip(sids, (yield Many(looks)), strict=True)]
        return [view.session for view in views if view.session is not None]

    def _living(self, sessions: list[Session]) -> list[Record]:
        """Records of those that live, oldest first."""
        return sorted(self.readable(sessions), key=lambda each: (each.created_at, each.sid))

    # Binding ---------------------------------------------------------------------------------------------------

    def binding(self, principal: str) -> Binding:
        """The places of a principal. Raises TypeError and ValueError for what is none."""
        return Binding(check_principal(principal), self.keyring.principal_hashes(principal))

    def bind(self, write: Write, draft: RedisDraft, binding: Binding, now: int) -> None:
        """Bind a session, after everything that was revoked."""
        write.guard("after", self.layout.not_before(draft.tag, binding.hashes[0]), moment(now))
        draft.bind_at(binding.principal, binding.hashes[0], now)

    def within_limit(self, binding: Binding, place: Place, bound: Callable[[], Flow[Record]]) -> Flow[Record]:
        """Bind a session so that its principal has no more of them than are allowed. Raises PrincipalLimit."""
        limit = self.policy.max_sessions_per_principal
        if not limit:
            return (yield from bound())
        view = yield from self.seen(place)
        if view.other is not None or (place.other is None and view.row is not None):
            return (yield from bound())  # a repeat, or a conflict
        sid = b"" if view.session is None else view.session.sid
        key, mine = self.layout.lock(binding.hashes[0]), secrets.token_bytes(16)
        yield from self._locked(key, mine)
        try:
            if self.policy.on_principal_limit == "refuse":
                living = self._living((yield from self._members(binding)))
                if len([each for each in living if each.sid != sid.hex()]) >= limit:
                    raise PrincipalLimit(limit)
            record = yield from bound()
            yield from self._evict(binding, record.sid, limit)
        except Exception:  # not at the end of a verb that nobody waits for any more: then the lock runs out by itself
            yield from self._unlocked(key, mine)
            raise
        if not (yield from self._unlocked(key, mine)):
            # It took too long, so somebody else may have counted at the same time.
            yield from self._evict(binding, record.sid, limit)
        return record

    def _unlocked(self, key: bytes, mine: bytes) -> Flow[bool]:
        """Give the lock back; whether it was still ours."""
        unlock = Write(Call(READ, (key,), (key[: key.index(b"}:") + 2], b"-", b"")))
        unlock.guard("equal", key, mine)
        unlock.run("DEL", key)
        return was_done((yield unlock.call()))

    def _locked(self, key: bytes, mine: bytes) -> Flow[None]:
        end = time.monotonic() + PATIENCE
        while (yield Command("SET", (key, mine, "NX", "PX", LOCKED))) is None:
            if time.monotonic() > end:
                msg = f"the sessions of a principal are being counted by others for {PATIENCE:g} s: try again"
                raise StoreUnavailable(msg)
            yield Pause(0.002 + secrets.randbelow(8) / 1000)

    def _evict(self, binding: Binding, sid: str, limit: int) -> Flow[None]:
        living = self._living((yield from self._members(binding)))
        others = [each.sid for each in living if each.sid != sid]
        for other in others[: max(0, len(others) + 1 - limit)]:
            yield from self.end_sid(bytes.fromhex(other), "evicted")
