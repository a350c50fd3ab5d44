"""`weaver prune approve`."""

from __future__ import annotations

from urllib.parse import quote

import click

from reconciler.cli.options import Patience, command, formats, waiting
from reconciler.cli.root import CONTEXT
from reconciler.cli.session import Session
from reconciler.cli.verbs import carry


@click.group("prune", context_settings=CONTEXT)
def prune_command() -> None:
    """Decide about a removal of many services that is held until somebody says yes."""


@command("approve")
@click.argument("id")
@waiting()
@formats("text", "json")
def approve_command(session: Session, patience: Patience, output: str, **said: str) -> int:
    """Let the removal with this ID happen; `weaver status` shows the ID and the services."""
    path = f"/v1/prune/{quote(said['id'])}/approve"
    return carry(session, session.running_daemon(), path, {}, patience, output)


prune_command.add_command(approve_command)
