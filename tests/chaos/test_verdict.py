"""The verdict can fail: each thing that must not be, written into a ledger that is good without it, is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.ledger import Entry, Kill, Ledger, Left, Outcome
from tests.chaos.run import Report, of_ours
from tests.chaos.verdict import judge

CONFIRMED, UNKNOWN, BROKEN = Outcome.CONFIRMED, Outcome.UNKNOWN, Outcome.BROKEN

GOOD = [
    Entry(mark="m", verb="enter", outcome=CONFIRMED, answer_mark="m", began=0, ended=1),
    Entry(mark="m", verb="add", outcome=CONFIRMED, number=1, answer_mark="m", began=1, ended=2),
    Entry(mark="m", verb="add", outcome=UNKNOWN, number=2, began=2, ended=3),
    Entry(mark="m", verb="add", outcome=CONFIRMED, number=3, answer_mark="m", began=3, ended=4),
    Entry(mark="m", verb="flash", outcome=CONFIRMED, number=4, answer_mark="m", began=4, ended=5),
    Entry(mark="m", verb="flash", outcome=CONFIRMED, number=5, answer_mark="m", began=5, ended=6),
    Entry(mark="m", verb="show", outcome=CONFIRMED, answer_mark="m", shown=(4,), began=5, ended=6),
    Entry(mark="m", verb="read", outcome=CONFIRMED, answer_mark="m", began=6, ended=7),
]
LEFT = Left(data={"mark": "m", "count": 2, "seen": [1, 3], "slot0": 3}, flashes=[5])


def found(entries: list[Entry], left: Left | None, kills: tuple[Kill, ...] = ()) -> set[str]:
    """What the verdict finds."""
    ledger = Ledger(entries=entries, kills=list(kills))
    findings = judge(ledger, {"m": left})
    report = Report(1, 1.0, ledger, findings)
    assert report.good is not bool(findings)
    assert ("NOT KEPT" in "\n".join(report.lines())) is bool(findings)
    return {each.what for each in findings}


def data(**more: object) -> Left:
    """The good rest with other data."""
    return replace(LEFT, data={**LEFT.data, **more})


def test_a_good_ledger_is_good() -> None:
    """With what was unknown carried out, and without."""
    assert found(GOOD, LEFT) == set()
    assert found(GOOD, data(count=3, seen=[1, 2, 3])) == set()


@pytest.mark.parametrize(
    ("left", "what"),
    [
        (data(count=1, seen=[3]), {"write lost", "increments do not add up"}),
        (data(slot0=1), {"write lost"}),
        (data(count=3, seen=[1, 3, 3]), {"write applied twice"}),
        (data(count=2, seen=[1, 2, 3]), {"half a save"}),
        (data(count=3, seen=[1, 3, 9]), {"foreign write"}),
        (data(count=4), {"increments do not add up", "half a save"}),
        (replace(LEFT, flashes=[]), {"flash lost"}),
        (replace(LEFT, flashes=[4, 5]), {"flash shown twice"}),
        (replace(LEFT, flashes=[5, 5]), {"flash shown twice"}),
        (replace(LEFT, flashes=[5, 9]), {"foreign flash"}),
        (data(mark="other"), {"another's session"}),
        (None, {"session lost"}),
    ],
)
def test_a_store_that_has_something_else_is_found(left: Left | None, what: set[str]) -> None:
    """A write that is lost, doubled, halved or foreign; a flash likewise; a session that is another's or gone."""
    assert found(GOOD, left) == what


def test_a_flash_that_is_shown_twice_is_found() -> None:
    """In two answers."""
    again = Entry(mark="m", verb="show", outcome=CONFIRMED, answer_mark="m", shown=(4,), began=7, ended=8)

    assert found([*GOOD, again], LEFT) == {"flash shown twice"}


@pytest.mark.parametrize(("outcome", "what"), [(CONFIRMED, {"flash lost"}), (UNKNOWN, {"flash lost"}), (BROKEN, set())])
def test_only_a_killed_process_excuses_a_lost_flash(outcome: Outcome, what: set[str]) -> None:
    """Whoever took it and could not show it gives it back, unless it is killed before it could."""
    mark = "m" if outcome is CONFIRMED else None
    taken = Entry(mark="m", verb="show", outcome=outcome, answer_mark=mark, began=7, ended=8)
    kill = Kill(kind="worker of direct", pid=1, at=7.5)

    assert found([*GOOD, taken], replace(LEFT, flashes=[]), (kill,)) == what


@pytest.mark.parametrize(("pid", "at", "what"), [(7, 9.0, set()), (8, 9.0, {"flash lost"}), (7, 99.0, {"flash lost"})])
def test_who_is_killed_before_he_could_give_it_back_is_excused(pid: int, at: float, what: set[str]) -> None:
    """He, and not another one, and not later."""
    taken = Entry(mark="m", verb="show", outcome=UNKNOWN, pid=7, began=7, ended=8)

    assert found([*GOOD, taken], replace(LEFT, flashes=[]), (Kill(kind="worker of actor", pid=pid, at=at),)) == what


def test_a_show_that_broke_before_excuses_nothing() -> None:
    """It cannot have taken what was added later."""
    taken = Entry(mark="m", verb="show", outcome=BROKEN, began=2, ended=3)
    kill = Kill(kind="worker of direct", pid=1, at=2.5)

    assert found([*GOOD, taken], replace(LEFT, flashes=[]), (kill,)) == {"flash lost"}


@pytest.mark.parametrize("kind", [None, "manager"])
def test_a_connection_that_broke_without_a_killed_worker_is_found(kind: str | None) -> None:
    """Else it would excuse what nobody caused; an actor's end breaks no connection of a visitor."""
    kills = () if kind is None else (Kill(kind=kind, pid=1, at=7.5),)
    broken = Entry(mark="m", verb="read", outcome=BROKEN, began=7, ended=8)

    assert found([*GOOD, broken], LEFT, kills) == {"connection broke by itself"}


@pytest.mark.parametrize("verb", ["add", "read", "show", "leave", "enter"])
def test_another_users_session_is_found(verb: str) -> None:
    """Whatever was asked for."""
    foreign = Entry(mark="m", verb=verb, outcome=CONFIRMED, number=3, answer_mark="other", began=0, ended=1)
    entries = [*GOOD, foreign] if verb != "add" else [*(each for each in GOOD if each.number != 3), foreign]

    assert "another's session" in found(entries, LEFT)


def test_an_empty_session_instead_of_ones_own_is_found() -> None:
    """Slow or down is not logged out."""
    empty = Entry(mark="m", verb="read", outcome=CONFIRMED, answer_mark=None, began=7, ended=8)

    assert found([*GOOD, empty], LEFT) == {"session lost"}


def test_a_session_that_comes_back_is_found() -> None:
    """In an answer, or in the store; one whose end is unknown may be there or not."""
    left = Entry(mark="m", verb="leave", outcome=CONFIRMED, answer_mark="m", began=8, ended=9)
    late = Entry(mark="m", verb="read", outcome=CONFIRMED, answer_mark="m", began=10, ended=11)

    assert found([*GOOD, left], None) == set()
    assert found([*GOOD, left], LEFT) == {"session came back"}
    assert found([*GOOD, left, late], None) == {"session came back"}
    assert found([*GOOD, replace(left, outcome=UNKNOWN, answer_mark=None)], LEFT) == set()
    assert found([*GOOD, replace(left, outcome=UNKNOWN, answer_mark=None)], None) == set()


def test_what_was_wrong_at_once_is_found() -> None:
    """Such as an outage that touches the cookie."""
    wrong = Entry(mark="m", verb="read", outcome=UNKNOWN, wrong="an outage has touched the cookie", began=7, ended=8)

    assert found([*GOOD, wrong], LEFT) == {"wrong answer"}


NOT_BEGUN = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "/usr/lib/python3.11/multiprocessing/spawn.py", line 122, in spawn_main
    exitcode = _main(fd, parent_sentinel)
               ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/multiprocessing/spawn.py", line 130, in _main
    preparation_data = reduction.pickle.load(from_parent)
EOFError: Ran out of input
"""


def test_a_process_whose_parent_was_killed_before_it_began_is_no_finding() -> None:
    """Python says so itself; whatever else raises is still found, also right behind it."""
    assert of_ours(f"before\n{NOT_BEGUN}after\n") == "before\nafter\n"
    assert of_ours(NOT_BEGUN * 2) == ""
    for other in (
        NOT_BEGUN.replace("multiprocessing/spawn.py", "coatcheck/system/wire.py"),
        NOT_BEGUN.replace("EOFError: Ran out of input", "KeyError: 5"),
        NOT_BEGUN.replace("EOFError", '  File "/x/coatcheck/system/transport.py", line 3, in f\n    load()\nEOFError'),
    ):
        assert of_ours(NOT_BEGUN + other) == other
