"""Tables and trees for people. What sessions, browsers and users are called is never taken for markup or a command."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coatcheck.admin.reading.words import printable

if TYPE_CHECKING:
    from coatcheck.admin.reading.findings import Finding
    from coatcheck.store.progress import Progress

WIDE: Final = 200
"""Columns where nobody sees a terminal: a line that is wrapped cannot be read by `grep`."""

_LOOK: Final = 0.1

STYLES: Final = {"critical": "bold red", "warning": "yellow", "info": "cyan", "ok": "green"}


def console(*, stderr: bool = False) -> Console:
    """Where people read."""
    made = Console(highlight=False, stderr=stderr, soft_wrap=False)
    return made if made.is_terminal else Console(highlight=False, stderr=stderr, width=WIDE)


def plain(text: object, style: str = "") -> Text:
    """A text as it is, without control characters."""
    return Text(printable(str(text)), style=style)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> Table:
    """A table; columns that are named in ``right`` are aligned there."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(each if isinstance(each, Text) else plain(each) for each in row))
    return made


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and values, one a line."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(plain(name), value if isinstance(value, Text) else plain(value))
    return made


def show_findings(to: Console, findings: Iterable[Finding]) -> None:
    """What was found, and below each what to do."""
    for each in findings:
        line = Text.assemble(
            (f"{each.severity:<8} ", STYLES[each.severity]), (each.code, "bold"), ": ", plain(each.what)
        )
        to.print(line, soft_wrap=True)
        to.print(Text("         -> ").append_text(plain(each.remedy)), soft_wrap=True)


@contextmanager
def bar(progress: Progress, *, shown: bool) -> Iterator[None]:
    """Inside, a bar on stderr shows how far some work is; where nobody sees it, nothing."""
    to = console(stderr=True)
    if not shown or not to.is_terminal:
        yield
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, console=to, transient=True) as drawn:
        task = drawn.add_task("", total=None)
        over = threading.Event()

        def look() -> None:
            while not over.wait(_LOOK):
                stage, done, total = progress.look()
                drawn.update(
                    task, description=stage, completed=min(done, total) if total else done, total=total or None
                )

        looking = threading.Thread(target=look, name="coatcheck-progress", daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()
