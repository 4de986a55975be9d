"""What is made of the reports of actors, without a system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coatcheck.admin.reading.system_health import findings_of
from coatcheck.settings import Settings
from coatcheck.system.status import SystemStatus


def found(home: Path, **details: Any) -> dict[str, tuple[str, str]]:
    """Severity and text by code, where the actor for Redis reports so."""
    rows = [
        {"actor": "runner", "pid": 1, "state": "alive"},
        {"actor": "RedisPersistence", "pid": 2, "state": "alive", "details": details},
    ]
    status = SystemStatus(home, actors=rows)
    return {each.code: (each.severity, each.what) for each in findings_of(Settings(home=home), status)}


@pytest.mark.parametrize(("mode", "severity"), [("standby", "warning"), ("shared", "critical")])
def test_redis_is_down(home: Path, mode: str, severity: str) -> None:
    """A standby host goes on without it, a shared one cannot write."""
    said = found(home, mode=mode, error="Redis cannot be reached: refused", findings=[])

    assert said == {"redis-down": (severity, "Redis cannot be asked: Redis cannot be reached: refused")}


def test_what_is_wrong_with_a_redis(home: Path) -> None:
    """What its own look has found is passed on, as severe as it is."""
    findings = [
        {"code": "eviction", "severe": True, "text": "it evicts"},
        {"code": "clock", "severe": False, "text": "x"},
    ]
    said = found(home, mode="standby", error=None, findings=findings)

    assert said == {"redis-eviction": ("critical", "it evicts"), "redis-clock": ("warning", "x")}
    assert found(home, mode="standby", error=None, findings=[]) == {}


def test_long_queues_and_strangers(home: Path) -> None:
    """Writes that wait, and messages that were not sealed."""
    assert set(found(home, writes_waiting=100, dropped_frames=1)) == {"queue-long", "foreign-frames"}
    assert found(home, writes_waiting=99, dropped_frames=0) == {}
