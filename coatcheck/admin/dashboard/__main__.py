"""``python -m coatcheck.admin.dashboard``: the dashboard by itself, a link into it, a line of its password file."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from coatcheck.errors import CoatcheckError
from coatcheck.settings import Settings

_MISCONFIGURED = 4
"""As the command line of the system has it."""


def parser() -> argparse.ArgumentParser:
    """All arguments."""
    made = argparse.ArgumentParser(prog="python -m coatcheck.admin.dashboard", description="coatcheck's dashboard.")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="serve it until Ctrl-C; `serve --dashboard` of the system does the same")
    link = commands.add_parser("link", help="print a link that signs in once, to a dashboard that runs")
    password = commands.add_parser("password", help="write a line of the password file; asks for the password")
    for each in (serve, link):
        each.add_argument("--home", help="the state directory (default: COATCHECK_HOME)")
    add_arguments(serve, "")
    serve.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--no-link", action="store_true", help="print no link to sign in with")
    password.add_argument("file", type=Path, help="the file; made when it is not there")
    password.add_argument("name", help="who signs in with it")
    return made


def add_arguments(to: argparse.ArgumentParser | argparse._ArgumentGroup, prefix: str) -> None:
    """What the dashboard takes, also from the command line of the system, where names begin with ``dashboard-``."""
    to.add_argument(f"--{prefix}host", help="the address to listen on (127.0.0.1)")
    to.add_argument(f"--{prefix}port", type=int, help="the port to listen on (8929); 0: any free one")
    to.add_argument(f"--{prefix}url", help="what browsers ask for where a proxy with TLS stands in front")
    to.add_argument(f"--{prefix}password-file", type=Path, help="who may sign in with a password")


def main(argv: Sequence[str] | None = None) -> int:
    """Do it; the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return _run(arguments)
    except CoatcheckError as error:
        print(f"coatcheck: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return _MISCONFIGURED


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "password":
        return _password(arguments.file, arguments.name)
    from coatcheck.admin.dashboard import serving

    if arguments.command == "link":
        print(serving.new_link(Settings.load(arguments.home).home))  # noqa: T201 - the answer
        return 0
    if arguments.parent is not None:
        from coatcheck.system.process import end_with_parent

        os.setpgid(0, 0)  # Ctrl-C is for the parent, which ends this process in its turn
        if not end_with_parent(arguments.parent):
            return 1
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    given = {name: getattr(arguments, name) for name in ("host", "port", "url", "password_file")}
    options = serving.Options(**{name: value for name, value in given.items() if value is not None})
    serving.serve(Settings.load(arguments.home, lane="direct"), options, link=not arguments.no_link)
    return 0


def _password(file: Path, name: str) -> int:
    from coatcheck.admin.dashboard.passwords import set_password

    password = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("Once more: ") != password:
        print("coatcheck: these are two different passwords", file=sys.stderr)  # noqa: T201
        return 1
    set_password(file, name, password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
