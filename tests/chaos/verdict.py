"""Whether what visitors were told is true, and what is in the store is what they were told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.ledger import Entry, Kill, Ledger, Left, Outcome

LATE = 10.0
"""Seconds for which a request that was sent before its sender was killed may still be carried out."""

AROUND = 5.0
"""Seconds before a connection broke in which a worker must have been killed: its master may take as long to end it."""

GIVEN_BACK_WITHIN = 50.0
"""Seconds in which a process that could not show what it took tries to give it back."""


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    what: str
    mark: str
    text: str
    evidence: Sequence[Entry | Kill] = ()


def judge(ledger: Ledger, left: Mapping[str, Left | None]) -> list[Finding]:
    """Everything that must not be. ``left``: by mark, what the store has of each session; None: no such session."""
    by_mark: dict[str, list[Entry]] = defaultdict(list)
    for each in sorted(ledger.entries, key=lambda entry: entry.ended):
        by_mark[each.mark].append(each)
    findings = [*_broken_without_a_kill(ledger)]
    for mark, entries in by_mark.items():
        findings += _answers(mark, entries)
        if mark in left:
            findings += _session(mark, entries, left[mark], ledger.kills)
    return findings


def _answers(mark: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Nobody gets another's session, an empty one instead of his own, or one that has ended."""
    entered = [each.ended for each in entries if each.verb == "enter" and each.outcome is Outcome.CONFIRMED]
    leaving = [each for each in entries if each.verb == "leave"]
    for each in entries:
        if each.wrong:
            yield Finding("wrong answer", mark, each.wrong, [each])
        if each.outcome is not Outcome.CONFIRMED:
            continue
        if each.answer_mark not in (mark, None):
            yield Finding("another's session", mark, f"an answer had the session {each.answer_mark}", [each])
        if each.verb in {"enter", "leave"} or not entered:
            continue
        if each.answer_mark is None and not any(other.began < each.ended for other in leaving):
            yield Finding("session lost", mark, "an answer had no session", [each])
        gone = [other for other in leaving if other.outcome is Outcome.CONFIRMED and other.ended < each.began]
        if each.answer_mark is not None and gone:
            yield Finding("session came back", mark, "an answer had a session that had ended", [gone[0], each])


def _session(mark: str, entries: Sequence[Entry], left: Left | None, kills: Sequence[Kill]) -> Iterator[Finding]:
    leaving = [each for each in entries if each.verb == "leave"]
    confirmed = [each for each in leaving if each.outcome is Outcome.CONFIRMED]
    if left is None:
        if not leaving:
            yield Finding("session lost", mark, "the store has no such session", entries[:1])
        return
    if confirmed:
        yield Finding("session came back", mark, "the store has a session that had ended", confirmed)
        return
    if left.data.get("mark") != mark:
        yield Finding(
            "another's session", mark, f"the store has {left.data.get('mark')!r} under its token", entries[:1]
        )
        return
    yield from _writes(mark, entries, left)
    yield from _slots(mark, entries, left)
    yield from _flashes(mark, entries, left, kills)


def _writes(mark: str, entries: Sequence[Entry], left: Left) -> Iterator[Finding]:
    """What was confirmed is there, once; what is there was asked for; a save is applied as a whole."""
    writes = {each.number: each for each in entries if each.verb == "add"}
    seen = Counter(left.data.get("seen", []))
    for number, each in writes.items():
        if each.outcome is Outcome.CONFIRMED and not seen[number]:
            yield Finding("write lost", mark, f"{number} was confirmed and is not there", [each])
        if seen[number] > 1:
            yield Finding("write applied twice", mark, f"{number} is there {seen[number]} times", [each])
    for number in seen.keys() - writes.keys():
        yield Finding("foreign write", mark, f"{number} was written elsewhere")
    count = left.data.get("count", 0)
    least = sum(each.outcome is Outcome.CONFIRMED for each in writes.values())
    if not least <= count <= len(writes):
        text = f"{least} increments were confirmed, {len(writes)} asked for: the count is {count}"
        yield Finding("increments do not add up", mark, text)
    if count != sum(seen.values()):
        yield Finding("half a save", mark, f"the count is {count}, but {sum(seen.values())} numbers are there")


def _slots(mark: str, entries: Sequence[Entry], left: Left) -> Iterator[Finding]:
    """The last save of a key wins: each tab has a key of its own."""
    tabs: dict[int, list[Entry]] = defaultdict(list)
    for each in entries:
        if each.verb == "add":
            tabs[each.tab].append(each)
    for tab, writes in tabs.items():
        certain = [each for each in writes if each.outcome is Outcome.CONFIRMED]
        last = certain[-1] if certain else None
        allowed = {last.number if last else None}
        since = last.began - LATE if last else 0.0
        allowed |= {each.number for each in writes if each.outcome is not Outcome.CONFIRMED and each.ended >= since}
        found = left.data.get(f"slot{tab}")
        if found not in allowed:
            text = f"tab {tab} wrote {' or '.join(map(str, allowed))} last, there is {found}"
            yield Finding("write lost", mark, text, writes)


def _flashes(mark: str, entries: Sequence[Entry], left: Left, kills: Sequence[Kill]) -> Iterator[Finding]:
    """Each flash is shown once; lost only with a process that was killed before it could show it or give it back."""
    added = {each.number: each for each in entries if each.verb == "flash"}
    shows = [each for each in entries if each.verb == "show"]
    shown: dict[int, list[Entry]] = defaultdict(list)
    for each in shows:
        for number in each.shown:
            shown[number].append(each)
    waiting = Counter(left.flashes)
    for number in (shown.keys() | waiting.keys()) - added.keys():
        yield Finding("foreign flash", mark, f"flash {number} was added elsewhere", shown[number])
    for number, each in added.items():
        times = len(shown[number]) + waiting[number]
        if times > 1:
            text = f"flash {number} was shown {len(shown[number])} times and waits {waiting[number]} times"
            yield Finding("flash shown twice", mark, text, [each, *shown[number]])
        if times == 0 and each.outcome is Outcome.CONFIRMED:
            if any(_had_to_lose(other, kills) and other.ended > each.began for other in shows):
                continue
            later = [other for other in shows if other.ended > each.began and other.outcome is not Outcome.CONFIRMED]
            yield Finding("flash lost", mark, f"flash {number} was confirmed and never shown", [each, *later])


def _had_to_lose(show: Entry, kills: Sequence[Kill]) -> bool:
    """Whether what it took was in a process that was killed: with the answer, or while the store was away after it."""
    if show.outcome is not Outcome.UNKNOWN:
        return show.outcome is Outcome.BROKEN
    return any(kill.pid == show.pid and 0 <= kill.at - show.ended < GIVEN_BACK_WITHIN for kill in kills)


def _broken_without_a_kill(ledger: Ledger) -> Iterator[Finding]:
    """A connection breaks only because a worker was killed: else losing a flash would have no excuse."""
    killed = [each.at for each in ledger.kills if each.kind.startswith("worker")]
    for each in ledger.entries:
        if each.outcome is not Outcome.BROKEN:
            continue
        if not any(each.began - AROUND < at < each.ended + 1.0 for at in killed):
            yield Finding("connection broke by itself", each.mark, each.remark, [each])
