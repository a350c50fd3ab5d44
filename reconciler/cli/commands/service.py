"""`weaver service`: the short verbs spelled out, the catalogue, and what has no manifest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

import click

from reconciler.api.human import plain
from reconciler.api.page import Column, Page, table
from reconciler.cli import exits, fast, screen, texts
from reconciler.cli.client import Daemon
from reconciler.cli.commands.lifecycle import (
    reload_command,
    restart_command,
    start_command,
    stop_command,
)
from reconciler.cli.commands.register import register_command, unregister_command
from reconciler.cli.commands.status import status_command
from reconciler.cli.errors import CommandError
from reconciler.cli.leftovers import Marked, marked, unknown
from reconciler.cli.options import command, formats, selector_option
from reconciler.cli.root import CONTEXT
from reconciler.cli.session import Session
from reconciler.runtime import socket_file


@click.group("service", context_settings=CONTEXT)
def service_command() -> None:
    """Act on services: the short verbs spelled out, and `list` and `discover`."""


@command("list")
@selector_option
@formats("table", "json", "yaml", "name")
def list_command(session: Session, selector: tuple[str, ...], output: str) -> int:
    """Show the catalogue: every service, its file, what is wanted, needs and needed by."""
    return texts.show(session, "/v1/services", {"selector": selector, "format": output})


@command("discover")
@formats("table", "json")
def discover_command(session: Session, output: str) -> int:
    """Show processes that Weaver started once and that no daemon of yours knows any more."""
    found = unknown(list(marked()), _known_pids())
    if output == "json":
        screen.out_json({"processes": [asdict(process) for process in found]})
        return exits.OK
    if not found:
        screen.out("No process is left over.")
        return exits.OK
    page = Page(width=fast.width(), colour=session.colour)
    for line in table(_columns(found), page):
        screen.out(line)
    screen.err("They run on unwatched. To end one: kill PID")
    return exits.OK


def _columns(found: list[Marked]) -> list[Column]:
    """Give the table of processes."""
    return [
        Column(title="PID", texts=[str(process.pid) for process in found], right=True),
        Column(title="SERVICE", texts=[plain(process.service) for process in found]),
        Column(title="DIRECTORY", texts=[plain(p.cwd) for p in found], floor=12, expendable=1),
        Column(title="COMMAND", texts=[plain(process.command) for process in found], floor=12),
    ]


def _known_pids() -> set[int]:
    """Give the pids that the daemons of this user know."""
    known: set[int] = set()
    for root, path in socket_file.read_registry():
        with suppress(CommandError):
            said = Daemon(root, path).ask("/v1/status", {"format": "pid"}).body
            known |= {int(word) for word in said.split() if word.isdigit()}
    return known


for _command in (
    list_command,
    discover_command,
    status_command,
    start_command,
    stop_command,
    restart_command,
    reload_command,
    register_command,
    unregister_command,
):
    service_command.add_command(_command)
