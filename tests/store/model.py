"""The contract as a plain dict: what a store should answer, written as simply as it can be said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from coatcheck.changes import AnyChange, Append, Clear, Increment, PushFlash, Set, SetLifetimes, Unset
from coatcheck.clock import SECOND, microseconds
from coatcheck.flashes import FlashMessage
from coatcheck.lifetimes import Lifetimes

FORGOTTEN_AFTER = {"expired": 3600 * SECOND, "deleted": 86400 * SECOND, "revoked": 86400 * SECOND}


class Refused(Exception):
    """A change that does not fit."""


@dataclass
class ModelSession:
    """A session as it should be."""

    sid: str
    token: str
    created: int
    last_seen: int
    started: int
    lifetimes: Lifetimes
    chosen: bool
    principal: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    flashes: list[FlashMessage] = field(default_factory=list)
    version: int = 1
    graces: dict[str, int] = field(default_factory=dict)
    takes: dict[str, tuple[int, list[FlashMessage]]] = field(default_factory=dict)
    ended: tuple[str, int] | None = None

    @property
    def deadline(self) -> int:
        """When it expires."""
        return self.lifetimes.deadline(self.last_seen, self.started)

    def live(self, now: int) -> bool:
        """The one boundary rule."""
        return self.ended is None and now < self.deadline


class Model:
    """All sessions that ever were, and all tokens that ever led to one."""

    def __init__(self, max_flashes: int, max_sessions: int, policy: str) -> None:
        self.max_flashes, self.max_sessions, self.policy = max_flashes, max_sessions, policy
        self.sessions: dict[str, ModelSession] = {}
        self.owner: dict[str, str] = {}
        self.retired: dict[str, int] = {}
        self.swept_at = 0

    def live(self, now: int) -> list[ModelSession]:
        """The live sessions."""
        return [each for each in self.sessions.values() if each.live(now)]

    def of(self, principal: str, now: int) -> list[ModelSession]:
        """The live sessions of a principal, oldest first."""
        mine = [each for each in self.live(now) if each.principal == principal]
        return sorted(mine, key=lambda each: (each.created, each.sid))

    def reach(self, token: str, now: int) -> ModelSession | None:
        """The live session that the token leads to."""
        session = self.sessions.get(self.owner.get(token, ""))
        if session is None or not session.live(now):
            return None
        leads = token == session.token or now < session.graces.get(token, 0)
        return session if leads else None

    def reasons(self, token: str, now: int) -> set[str]:
        """The reasons that may be given for a token that leads nowhere."""
        session = self.sessions.get(self.owner.get(token, ""))
        if session is None:
            return {"unknown"}
        ended = session.ended or (("expired", session.deadline) if now >= session.deadline else None)
        over = session.graces.get(token, now + 1) <= now
        reasons = set()
        if token in self.retired or over:
            reasons.add("retired")
            retired_at = self.retired.get(token, session.graces.get(token, 0))
            if self.swept_at >= retired_at + 86400 * SECOND - 3600 * SECOND:
                reasons.add("unknown")
        if ended and token not in self.retired:
            reasons.add(ended[0])
        if ended and self.swept_at >= ended[1] + FORGOTTEN_AFTER[ended[0]]:
            reasons.add("unknown")
        return reasons

    def end(self, session: ModelSession, reason: str, now: int) -> None:
        """A session ends once, and an expired one has ended by itself."""
        if session.ended is None:
            session.ended = (reason, now) if now < session.deadline else ("expired", session.deadline)

    def room_for(self, session: ModelSession | None, principal: str, now: int) -> bool:
        """Make room for one more session of the principal; False when the policy says no."""
        others = [each for each in self.of(principal, now) if each is not session]
        if not self.max_sessions or len(others) < self.max_sessions:
            return True
        if self.policy == "refuse":
            return False
        for each in others[: len(others) - self.max_sessions + 1]:
            self.end(each, "revoked", now)
        return True

    def apply(self, session: ModelSession, changes: Iterable[AnyChange]) -> None:
        """Apply changes to copies, then all at once. Raises Refused."""
        data, flashes = dict(session.data), list(session.flashes)
        lifetimes, chosen, changed = session.lifetimes, session.chosen, False
        for change in changes:
            before = repr(data)
            if isinstance(change, Set):
                data[change.key] = change.value
            elif isinstance(change, Unset):
                data.pop(change.key, None)
            elif isinstance(change, Clear):
                data.clear()
            elif isinstance(change, Increment):
                if not isinstance(data.get(change.key, 0), int):
                    raise Refused
                data[change.key] = data.get(change.key, 0) + change.by
            elif isinstance(change, Append):
                if not isinstance(data.get(change.key, []), list):
                    raise Refused
                data[change.key] = [*data.get(change.key, []), change.item][-(change.limit or 10**9) :]
            elif isinstance(change, SetLifetimes):
                lifetimes, chosen = change.lifetimes, True
            elif isinstance(change, PushFlash):
                flashes = [*flashes, change.flash][-self.max_flashes :]
            changed = changed or repr(data) != before
        session.data, session.flashes, session.lifetimes, session.chosen = data, flashes, lifetimes, chosen
        session.version += changed

    def rotate(self, session: ModelSession, new: str, grace: float, now: int) -> None:
        """Another token; the old one is in grace or retired."""
        if grace:
            session.graces[session.token] = now + microseconds(grace)
        else:
            self.retired[session.token] = now
        session.token = new
        self.owner[new] = session.sid

    def end_graces(self, session: ModelSession, now: int) -> None:
        """What a login does."""
        self.retired.update(dict.fromkeys(session.graces, now))
        session.graces.clear()
