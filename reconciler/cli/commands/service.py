"""`weaver service`: the short verbs spelled out, the catalogue, and what has no manifest."""

from __future__ import annotations

import click

from reconciler.cli import texts
from reconciler.cli.commands.lifecycle import restart_command, start_command, stop_command
from reconciler.cli.commands.register import register_command, unregister_command
from reconciler.cli.commands.status import status_command
from reconciler.cli.options import command, formats, selector_option
from reconciler.cli.root import CONTEXT
from reconciler.cli.session import Session


@click.group("service", context_settings=CONTEXT)
def service_command() -> None:
    """Act on services: the short verbs spelled out, and `list` and `discover`."""


@command("list")
@selector_option
@formats("table", "json", "yaml", "name")
def list_command(session: Session, selector: tuple[str, ...], output: str) -> int:
    """Show the catalogue: every service, its file, what is wanted, needs and needed by."""
    return texts.show(session, "/v1/services", {"selector": selector, "format": output})


for _command in (
    list_command,
    status_command,
    start_command,
    stop_command,
    restart_command,
    register_command,
    unregister_command,
):
    service_command.add_command(_command)
