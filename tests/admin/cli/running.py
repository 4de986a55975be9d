"""``coatcheck`` as a process of its own, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "coatcheck.admin.cli")
PATIENCE = 60.0


@dataclass(frozen=True)
class Said:
    """What a command has said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one object."""
        return json.loads(self.out)


def coatcheck(home: Path, *arguments: object, stdin: str = "", **environ: str) -> Said:
    """Run a command on a state directory until it ends."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "COATCHECK_HOME": str(home), **environ},
        timeout=PATIENCE,
        check=False,
        cwd=ROOT,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def codes(said: Said) -> list[str]:
    """The codes of the findings of ``status --json``."""
    return [each["code"] for each in said.json["findings"]]
