"""`rebuilder completion`: print a script that a shell sources."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rebuilder.cli import options


@options.verb(
    "completion",
    """
rebuilder completion bash > ~/.local/share/bash-completion/completions/rebuilder
rebuilder completion zsh  > ~/.zfunc/_rebuilder
rebuilder completion fish > ~/.config/fish/completions/rebuilder.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell; source it, or save it where the shell looks."""
    from rebuilder.cli.app import COMPLETION_VARIABLE, app  # noqa: PLC0415 - the app imports this module

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    completion = kind(app, {}, "rebuilder", COMPLETION_VARIABLE)
    click.echo(completion.source_template % completion.source_vars())
