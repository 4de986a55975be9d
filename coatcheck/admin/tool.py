"""What all commands have in common: the state directory, ``--json``, who asks, and what errors become."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coatcheck.acting import operator
from coatcheck.admin import exits
from coatcheck.admin.reading.handles import HandleUnknown
from coatcheck.errors import CoatcheckError, ConfigurationError, StoreUnavailable
from coatcheck.settings import Settings

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.lmdb import LmdbStore

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Failed(click.ClickException):
    """What a command ends with when something is wrong; ``code`` is its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    def show(self, file: Any = None) -> None:
        """In the form of ``python -m coatcheck.system``."""
        click.echo(f"coatcheck: {self.format_message()}", file=file, err=True)


class Tool:
    """One run of a command."""

    def __init__(self, home: str | None, *, as_json: bool) -> None:
        self._home = home
        self.as_json = as_json
        """Whether programs read what is said."""

    @cached_property
    def settings(self) -> Settings:
        """Of the arguments and the environment. Raises ConfigurationError."""
        return Settings.load(self._home)

    @property
    def by(self) -> str:
        """Who gives this command, for the audit: the user of this process, or who became it by ``sudo``."""
        return os.environ.get("SUDO_USER") or operator()

    @contextmanager
    def client(self, *, lasting: bool = False) -> Iterator[SessionClient]:
        """A client of the store that is there; see :func:`coatcheck.admin.opening.client_for`."""
        from coatcheck.admin.opening import client_for

        with client_for(self.settings, lasting=lasting) as client:
            yield client

    @contextmanager
    def store(self, *, any_keys: bool = False) -> Iterator[LmdbStore]:
        """The store that is there. ``any_keys``: for what opens no session, or is about the keys themselves."""
        from coatcheck.admin.opening import store_for

        store = store_for(self.settings)
        store.any_keys = any_keys
        try:
            yield store
        finally:
            store.close()

    def tell(self, values: Any, people: Callable[[], None]) -> None:
        """The answer: one JSON object for programs, or whatever ``people`` prints."""
        if self.as_json:
            self.tell_json(values)
        else:
            people()

    def tell_json(self, values: Any) -> None:
        """One JSON object, on one line."""
        click.echo(json.dumps(values, ensure_ascii=False, default=str))


def tool_command(name: str, **attributes: Any) -> Callable[[_Function], click.Command]:
    """A command of the program with ``--home`` and ``--json``, called with a :class:`Tool`.

    What coatcheck raises is said in one line, as JSON too, and becomes an exit code.
    """

    def register(function: _Function) -> click.Command:
        @wraps(function)
        @click.pass_context
        def run(context: click.Context, /, home: str | None, as_json: bool, **options: Any) -> Any:  # noqa: FBT001 - click
            tool = Tool(home or context.obj, as_json=as_json)
            try:
                return function(tool, **options)
            except CoatcheckError as error:
                raise _failed(tool, error) from error

        json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
        home_option = click.option("--home", metavar="DIR", help="The state directory (COATCHECK_HOME).")
        make: Callable[[Any], click.Command] = click.command(name, **attributes)
        return make(home_option(json_option(run)))

    return register


def _failed(tool: Tool, error: CoatcheckError) -> Failed:
    if tool.as_json:
        tool.tell_json({"error": str(error), "kind": type(error).__name__})
    return Failed(str(error), code_of(error))


def code_of(error: CoatcheckError) -> int:
    """The exit code of an error."""
    if isinstance(error, HandleUnknown):
        return exits.NONE_SUCH
    if isinstance(error, ConfigurationError):
        return exits.MISCONFIGURED
    if isinstance(error, StoreUnavailable):
        return exits.UNAVAILABLE
    return exits.UNSOUND
