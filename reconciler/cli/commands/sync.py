"""`weaver sync` and `weaver accept-history`."""

from __future__ import annotations

import click

from reconciler.cli.options import Patience, command, formats, waiting
from reconciler.cli.session import Session
from reconciler.cli.verbs import carry


@command("sync")
@click.option("--revision", metavar="SHA", help="Fail unless this commit is followed then.")
@waiting()
@formats("text", "json")
def sync_command(session: Session, patience: Patience, output: str, revision: str | None) -> int:
    """Fetch and read what is followed now, without waiting for the next look.

    Waits for the services that it moves.
    """
    body = {"revision": revision.lower()} if revision else {}
    return carry(session, session.running_daemon(), "/v1/sync", body, patience, output)


@command("accept-history")
@click.argument("commit", metavar="SHA")
@waiting()
@formats("text", "json")
def accept_history_command(session: Session, patience: Patience, output: str, commit: str) -> int:
    """Follow a branch whose history was rewritten, at the commit where it is now.

    Until somebody does so, what ran before the rewriting runs on.
    """
    body = {"commit": commit.lower()}
    daemon = session.running_daemon()
    return carry(session, daemon, "/v1/accept-history", body, patience, output)
