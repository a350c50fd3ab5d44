"""`weaver apply`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import exits
from reconciler.cli.commands.register import read_text
from reconciler.cli.errors import CommandError
from reconciler.cli.options import Patience, command, formats, reason_option, waiting
from reconciler.cli.session import Session
from reconciler.cli.verbs import change

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


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
@click.option("--dry-run", is_flag=True, help="Only show what would change; exit 1 if anything.")
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


def documents(path: str) -> list[dict[str, str]]:
    """Give the text of a file, of all manifests in a directory, or of standard input."""
    if path == "-":
        return [{"text": read_text(path)}]
    if not Path(path).is_dir():
        return [{"text": read_text(path), "path": path}]
    found = sorted(
        file
        for file in Path(path).rglob("*")
        if file.suffix in SUFFIXES and not _is_hidden(file.relative_to(path))
    )
    if not found:
        raise CommandError(f"no manifest in {path}", mend="name a .yaml file", code=exits.NOT_FOUND)
    return [{"text": read_text(str(file)), "path": str(file)} for file in found]


def _is_hidden(path: Path) -> bool:
    """Tell whether a file, or a directory it is in, is hidden."""
    return any(part.startswith(".") for part in path.parts)
