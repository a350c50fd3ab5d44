"""`weaver wait`."""

from __future__ import annotations

import click

from reconciler.cli import texts
from reconciler.cli.options import Duration, Selection, command, formats, selectors
from reconciler.cli.session import Session
from reconciler.cli.verbs import selected

GOALS = ("running", "ready", "healthy", "completed", "stopped", "synced")


@command("wait")
@selectors
@click.option("--for", "goal", type=click.Choice(GOALS), required=True, help="What to wait for.")
@click.option("--revision", metavar="SHA", help="And until this commit is the one followed.")
@click.option(
    "--timeout",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="How long to wait.",
)
@formats("text", "json")
def wait_command(
    session: Session, selection: Selection, output: str, timeout: float, **said: object
) -> int:
    """Wait until services have come so far. Exit 7 when they cannot, 9 when time is up."""
    names = [] if selection.everything else selected(session.running_daemon(), selection)
    query = {
        "name": names,
        "for": said["goal"],
        "revision": said["revision"],
        "timeout": timeout,
        "format": output,
    }
    return texts.show(session, "/v1/wait", query, wait_s=timeout)
