"""``coatcheck serve``: the actor system in the foreground, as ``python -m coatcheck.system`` runs it."""

from __future__ import annotations

import click


@click.command("serve")
@click.option("--home", metavar="DIR", help="The state directory (COATCHECK_HOME); made when it is not there.")
@click.option("--port", type=int, help="Of the actor system; any free one by default (COATCHECK_PORT).")
@click.option("--bind", help="The address to listen on (127.0.0.1); any other has its risks (COATCHECK_BIND).")
@click.option("--redis-url", metavar="URL", help="Where Redis is (COATCHECK_REDIS_URL, which no other process sees).")
@click.option("--redis", "mode", type=click.Choice(["standby", "shared"]), help="What Redis is for.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How to log to stderr.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO")
@click.option("--json", "as_json", is_flag=True, help="The same as --log-format json.")
@click.pass_context
def command(
    context: click.Context,
    home: str | None,
    port: int | None,
    bind: str | None,
    redis_url: str | None,
    mode: str | None,
    log_format: str,
    log_level: str,
    *,
    as_json: bool,
) -> int:
    """Run the actor system of a state directory in the foreground, until SIGTERM or Ctrl-C.

    Exit code 0: stopped as asked; 3: another process runs the system of this directory; 4: settings, files or
    permissions cannot work; 5: it did not come up.
    """
    from coatcheck.system.command import main

    given = {"--home": home or context.obj, "--port": port, "--bind": bind, "--log-level": log_level}
    given |= {"--redis-url": redis_url, "--redis": mode}
    given["--log-format"] = "json" if as_json else log_format
    return main(["serve", *(f"{name}={value}" for name, value in given.items() if value is not None)])
