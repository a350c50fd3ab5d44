"""`weaver set`, `scale`, `edit` and `undo`: change a manifest, and take it back."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import click

from reconciler.cli import exits, screen
from reconciler.cli.client import Daemon
from reconciler.cli.errors import CommandError
from reconciler.cli.options import (
    Patience,
    command,
    formats,
    reason_option,
    service_argument,
    waiting,
)
from reconciler.cli.session import Session
from reconciler.cli.verbs import change

_MOST_DIGITS = 6
"""Of a number of instances; the manifest's own limit is far below."""


@command(
    "set",
    epilog="\b\nExamples:\n  weaver set web env.PORT=8001 instances=2\n"
    "  weaver set web env.DEBUG-          (removes it)",
)
@service_argument
@click.argument("assignments", nargs=-1, required=True, metavar="PATH=VALUE...")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@reason_option
@waiting()
@formats("text", "json")
def set_command(
    session: Session, name: str, patience: Patience, output: str, **said: object
) -> int:
    """Change values of a service's manifest: edit, commit, converge, wait.

    Comments and everything else in the file stay as they are.
    """
    texts = said["assignments"]
    assignments = [assignment(text) for text in texts] if isinstance(texts, tuple) else []
    body = {
        "kind": "set",
        "service": name,
        "assignments": assignments,
        "reason": said["reason"],
        "dryRun": said["dry_run"],
    }
    return change(session, session.running_daemon(), body, patience, output)


def assignment(text: str) -> dict[str, str | None]:
    """Read `PATH=VALUE`, or `PATH-` which removes.

    >>> assignment("env.PORT=80=80"), assignment("env.PORT-")
    ({'path': 'env.PORT', 'value': '80=80'}, {'path': 'env.PORT', 'value': None})
    """
    path, equals, value = text.partition("=")
    if path and equals:
        return {"path": path, "value": value}
    if text.endswith("-") and len(text) > 1:
        return {"path": text[:-1], "value": None}
    raise CommandError(
        f"`{text}` is no PATH=VALUE",
        mend="write env.PORT=8001, or env.PORT- to remove it",
        code=exits.USAGE,
    )


@command("scale", epilog="\b\nExample:\n  weaver scale web=4 worker=2")
@click.argument("counts", nargs=-1, required=True, metavar="NAME=N...")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@reason_option
@waiting()
@formats("text", "json")
def scale_command(session: Session, patience: Patience, output: str, **said: object) -> int:
    """Change how many instances of services run: edit, commit, converge, wait.

    Instances that stay are not touched. Fewer end those with the highest numbers.
    """
    texts = said["counts"]
    body = {
        "kind": "scale",
        "instances": numbers(texts if isinstance(texts, tuple) else ()),
        "reason": said["reason"],
        "dryRun": said["dry_run"],
    }
    return change(session, session.running_daemon(), body, patience, output)


def numbers(texts: Iterable[str]) -> dict[str, int]:
    """Read `NAME=N` texts, each name once.

    >>> numbers(["web=4", "api=2"])
    {'web': 4, 'api': 2}
    """
    found: dict[str, int] = {}
    for text in texts:
        name, _, count = text.partition("=")
        if not name or not (count.isascii() and count.isdigit()) or len(count) > _MOST_DIGITS:
            raise CommandError(
                f"`{text}` is no NAME=N",
                mend="write web=4: the name of a service and how many of it",
                code=exits.USAGE,
            )
        if name in found:
            raise CommandError(
                f"{name} is named twice", mend="give each service once", code=exits.USAGE
            )
        found[name] = int(count)
    return found


@command("undo")
@waiting()
@formats("text", "json")
def undo_command(session: Session, patience: Patience, output: str) -> int:
    """Take back the last commit that you made through weaver, by a commit that reverts it."""
    return change(session, session.running_daemon(), {"kind": "undo"}, patience, output)


@command("edit")
@service_argument
@reason_option
@waiting()
@formats("text", "json")
def edit_command(session: Session, name: str, patience: Patience, output: str, reason: str) -> int:
    """Edit a service's manifest in $EDITOR; it is checked before it lands."""
    daemon = session.running_daemon()
    before = manifest_text(daemon, name)
    text = before
    while True:
        edited = click.edit(text, extension=".yaml")
        if edited is None or edited == before:
            screen.err(f"{name}: nothing changed")
            return exits.OK
        text = edited
        body = {"kind": "edit", "service": name, "text": text, "reason": reason}
        code = change(session, daemon, body, patience, output)
        if code != exits.USAGE or not _again():
            return code


def _again() -> bool:
    """Ask whether to go on editing; no where nobody can be asked."""
    try:
        return click.confirm("edit again?", default=True, err=True)
    except click.Abort:
        return False


def manifest_text(daemon: Daemon, name: str) -> str:
    """Give the text of a service's manifest as saved."""
    found: str = daemon.ask(f"/v1/services/{quote(name)}").json()["text"]
    return found
