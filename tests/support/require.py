"""What a test needs of the machine: skipped at home, failed in CI."""

from __future__ import annotations

import os

import pytest


def require(available: object, what: str) -> None:
    """Go on when ``available``; else skip the test, or fail it when ``CI`` is set, where nothing may be missing."""
    if available:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")
