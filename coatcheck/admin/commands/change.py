"""``coatcheck change NAME=VALUE``: other limits for a store that exists."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.admin.parameters import PAIR
from coatcheck.admin.tool import Tool, tool_command
from coatcheck.errors import StoreUnavailable
from coatcheck.store.lmdb import LmdbStore
from coatcheck.store.policy import CHANGEABLE

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
            values[ENCRYPTION] = _encrypt(store, on=wish == "on")
        policy = store.change_policy(**changed)
        values.update((name, getattr(policy, name)) for name in CHANGEABLE)
    tool.tell(values, lambda: click.echo("\n".join(f"{name}={value}" for name, value in values.items())))


def _encrypt(store: LmdbStore, *, on: bool) -> str:
    store.change_encryption(on=on)
    # The pages of before are free, but in the file; also those that another run left there.
    try:
        store.compact()
    except StoreUnavailable as error:
        msg = (
            f"encryption={'on' if on else 'off'} is in force, but the pages of before are still in the data file, as "
            f"it could not be written anew: {error}; then give the same command again"
        )
        raise StoreUnavailable(msg) from error
    return f"on, under {store.stats().encryption}" if on else "off"
