"""Thespian, put right for a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.system.running import ROOT

COMPLAIN = """
import logging, os
os.umask(0)
from coatcheck.system import prepared
from thespian.system.utilis import thesplog
for _ in range(400):
    thesplog("x" * 200, level=logging.ERROR)
"""


def test_thespians_own_log_is_for_its_owner_only(tmp_path: Path) -> None:
    """Whatever the umask, the file is 0600, the rotated one too, and one that was there before becomes so."""
    log = tmp_path / "thespian.log"
    log.write_text("of before\n")
    log.chmod(0o644)
    environ = {"THESPLOG_FILE": str(log), "THESPLOG_FILE_MAXSIZE": "65536"}
    subprocess.run([sys.executable, "-c", COMPLAIN], cwd=ROOT, env=environ, check=True, timeout=60)

    old = log.with_name("thespian.log.old")
    assert old.read_text().startswith("of before\n")
    assert [each.stat().st_mode & 0o777 for each in (log, old)] == [0o600, 0o600]


LAZY = """
class Lazy:
    asked = 0
    @property
    def __class__(self):
        type(self).asked += 1
        raise LookupError("somebody has asked")
keep = Lazy()
from coatcheck.system import prepared
print(Lazy.asked)
"""


def test_looking_for_foreign_systems_wakes_no_lazy_object() -> None:
    """The settings of Django, or a user that it would load from the database, are such objects."""
    done = subprocess.run(
        [sys.executable, "-c", LAZY], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "0\n"
