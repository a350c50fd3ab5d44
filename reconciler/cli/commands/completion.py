"""`weaver completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli import screen
from reconciler.cli.options import command
from reconciler.cli.root import root_command
from reconciler.cli.session import Session

SHELLS = ("bash", "zsh", "fish")

_PLACES = """\b
Put it where your shell looks for it:
  bash   ~/.local/share/bash-completion/completions/weaver
  zsh    _weaver in a directory of $fpath
  fish   ~/.config/fish/completions/weaver.fish"""


@command("completion", epilog=_PLACES)
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(_: Session, shell: str) -> None:
    """Print the script by which a shell completes commands, options and service names."""
    found = get_completion_class(shell)
    if found is not None:
        script = found(root_command(), {}, "weaver", "_WEAVER_COMPLETE").source()
        screen.out(script.rstrip("\n"))
