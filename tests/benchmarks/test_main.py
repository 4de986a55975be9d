"""``python -m benchmarks``: what it says before anything is measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("missing", ["redis", "flask_session", "flask"])
def test_without_the_extra_it_says_what_to_type(missing: str) -> None:
    """A virtual environment without the extra ``test`` gets the line to type and exit code 2, no traceback."""
    hide = f"import sys; sys.modules[{missing!r}] = None"
    program = f"{hide}; from benchmarks.__main__ import main; sys.exit(main(['api']))"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    assert ended.stderr == f"benchmarks: {missing} is not installed: pip install -e '.[test]'\n"
