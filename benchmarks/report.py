"""Results for people (tables on stdout) and for programs (JSON)."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.budgets import Row
from benchmarks.samples import Summary

_LIBRARIES = ("coatcheck", "lmdb", "msgpack", "thespian", "flask", "flask-session", "msgspec", "redis", "hiredis")


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a head: the first column to the left, numbers to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        first = line[0].ljust(widths[0])
        rest = (text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))
        print("  " + "  ".join([first, *rest]).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def durations(title: str, found: Iterable[tuple[str, Summary, str]], note: str = "") -> None:
    """Print medians and tails (microseconds) with one more column under the head ``note``, such as a ratio."""
    head = ("", "p50 us", "p90 us", "p99 us", "max us", "count", note)
    table(
        title,
        head,
        (
            (name, f"{s.p50:.1f}", f"{s.p90:.1f}", f"{s.p99:.1f}", f"{s.max:.0f}", f"{s.count:,}", noted)
            for name, s, noted in found
        ),
    )


def budgets(rows: Sequence[Row]) -> None:
    """Print what the design needs beside what was seen."""
    table(
        "Budgets (see README.md before quoting a number)",
        ("what", "needed", "seen", "met"),
        ((row.what, _need(row), _seen(row), "yes" if row.met else "NO") for row in rows),
    )


def _need(row: Row) -> str:
    return f"{'at least' if row.at_least else 'at most'} {row.need:,g}{row.unit}"


def _seen(row: Row) -> str:
    return f"{row.value:,.2f}{row.unit}" if isinstance(row.seen, float) else str(row.seen)


def machine() -> dict[str, Any]:
    """Where it ran, as far as that explains a number: no names, no paths."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def print_machine(found: dict[str, Any]) -> None:
    """One line about the machine, and a warning when it has other work to do."""
    libraries = ", ".join(f"{name} {version}" for name, version in found["libraries"].items())
    print(f"Python {found['python']} on {found['system']} {found['processor']}, {found['cpus']} CPUs; {libraries}")
    load = found["load_average"][0]
    if load > 0.5:
        print(f"Warning: the load average is {load}: something else runs here, tails and maxima mean little.")


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write the whole result into a file, if one was asked for."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n")
