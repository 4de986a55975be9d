"""``coatcheck demo``: the actor system and a small shop on it."""

from __future__ import annotations

import click


@click.command("demo")
@click.option("--home", metavar="DIR", help="The state directory (demo-state).")
@click.option("--port", type=int, help="Of the shop (8000).")
@click.option("--lane", type=click.Choice(["direct", "actor"]), help="How the shop reaches its sessions (direct).")
@click.pass_context
def command(context: click.Context, home: str | None, port: int | None, lane: str | None) -> int:
    """Run the actor system and a small shop in two worker processes, to look at.

    In a checkout, with the extra ``demo``.
    """
    from coatcheck.system.command import main

    given = {"--home": home or context.obj, "--port": port, "--lane": lane}
    return main(["demo", *(f"{name}={value}" for name, value in given.items() if value is not None)])
