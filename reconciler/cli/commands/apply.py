"""`weaver apply`."""

from __future__ import annotations

import click

from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.cli.options import (
    Duration,
    Patience,
    ServiceName,
    command,
    formats,
    reason_option,
    time_to_live,
    waiting,
)
from reconciler.cli.proposal import publish
from reconciler.cli.reading import documents
from reconciler.cli.session import Session
from reconciler.cli.verbs import change, operate


@command(
    "apply",
    epilog="\b\nExamples:\n  weaver apply -f web.yaml -m 'more memory'\n"
    "  cat web.yaml | weaver apply -f - --dry-run",
)
@click.option(
    "-f",
    "--file",
    "paths",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="The manifests; a directory is searched through.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--if-revision", default="", metavar="SHA", help="Only if this is HEAD (else 10).")
@click.option(
    "--branch", default="", metavar="NAME", help="Commit to this branch, push it, run nothing."
)
@click.option("--pr", "with_url", is_flag=True, help="Say where to open the pull request.")
@click.option("--ephemeral", is_flag=True, help="Commit nothing; go back when --ttl is over.")
@click.option(
    "--ttl", type=Duration(), metavar="TIME", help="With --ephemeral: how long (1h; 24h at most)."
)
@reason_option
@waiting()
@formats("text", "json")
def apply_command(
    session: Session, paths: tuple[str, ...], patience: Patience, output: str, **said: object
) -> int:
    """Write manifests into services.d/, commit them, converge, wait.

    A manifest is the whole service: a field it lacks is removed. A directory removes no service.
    With --branch nothing takes effect before that branch is merged. With --ephemeral it takes
    effect and is not committed: it is shown as drift, and reverts by itself.
    """
    body = {
        "kind": "apply",
        "documents": [document for path in paths for document in documents(path)],
        "reason": said["reason"],
        "dryRun": said["dry_run"],
        "ifRevision": said["if_revision"],
    }
    branch, with_url = str(said["branch"]), bool(said["with_url"])
    if branch and said["ephemeral"]:
        raise click.UsageError("--ephemeral makes no commit, so there is none for --branch")
    ttl = time_to_live(said["ttl"], is_ephemeral=bool(said["ephemeral"]), option="--ttl")
    if with_url and not branch:
        raise CommandError(
            "cannot open a pull request for what runs", mend="add --branch NAME", code=exits.USAGE
        )
    daemon = session.daemon()
    asked = {"branch": branch} if branch else {"ttl": ttl} if ttl else {}
    code = change(session, daemon, body | asked, patience, output)
    if code or not branch or said["dry_run"]:
        return code
    return publish(daemon.root, branch, with_url=with_url)


@command("revert", epilog="\b\nExamples:\n  weaver revert web")
@click.argument("names", nargs=-1, required=True, type=ServiceName(), metavar="NAME...")
@reason_option
@waiting()
@formats("text", "json")
def revert_command(
    session: Session, names: tuple[str, ...], patience: Patience, output: str, reason: str
) -> int:
    """End what `weaver apply --ephemeral` applied, before its time is over.

    The services are again as their manifests say; what no manifest defines stops.
    """
    body = {"kind": "revert", "services": list(names), "reason": reason}
    return operate(session, session.running_daemon(), body, patience, output)
