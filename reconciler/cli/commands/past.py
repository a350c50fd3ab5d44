"""`weaver why`, `history` and `events`: how it came to be so."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import click

from reconciler.cli import exits, screen, texts
from reconciler.cli.moments import Moment
from reconciler.cli.options import ServiceName, command, formats, service_argument
from reconciler.cli.session import Session


@command("why")
@service_argument
@formats("text", "json")
def why_command(session: Session, name: str, output: str) -> int:
    """Say why a service is in its state: what it waits for, and why that is not there."""
    return texts.show(session, f"/v1/why/{quote(name)}", {"format": output})


@command("history")
@service_argument
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="The last so many entries.",
)
@formats("text", "json")
def history_command(session: Session, name: str, lines: int, output: str) -> int:
    """Show what became of a service: its states and its commits, newest first."""
    query = {"format": output, "limit": lines}
    return texts.show(session, f"/v1/history/{quote(name)}", query)


@command("events")
@click.argument("name", required=False, type=ServiceName())
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("--since", type=Moment(), metavar="TIME", help="Not before: 10m, 14:30, a date.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="The last so many events.",
)
@formats("text", "json")
def events_command(session: Session, name: str | None, output: str, lines: int, **said: Any) -> int:
    """Show what happened, one line an event."""
    since = said["since"]
    ago = max(time.time() - since, 0.0) if isinstance(since, float) else None
    query: dict[str, Any] = {
        "format": output,
        "limit": lines,
        "service": name,
        "since": ago,
    }
    if not said["follow"]:
        return texts.show(session, "/v1/events", query | texts.folded())
    query["follow"] = True
    if output == "json":
        for event in session.daemon().events(query):
            screen.out_json_line(event)
    else:
        texts.pour(session, "/v1/events", query | texts.folded())
    return exits.OK
