"""A whole check: every session against every index, and every index against the sessions.

Redis has no snapshot to read, and others write meanwhile: what looks wrong is looked at once more, and told only when
it still does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from coatcheck.clock import NEVER
from coatcheck.errors import CoatcheckError
from coatcheck.redis import rest
from coatcheck.redis.base import Place, VerbsBase
from coatcheck.redis.calls import Command, Flow, Many
from coatcheck.redis.draft import score_of
from coatcheck.redis.layout import TAGS, TokenRow
from coatcheck.redis.rest import Session, view_of
from coatcheck.store import header as headers
from coatcheck.store.contract import CheckReport, Problem
from coatcheck.store.record import Record
from coatcheck.store.tables import CURRENT, GRACE

MOST: Final = 1000
"""Problems a report holds."""

PAGE: Final = 100
"""Sessions looked at in one round trip."""

Found = list[tuple[str, str]]
"""Kind and detail of what is wrong with one thing."""


class CheckVerb(VerbsBase):
    """``check``."""

    def check(self) -> Flow[CheckReport]:
        """Compare every record with every index; see the contract."""
        yield from self.opened()
        problems: list[Problem] = []
        sessions = entries = 0
        for tag in TAGS:
            sids = yield from self.members(self.layout.expiry(tag))
            entries += len(sids)
            sessions += yield from self._examined(problems, tag, sids, self._sessions)
            listed = yield from self.members(self.layout.bound(tag))
            entries += len(listed)
            yield from self._examined(problems, tag, listed, self._listed)
            for principal in sorted({each[33:] for each in listed}):
                key = self.layout.principal(tag, bytes.fromhex(principal.decode()))
                members = [each + b":" + principal for each in (yield Command("ZRANGE", (key, 0, -1)))]
                entries += len(members)
                yield from self._examined(problems, tag, members, self._listed)
            buried = yield from self.members(self.layout.buried(tag))
            entries += len(buried)
            yield from self._examined(problems, tag, buried, self._buried)
        return CheckReport(sessions, entries, tuple(problems[:MOST]))

    def members(self, key: bytes) -> Flow[list[bytes]]:
        """The members of an index, sorted; read in pieces, so that nobody waits for it."""
        found: set[bytes] = set()
        cursor: Any = 0
        while True:
            cursor, piece = yield Command("ZSCAN", (key, int(cursor), "COUNT", 1000))
            pairs = piece if piece and isinstance(piece[0], (tuple, list)) else None
            found.update(each[0] for each in pairs) if pairs is not None else found.update(piece[::2])
            if int(cursor) == 0:
                return sorted(found)

    def _examined(
        self,
        problems: list[Problem],
        tag: str,
        members: Sequence[bytes],
        step: Callable[[str, Sequence[bytes]], Flow[list[Found | None]]],
    ) -> Flow[int]:
        """Examine members page by page, the suspicious ones twice; how many were there."""
        there = 0
        for start in range(0, len(members), PAGE):
            page = members[start : start + PAGE]
            found = yield from step(tag, page)
            there += sum(each is not None for each in found)
            suspects = [member for member, wrong in zip(page, found, strict=True) if wrong]
            if suspects and len(problems) < MOST:
                for member, wrong in zip(suspects, (yield from step(tag, suspects)), strict=True):
                    problems += [Problem(kind, member[:8].decode(), f"expected {text}") for kind, text in wrong or ()]
        return there

    # One page of each ------------------------------------------------------------------------------------------

    def _sessions(self, tag: str, sids: Sequence[bytes]) -> Flow[list[Found | None]]:
        raw = [bytes.fromhex(each.decode()) for each in sids]
        looks = yield Many([self.look(Place(tag, sid=sid)) for sid in raw])
        views = [view_of(reply, sid) for sid, reply in zip(raw, looks, strict=True)]
        asked: list[Command] = []
        for view, sid in zip(views, sids, strict=True):
            asked += self._questions(tag, sid, view.session)
        answers = iter((yield Many(asked)) if asked else [])
        found: list[Found | None] = []
        for view, sid in zip(views, sids, strict=True):
            session = view.session
            mine = [next(answers) for _ in self._questions(tag, sid, session)]
            found.append(None if session is None else self._guarded(session, mine))
        return found

    def _questions(self, tag: str, sid: bytes, session: Session | None) -> list[Command]:
        if session is None:
            return []
        principal = session.fields.get(rest.PRINCIPAL, b"")
        tokens = [self._token_hash(session), *(each[0] for each in self._graces(session))]
        mark = sid + b":" + principal
        return [
            Command("ZSCORE", (self.layout.expiry(tag), sid)),
            Command("PTTL", (self.layout.session(session.sid),)),
            Command("ZSCORE", (self.layout.principal(tag, bytes.fromhex(principal.decode())), sid)),
            Command("ZSCORE", (self.layout.bound(tag), mark)),
            *(Command("GET", (self.layout.token(tag, each),)) for each in tokens),
        ]

    @staticmethod
    def _token_hash(session: Session) -> bytes:
        try:
            return headers.parse(session.fields[rest.HEADER]).token_hash
        except (KeyError, CoatcheckError):
            return b""

    @staticmethod
    def _graces(session: Session) -> list[list[Any]]:
        try:
            row = headers.current(session.fields[rest.HEADER])
            return headers.parse_variable(row, headers.parse(row).variable_length).graces
        except (KeyError, CoatcheckError):
            return []

    def _guarded(self, session: Session, answers: list[Any]) -> Found:
        try:
            return self._session(session, *answers[:4], rows=answers[4:])
        except (CoatcheckError, ValueError, TypeError, KeyError, struct.error) as error:
            return [("unreadable", f"a session that can be read: {type(error).__name__}")]

    def _session(self, session: Session, due: Any, left: int, listed: Any, marked: Any, *, rows: list[Any]) -> Found:
        record = session.record()
        record.values()
        _ = record.flashes, record.meta, session.takes
        deadline = record.expires_at
        score = float(score_of(deadline))
        wrong: Found = []
        if due is None or float(due) != score:
            wrong.append(("filed-elsewhere", "an entry under its deadline"))
        if (left < 0) != (deadline == NEVER):
            wrong.append(("kept-for-ever", "a time to live, unless it has no limit"))
        tokens = [None if row is None else TokenRow.unpacked(row) for row in rows]
        if tokens[0] is None or tokens[0].sid != session.sid or tokens[0].state != CURRENT:
            wrong.append(("session-without-token", "a current token that leads to it"))
        for row, (_, until) in zip(tokens[1:], self._graces(session), strict=True):
            if row is None or row.sid != session.sid or row.state != GRACE or row.since != until:
                wrong.append(("grace-without-token", "a token in grace that leads to it"))
        return wrong + self._principal(record, session, score, listed, marked)

    def _principal(self, record: Record, session: Session, score: float, listed: Any, marked: Any) -> Found:
        principal, kept = record.principal, session.fields.get(rest.PRINCIPAL)
        if principal is None:
            return [] if kept is None else [("listed-without-principal", "no principal hash")]
        wrong: Found = []
        if kept not in [each.hex().encode() for each in self.keyring.principal_hashes(principal)]:
            wrong.append(("principal-under-unknown-secret", "the hash of its principal"))
        if listed is None or marked is None or float(listed) != score or float(marked) != score:
            wrong.append(("session-without-principal-entry", "an entry in the index by principal, at its deadline"))
        return wrong

    def _listed(self, tag: str, members: Sequence[bytes]) -> Flow[list[Found | None]]:
        """Entries by principal, as ``<sid>:<principal>``. Those of what Redis has let expire are no problem."""
        fields = [self.layout.session(bytes.fromhex(each[:32].decode())) for each in members]
        kept = yield Many([Command("HGET", (key, rest.PRINCIPAL)) for key in fields])
        there = yield Many([Command("EXISTS", (key,)) for key in fields])
        scores = yield Many([Command("ZSCORE", (self.layout.bound(tag), each)) for each in members])
        now = self._now()
        found: list[Found | None] = []
        for member, principal, exists, score in zip(members, kept, there, scores, strict=True):
            wrong = exists and principal != member[33:]
            lost = not exists and score is not None and float(score) > now
            text = "a session of that principal"
            found.append([("principal-entry-without-session", text)] if wrong or lost else [])
        return found

    def _buried(self, tag: str, hashes: Sequence[bytes]) -> Flow[list[Found | None]]:
        keys = [self.layout.token(tag, bytes.fromhex(each.decode())) for each in hashes]
        rows = yield Many([Command("GET", (key,)) for key in keys])
        sound = [row is None or TokenRow.unpacked(row).state != CURRENT for row in rows]
        return [[] if each else [("buried-but-current", "a token out of use")] for each in sound]
