"""What visitors did and what they were told: the only witness, since everything else is killed."""

from __future__ import annotations

import enum
import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class Outcome(enum.Enum):
    """How a request ended, as its sender sees it."""

    CONFIRMED = "confirmed"
    """Answered: what it says is so."""

    UNKNOWN = "unknown"
    """An error said that it could not be done, or not whether it was; the process that worked on it lives on."""

    BROKEN = "broken"
    """The connection broke: the process that worked on it was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request."""

    mark: str
    """Of the session it belongs to; no two sessions have the same."""

    verb: str
    """``enter``, ``add``, ``flash``, ``show``, ``read`` or ``leave``."""

    outcome: Outcome
    """How it ended."""

    number: int = 0
    """Of the thing that it wrote; no two have the same."""

    tab: int = 0
    """Which of the session's tabs sent it; each sends one after the other."""

    answer_mark: str | None = None
    """The mark in the answer; None where the answer had no session."""

    shown: tuple[int, ...] = ()
    """The numbers of the flashes in the answer."""

    began: float = 0.0
    """Monotonic seconds."""

    ended: float = 0.0
    """Monotonic seconds."""

    via: str = ""
    """Over which lane."""

    pid: int = 0
    """The process that answered; 0 where nobody did."""

    remark: str = ""
    """What else there was: status, text of the error."""

    wrong: str = ""
    """What must not be, where whoever asked saw it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A process was killed."""

    kind: str
    """What it was."""

    pid: int
    """Its number."""

    at: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is in the store at the end, of one session."""

    data: dict[str, Any]
    """Its data: ``mark``, ``count``, ``seen`` and one ``slot`` for each tab."""

    flashes: Sequence[int] = ()
    """The numbers of the flashes in its mailbox."""


@dataclass
class Ledger:
    """All entries of a run. Safe for threads."""

    entries: list[Entry] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    """By mark; of those sessions that were confirmed."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()

    def number(self) -> int:
        """A number that nothing else has."""
        with self._turn:
            return next(self._numbers)

    def note(self, entry: Entry) -> Entry:
        """Write it down."""
        with self._turn:
            self.entries.append(entry)
        return entry

    def killed(self, kind: str, pid: int) -> None:
        """Write down that a process was killed, now."""
        with self._turn:
            self.kills.append(Kill(kind=kind, pid=pid, at=time.monotonic()))

    def outcomes(self) -> Counter[Outcome]:
        """How many requests ended how."""
        return Counter(each.outcome for each in self.entries)
