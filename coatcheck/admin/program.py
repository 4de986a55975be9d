"""The command line itself: a table of commands, each of which is imported when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

import coatcheck

_ROOM: Final = "coatcheck.admin.commands"

SECTIONS: Final[dict[str, dict[str, str]]] = {
    "See": {
        "status": "How the actor system and the store are, and what to do about it.",
        "stats": "Counts and sizes.",
        "list": "Live sessions, page by page, with filters.",
        "find": "The sessions and devices of a user, and why earlier ones ended.",
        "show": "One session: what it is, its life, and why it ended.",
        "tail": "What happens to sessions, as it happens.",
        "top": "Rates of all processes, refreshed.",
        "policy": "The session policy in words, with ASVS and NIST numbers, for an auditor.",
    },
    "End": {
        "revoke": "End a session, or those of a user.",
        "erase": "End a user's sessions and take the name out of the audit (GDPR article 17).",
        "export": "All that is kept about a user, as JSON (GDPR articles 15 and 20).",
    },
    "Look after": {
        "doctor": "Find what is wrong with the set-up, and say what to do.",
        "check": "Compare all records with all indexes.",
        "backup": "Copy the store while it is in use.",
        "restore": "Put a backup in the place of the store.",
        "compact": "Give free pages back to the disk.",
        "change": "Give the store other limits, or encrypt it.",
        "reseal": "Seal everything under the newest encryption key.",
        "rotate-secret": "Replace the server's secret without signing anybody out.",
    },
    "Run": {
        "serve": "Run the actor system of a state directory in the foreground.",
        "demo": "The same, and a small shop on it.",
        "completion": "Print the script that completes this command in a shell.",
    },
}
"""The commands, by what they are for; each is in a module of its name."""


class Program(click.Group):
    """A group that knows its commands by name, and imports one when it is needed."""

    def list_commands(self, _: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{_ROOM}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(section.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what was meant where a name is nearly right."""
        from difflib import get_close_matches

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not meant:
                raise
            msg = f"No such command {args[0]!r}. Did you mean {meant[0]!r}?"
            raise click.UsageError(msg, ctx) from error


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every command has --json and --help. Sessions are called by their HANDLE: the first 8 or more hex digits "
    "of their sid, as lists show them. No command prints a token; data only with --reveal.",
)
@click.option("--home", metavar="DIR", envvar="COATCHECK_HOME", help="The state directory (COATCHECK_HOME).")
@click.version_option(coatcheck.__version__, prog_name="coatcheck", message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context, home: str | None) -> None:
    """Look after the sessions of a state directory."""
    context.obj = home


def run(arguments: Sequence[str]) -> int:
    """Run a command line."""
    try:
        code: Any = program.main(list(arguments), prog_name="coatcheck", standalone_mode=False)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        code = 1
    except click.ClickException as error:
        error.show()
        code = getattr(error, "code", error.exit_code)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read it has seen enough, as `head` does. Nothing more may be written, at the end of Python neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code if isinstance(code, int) else 0
