"""Findings: what is wrong, how bad that is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["info", "warning", "critical"]
Verdict = Literal["ok", "warning", "critical"]

_RANKS: Final[dict[str, int]] = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should know."""

    code: str
    """A short name that stays the same, such as ``sweep-behind``: for programs, and for docs/cli.md."""

    severity: Severity
    """``critical``: sessions are not served, or may be lost; ``warning``: it will not do so for ever; ``info``."""

    what: str
    """What was found, with its evidence. No token, no data."""

    remedy: str
    """What to do."""


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst of them; ``info`` is ok."""
    severities = {each.severity for each in findings}
    if "critical" in severities:
        return "critical"
    return "warning" if "warning" in severities else "ok"


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Ordered for whoever reads only the first."""
    return tuple(sorted(findings, key=lambda each: _RANKS[each.severity]))
