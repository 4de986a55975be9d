"""``coatcheck change NAME=VALUE``: other limits for a store that exists."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.admin.parameters import PAIR
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.store.policy import CHANGEABLE
from coatcheck.system.store_commands import turn_encryption

ENCRYPTION = "encryption"


@tool_command("change")
@click.argument("assignments", metavar="NAME=VALUE...", type=PAIR, nargs=-1, required=True)
def command(tool: Tool, assignments: tuple[tuple[str, str], ...]) -> None:
    """Give the store other limits, or encrypt it, while nobody else has it open.

    \b
    NAME is one of map_size, max_session_bytes, max_flashes, max_sessions_per_principal,
    on_principal_limit (evict-oldest or refuse), encryption (on or off: under the keys of the settings).
    """  # noqa: D301 - \b is click's, and needs the backslash as it is
    changed: dict[str, Any] = {name: int(text) if text.isdecimal() else text for name, text in assignments}
    wish = changed.pop(ENCRYPTION, None)
    if wish not in {None, "on", "off"}:
        msg = f"{ENCRYPTION} is {wish!r}: use on or off"
        raise click.UsageError(msg)
    values: dict[str, Any] = {}
    with tool.store(any_keys=True) as store:
        if wish is not None:
            turn_encryption(store, on=wish == "on")
            values[ENCRYPTION] = f"on, under {store.stats().encryption}" if wish == "on" else "off"
        policy = store.change_policy(**changed)
        values.update((name, getattr(policy, name)) for name in CHANGEABLE)
    tool.tell(values, lambda: click.echo("\n".join(f"{name}={value}" for name, value in values.items())))
