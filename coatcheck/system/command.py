"""The command line of ``run_system.py`` and ``python -m coatcheck.system``.

Exit codes: 0 stopped as asked; 2 wrong arguments; 3 another process runs the system of this state directory; 4 the
settings, the files or their permissions cannot work; 5 the actor system did not come up; 6 somebody has the store open,
or it is full, so that it was not changed; 7 no actor system runs here, or it does not serve sessions; 8 a check found
something.
"""

from __future__ import annotations

import argparse
import logging.config
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import coatcheck
from coatcheck.errors import CoatcheckError, ConfigurationError
from coatcheck.settings import RedisMode, Settings
from coatcheck.store.policy import CHANGEABLE
from coatcheck.system.files import SystemRuns, lock_system

OTHER_RUNS: Final = 3
MISCONFIGURED: Final = 4
NOT_STARTED: Final = 5
IN_USE: Final = 6
NOT_SERVING: Final = 7
UNSOUND: Final = 8

_ON_THE_STORE: Final = ("change", "check", "backup", "compact", "restore", "reseal")
_WITH_DIRECTORY: Final = {"backup": "a new directory to write to", "restore": "the directory of a backup"}


def _parser(program: str) -> argparse.ArgumentParser:
    """The arguments of all commands."""
    parser = argparse.ArgumentParser(prog=program, description="Run coatcheck's actor system in the foreground.")
    commands = parser.add_argument_group("commands")
    commands.add_argument(
        "command",
        nargs="?",
        choices=("serve", "demo", "status", *_ON_THE_STORE),
        default="serve",
        help="serve (default): run the actor system of a state directory; demo: the same, and a small shop on it; "
        "status: ask the system that runs how it is; check: compare all records with all indexes; backup DIR: copy the "
        "store; reseal: seal everything under the newest encryption key; and while nobody has it open restore DIR: put "
        "a backup in its place; compact: give free pages back; change NAME=VALUE: give it other limits, or encrypt it",
    )
    commands.add_argument(
        "operands",
        nargs="*",
        metavar="OPERAND",
        help=f"backup, restore: DIR; change: {', '.join(CHANGEABLE)}, encryption",
    )
    parser.add_argument("--home", help="the state directory (default: COATCHECK_HOME; demo: demo-state)")
    parser.add_argument("--port", type=int, help="serve: of the actor system (default: any); demo: of the shop (8000)")
    parser.add_argument("--bind", help="serve: the address to listen on (127.0.0.1); any other has its risks")
    parser.add_argument("--redis-url", help="serve: where Redis is (COATCHECK_REDIS_URL, which no other process sees)")
    parser.add_argument("--redis", choices=get_args(RedisMode), help="serve: what Redis is for: standby or shared")
    parser.add_argument("--lane", choices=("direct", "actor"), help="demo: how the shop reaches its sessions (direct)")
    parser.add_argument("--json", action="store_true", help="status: one JSON object instead of lines")
    parser.add_argument("--timeout", type=float, help="status: seconds for all answers (3)")
    parser.add_argument(
        "--end-unreadable",
        action="store_true",
        help="reseal: end sessions that cannot be opened, as their key is lost",
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="how to log to stderr")
    parser.add_argument("--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; the exit code."""
    name = Path(sys.argv[0]).name
    parser = _parser("python -m coatcheck.system" if name == "__main__.py" else name)
    arguments = parser.parse_intermixed_args(argv)
    _check_operands(parser, arguments)
    if arguments.command != "status" and (arguments.json or arguments.timeout is not None):
        parser.error("--json and --timeout go with 'status'; the log is JSON with --log-format json")
    if arguments.end_unreadable and arguments.command != "reseal":
        parser.error("--end-unreadable goes with 'reseal'")
    if arguments.timeout is not None and not arguments.timeout > 0:
        parser.error("--timeout is a number of seconds above 0")
    try:
        return _run(arguments)
    except SystemRuns as error:
        return _complain(error, OTHER_RUNS)
    except ConfigurationError as error:
        return _complain(error, MISCONFIGURED)
    except CoatcheckError as error:
        return _complain(error, IN_USE if arguments.command in _ON_THE_STORE else NOT_STARTED)


def _check_operands(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    command, operands = arguments.command, arguments.operands
    if command == "change":
        if not operands:
            parser.error("change takes NAME=VALUE, at least one")
    elif command in _WITH_DIRECTORY:
        if len(operands) != 1:
            parser.error(f"{command} takes {_WITH_DIRECTORY[command]}")
    elif operands:
        parser.error(f"{command} takes no {operands[0]!r}")


def _run(arguments: argparse.Namespace) -> int:
    """The command of these arguments; its exit code."""
    if arguments.command in _ON_THE_STORE:
        return _on_the_store(arguments)
    if arguments.command == "status":
        return status(Settings.load(arguments.home), timeout=arguments.timeout or 3.0, as_json=arguments.json)
    if arguments.command == "demo":
        from coatcheck.system.demo import demo

        return demo(arguments.home or "demo-state", lane=arguments.lane or "direct", port=arguments.port or 8000)
    settings = Settings.load(
        arguments.home,
        port=arguments.port,
        bind=arguments.bind,
        redis_url=arguments.redis_url,
        redis=arguments.redis,
    )
    return serve(settings, level=arguments.log_level, as_json=arguments.log_format == "json")


def _on_the_store(arguments: argparse.Namespace) -> int:
    from coatcheck.system import store_commands

    settings = Settings.load(arguments.home)
    if arguments.command == "change":
        return store_commands.change(settings, arguments.operands)
    if arguments.command == "backup":
        return store_commands.backup(settings, arguments.operands[0])
    if arguments.command == "restore":
        return store_commands.restore_from(settings, arguments.operands[0])
    if arguments.command == "compact":
        return store_commands.compact(settings)
    if arguments.command == "reseal":
        return 0 if store_commands.reseal(settings, end_unreadable=arguments.end_unreadable) else UNSOUND
    return 0 if store_commands.check(settings) else UNSOUND


def status(settings: Settings, *, timeout: float, as_json: bool) -> int:
    """Show how the actor system of these settings is, and whether it serves sessions."""
    from coatcheck.system.status import look

    found = look(settings, timeout)
    shown = found.as_json() if as_json else found.as_text()
    if shown:
        print(shown, flush=True)  # noqa: T201 - the answer
    return 0 if found.problem is None else _complain(found.problem, NOT_SERVING)


def serve(settings: Settings, *, level: str = "INFO", as_json: bool = False) -> int:
    """Run the actor system of these settings until SIGTERM or SIGINT."""
    if sys.platform != "linux":
        msg = f"the actor system runs on Linux, not on {sys.platform}: use the direct lane here"
        raise ConfigurationError(msg)
    descriptor = lock_system(settings.home)
    try:
        from coatcheck.system import logs
        from coatcheck.system.runner import Runner

        definitions = logs.definitions(level, as_json=as_json)
        logging.config.dictConfig(definitions)
        Runner(settings, definitions, lambda port: _announce(settings, port)).run()
    finally:
        os.close(descriptor)
    return 0


def _announce(settings: Settings, port: int) -> None:
    home = settings.home
    lines = (
        f"coatcheck {coatcheck.__version__} runs on {home}",
        f"  join it   coatcheck.connect({str(home)!r}, lane='actor')",
        f"  it is     process {os.getpid()}, listening on {settings.bind}:{port} for those who have its secret",
        f"  stop it   Ctrl-C, or: kill {os.getpid()}",
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - for whoever started it


def _complain(error: object, code: int) -> int:
    print(f"coatcheck: {error}", file=sys.stderr, flush=True)  # noqa: T201
    return code
