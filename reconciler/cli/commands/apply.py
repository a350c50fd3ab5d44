"""`weaver apply`."""

from __future__ import annotations

import click

from reconciler.cli.options import Patience, command, formats, reason_option, waiting
from reconciler.cli.reading import documents
from reconciler.cli.session import Session
from reconciler.cli.verbs import change


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
@reason_option
@waiting()
@formats("text", "json")
def apply_command(
    session: Session, paths: tuple[str, ...], patience: Patience, output: str, **said: object
) -> int:
    """Write manifests into services.d/, commit them, converge, wait.

    A manifest is the whole service: a field it lacks is removed. A directory removes no service.
    """
    body = {
        "kind": "apply",
        "documents": [document for path in paths for document in documents(path)],
        "reason": said["reason"],
        "dryRun": said["dry_run"],
        "ifRevision": said["if_revision"],
    }
    return change(session, session.daemon(), body, patience, output)
