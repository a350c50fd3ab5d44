"""`weaver wait`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import exits, texts
from reconciler.cli.errors import CommandError
from reconciler.cli.gitcli import git
from reconciler.cli.options import Duration, Selection, command, formats, selectors
from reconciler.cli.session import Session
from reconciler.cli.verbs import selected

GOALS = ("running", "ready", "healthy", "completed", "stopped", "synced")


@command("wait")
@selectors
@click.option("--for", "goal", type=click.Choice(GOALS), required=True, help="What to wait for.")
@click.option("--revision", metavar="REV", help="And until this commit is the one followed.")
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
    session: Session, selection: Selection, output: str, timeout: float, **said: str | None
) -> int:
    """Wait until services have come so far. Exit 7 when they cannot, 9 when time is up."""
    names = [] if selection.everything else selected(session.running_daemon(), selection)
    query = {
        "name": names,
        "for": said["goal"],
        "revision": _commit(session, said["revision"]),
        "timeout": timeout,
        "format": output,
    }
    return texts.show(session, "/v1/wait", query, wait_s=timeout)


def _commit(session: Session, revision: str | None) -> str | None:
    """Give the commit that a branch, a tag or HEAD names here; the daemon knows commits only."""
    if revision is None:
        return None
    root = Path(session.root())
    found = git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if found is None:
        raise CommandError(
            f"cannot find the revision {revision!r} in {root}",
            mend="see `git log --oneline --all`, or fetch it first",
            code=exits.NOT_FOUND,
        )
    return found
