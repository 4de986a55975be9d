"""The command: ``python -m tests.chaos --minutes 5``; exit code 0 when all promises were kept, 1 when not."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import chaos


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Kill web workers, actors and run_system.py under load; see whether every promise was kept.",
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: 1)")
    parser.add_argument("--seed", type=int, help="of what is left to chance (default: another one each time)")
    parser.add_argument("--keep", action="store_true", help="leave the state directory and the logs where they are")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    place = Path(tempfile.mkdtemp(prefix="coatcheck-chaos-"))
    report = chaos(place, arguments.minutes * 60, seed)
    print("\n".join(report.lines()), flush=True)
    if report.good and not arguments.keep:
        shutil.rmtree(place)
    else:
        print(f"state and logs are in {place}")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
