"""``python -m benchmarks NAME [options]``."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

NAMES: Final = {
    "api": "load and save through Flask, coatcheck beside Flask-Session on Redis and Flask's signed cookie",
    "http": "requests a second of Flask, Django and Starlette with a load generator, beside their usual sessions",
    "processes": "several processes at a fixed rate: medians and tails beside Redis",
    "scale": "1,000,000 sessions beside 10,000: load, save, restart",
    "sweep": "how fast expired sessions go while another process loads and saves",
    "after-expiry": "saves of large sessions before and after most of a big store has expired",
    "lanes": "the actor lane's authenticated wire beside a bare Thespian echo of the same size",
    "sync-points": "what saves cost more because a power loss must not cost more than a second",
    "forged": "what a forged token costs",
}
"""The benchmarks and the question that each one answers."""

NOT_INSTALLED: Final = 2
"""The exit code where a library is missing, as for arguments that cannot be."""


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark; 0, or 1 with a line on stderr when a server or the room for it is missing, 2 for a library."""
    try:
        parser = _parser()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "benchmarks", "coatcheck"):
            raise
        print(f"benchmarks: {error.name} is not installed: pip install -e '.[test]'", file=sys.stderr)
        return NOT_INSTALLED
    options = parser.parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("COATCHECK_")]:
        # A variable that is meant for an application must not change what is measured.
        del os.environ[name]

    from benchmarks import report
    from benchmarks.seeding import DiskTooSmall
    from benchmarks.servers import ServerMissing, interrupt_on_term

    interrupt_on_term()
    if options.dir is not None:
        options.dir.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="coatcheck-benchmark-", dir=options.dir)).resolve()
    try:
        machine = report.machine()
        report.print_machine(machine)
        result: dict[str, Any] = {"benchmark": options.name, "machine": machine}
        result |= importlib.import_module(_module(options.name)).run(options, directory)
        report.write_json(options.json, result)
    except (ServerMissing, DiskTooSmall) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted; servers are stopped and files removed", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _module(name: str) -> str:
    return f"benchmarks.{name.replace('-', '_')}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="coatcheck's benchmarks")
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, question in NAMES.items():
        command = commands.add_parser(name, help=question, description=question)
        importlib.import_module(_module(name)).add_arguments(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write the result into this file too")
        command.add_argument("--dir", type=Path, help="where the state directories go (default: the temporary one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
