"""`weaver diff`: what would change, and what would be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler import app
from reconciler.api.diff_text import diff_text
from reconciler.api.page import Page
from reconciler.api.wire.base import builtins, document
from reconciler.api.wire.preview import diff_document, diff_exit_code
from reconciler.cli import exits, fast, screen
from reconciler.cli.client import Json
from reconciler.cli.comparison import compared
from reconciler.cli.diff_formats import FORMATS
from reconciler.cli.diff_words import below
from reconciler.cli.errors import CommandError
from reconciler.cli.options import command, formats
from reconciler.cli.session import Session
from reconciler.cli.texts import look
from reconciler.runtime.messages import Preview


@command(
    "diff",
    epilog="\b\nExamples:\n  weaver diff                   desired against what runs\n"
    "  weaver diff main...HEAD       what this branch would change\n"
    "  weaver diff -f web.yaml       what applying a file would change",
)
@click.argument("span", required=False, metavar="[BASE[..HEAD|...HEAD]]")
@click.option(
    "-f",
    "--file",
    "paths",
    multiple=True,
    metavar="FILE|DIR|-",
    help="As if these manifests were applied.",
)
@click.option("--staged", is_flag=True, help="What is staged, against HEAD or BASE.")
@click.option("--live", is_flag=True, help="Ask the daemon; without one, exit 11.")
@click.option("--offline", is_flag=True, help="The saved files against HEAD; ask no daemon.")
@click.option(
    "--exit-code", type=bool, default=True, metavar="BOOL", help="With =false, changes give exit 0."
)
@click.option("--detailed-exitcode", is_flag=True, help="0 none, 1 error, 2 changes.")
@formats("text", "json", *FORMATS)
def diff_command(session: Session, output: str, **said: Any) -> int:
    """Show what would change: fields, ordered actions, reasons. Exit 1 when something would.

    Without BASE: what is desired against what runs; with no daemon, the saved files against HEAD.
    """
    is_elsewhere = said["span"] or said["staged"] or said["paths"] or said["offline"]
    if said["live"] and is_elsewhere:
        raise click.UsageError("--live compares with what runs: leave out BASE, -f and --staged")
    if said["staged"] and said["paths"]:
        raise click.UsageError("--staged and -f exclude each other")
    try:
        code = _compare(session, output, said, offline=bool(is_elsewhere))
    except CommandError as failure:
        raise _trouble(failure, detailed=said["detailed_exitcode"]) from failure
    return _wanted_code(code, asked=said["exit_code"], detailed=said["detailed_exitcode"])


def _compare(session: Session, output: str, said: dict[str, Any], *, offline: bool) -> int:
    """Compare what was asked for, print it, and give the plain exit code."""
    if not offline and (said["live"] or session.daemon().answers()):
        return _live(session, output)
    # A branch under review may have brought a cache along, and it may lie.
    reader = app.open_offline(Path(session.home()), cached=not said["span"])
    preview = compared(reader, said["span"], staged=said["staged"], paths=said["paths"])
    return _show(session, preview, output)


def _live(session: Session, output: str) -> int:
    """Have the daemon compare what is desired with what runs."""
    daemon = session.running_daemon()
    if output in FORMATS:
        answer = daemon.ask("/v1/plan", {"format": "json"})
        _publish(session, answer.json(), output)
    else:
        answer = daemon.ask("/v1/plan", {"format": output, **look(session)})
        screen.out_bytes(answer.body)
    return answer.code


def _show(session: Session, preview: Preview, output: str) -> int:
    """Print a comparison that was made here."""
    if output == "json":
        screen.out_bytes(document(diff_document(preview)))
    elif output in FORMATS:
        _publish(session, builtins(diff_document(preview)), output)
    else:
        page = Page(width=fast.width(), colour=session.colour)
        screen.out_bytes(diff_text(preview, page).encode("utf-8", "replace"))
    return diff_exit_code(preview)


def _publish(session: Session, found: Json, output: str) -> None:
    """Print a form for reviews; its files are called as from the top of the repository."""
    folder = app.open_offline(Path(session.home()), cached=False).folder()
    screen.out(FORMATS[output](below(found, folder)).rstrip("\n"))


def _wanted_code(code: int, *, asked: bool, detailed: bool) -> int:
    """Give the exit code in the manner that was asked for.

    >>> _wanted_code(1, asked=True, detailed=False), _wanted_code(1, asked=False, detailed=False)
    (1, 0)
    >>> [_wanted_code(code, asked=True, detailed=True) for code in (0, 1, 2)]
    [0, 2, 1]
    """
    if detailed:
        return {exits.OK: 0, exits.CHANGES: 2}.get(code, 1)
    return exits.OK if code == exits.CHANGES and not asked else code


def _trouble(failure: CommandError, *, detailed: bool) -> CommandError:
    """Give trouble a code that cannot be taken for changes."""
    if detailed:
        failure.code = 1
    elif failure.code == exits.CHANGES:
        failure.code = exits.USAGE
    return failure
