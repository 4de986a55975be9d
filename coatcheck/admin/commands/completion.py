"""``coatcheck completion SHELL``: the script that completes commands, options, handles and users."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes this command in a shell.

    \b
    bash:  coatcheck completion bash > ~/.local/share/bash-completion/completions/coatcheck
    zsh:   coatcheck completion zsh > "${fpath[1]}/_coatcheck"
    fish:  coatcheck completion fish > ~/.config/fish/completions/coatcheck.fish
    """  # noqa: D301 - \b is click's, and needs the backslash as it is
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(context.find_root().command, {}, "coatcheck", "_COATCHECK_COMPLETE").source())
