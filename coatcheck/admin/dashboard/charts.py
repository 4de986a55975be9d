"""Charts as numbers: what a template needs to draw them as SVG, and what is said about them in words.

A plot is stretched to the width that it is given, so text is never part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

WIDTH: Final = 600
HEIGHT: Final = 100
_ROWS: Final = 8


@dataclass(frozen=True)
class Series:
    """One line."""

    name: str
    values: Sequence[float | None]
    """As many as there are moments; None: not known."""


@dataclass(frozen=True)
class Line:
    """A line as it is drawn."""

    name: str
    path: str
    """Of an SVG ``path``."""
    area: str
    """The same, closed at the bottom."""
    latest: str
    number: int
    """1, 2, ...: which colour and which dashes."""


@dataclass(frozen=True)
class Chart:
    """Everything about one chart."""

    name: str
    """An id."""
    title: str
    lines: tuple[Line, ...]
    ticks: tuple[str, ...]
    """From the top down."""
    begin: str
    summary: str
    """What it shows, for those who do not see it."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The same as a table, newest first."""

    @property
    def filled(self) -> bool:
        """A single line is drawn with its area."""
        return len(self.lines) == 1


def chart(
    name: str,
    title: str,
    moments: Sequence[float],
    series: Sequence[Series],
    *,
    text: Callable[[float | None], str],
    smallest_top: float = 1.0,
) -> Chart:
    """Draw ``series`` over ``moments`` (seconds UTC, ascending).

    ``smallest_top``: what the scale reaches at least, so that noise around zero does not look like mountains.
    """
    known = [value for each in series for value in each.values if value is not None]
    top = nice_top(max([smallest_top, *known]))
    lines = tuple(
        Line(
            each.name,
            *_path(moments, each.values, top),
            latest=text(each.values[-1] if each.values else None),
            number=index,
        )
        for index, each in enumerate(series, 1)
    )
    return Chart(
        name,
        title,
        lines,
        ticks=(text(top), text(top / 2), text(0.0)),
        begin=_span(moments),
        summary=_summary(title, moments, series, text),
        header=("Time (UTC)", *(each.name for each in series)),
        rows=tuple(_rows(moments, series, text)),
    )


def nice_top(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if value <= step * power * 1.0000001)


def _path(moments: Sequence[float], values: Sequence[float | None], top: float) -> tuple[str, str]:
    """A path with gaps where values are not known, and the same closed at the bottom."""
    if not moments:
        return "", ""
    first, span = moments[0], max(1e-9, moments[-1] - moments[0])
    parts: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(moments, values, strict=True):
        if value is None:
            parts.append([])
        else:
            y = HEIGHT - min(1.0, max(0.0, value / top)) * HEIGHT
            parts[-1].append((round((at - first) / span * WIDTH, 1), round(y, 1)))
    drawn = [part for part in parts if part]
    line = "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in part) for part in drawn)
    area = "".join(
        f"M{part[0][0]:g} {HEIGHT}L" + "L".join(f"{x:g} {y:g}" for x, y in part) + f"L{part[-1][0]:g} {HEIGHT}Z"
        for part in drawn
    )
    return line, area


def _span(moments: Sequence[float]) -> str:
    seconds = moments[-1] - moments[0] if moments else 0.0
    return f"{seconds / 60:.0f} min ago" if seconds >= 90 else f"{seconds:.0f} s ago"


def _summary(
    title: str, moments: Sequence[float], series: Sequence[Series], text: Callable[[float | None], str]
) -> str:
    parts = []
    for each in series:
        known = [value for value in each.values if value is not None]
        if known:
            parts.append(f"{each.name}: now {text(each.values[-1])}, least {text(min(known))}, most {text(max(known))}")
        else:
            parts.append(f"{each.name}: not known yet")
    return f"{title}, since {_span(moments)}. {'; '.join(parts)}."


def _rows(
    moments: Sequence[float], series: Sequence[Series], text: Callable[[float | None], str]
) -> list[tuple[str, ...]]:
    step = max(1, len(moments) // _ROWS)
    chosen = range(len(moments) - 1, -1, -step)
    return [
        (
            f"{datetime.fromtimestamp(moments[index], timezone.utc):%H:%M:%S}",
            *(text(each.values[index]) for each in series),
        )
        for index in list(chosen)[:_ROWS]
    ]
