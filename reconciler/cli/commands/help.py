"""`weaver help`."""

from __future__ import annotations

import click

from reconciler.cli import exits, screen
from reconciler.cli.options import command
from reconciler.cli.session import Session

TOPICS = {"exit-codes": exits.table}


@command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND | exit-codes]")
def help_command(_: Session, words: tuple[str, ...]) -> None:
    """Show the help of a command, or `exit-codes`."""
    if words and words[0] in TOPICS:
        screen.out(TOPICS[words[0]]())
        return
    here = click.get_current_context().find_root()
    command_: click.Command = here.command
    for word in words:
        if not isinstance(command_, click.Group):
            break
        _name, found, _rest = command_.resolve_command(here, [word])
        if found is None:
            break
        here = click.Context(found, info_name=word, parent=here)
        command_ = found
    screen.out(here.get_help())
