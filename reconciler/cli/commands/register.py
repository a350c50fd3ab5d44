"""`weaver register` and `weaver unregister`: a service from a command line, and its end."""

from __future__ import annotations

import os
from typing import Any

import click

from reconciler.cli import exits
from reconciler.cli.comparison import puts
from reconciler.cli.draft import Draft, inside, manifest, pair, program
from reconciler.cli.errors import CommandError
from reconciler.cli.launch import ensure_daemon
from reconciler.cli.options import (
    Patience,
    Selection,
    ServiceName,
    command,
    formats,
    reason_option,
    selectors,
    waiting,
)
from reconciler.cli.reading import read_text
from reconciler.cli.session import Session
from reconciler.cli.verbs import change, selected

TYPES = ("simple", "oneshot")


@command(
    "register",
    epilog="\b\nExamples:\n"
    "  weaver register web -- python3 -m http.server 8123\n"
    "  weaver register api -e PORT=8000 --needs db -- ./serve --verbose",
)
@click.argument("name", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]")
@click.option("-f", "--file", metavar="FILE", help="Take the manifest from FILE (- is stdin).")
@click.option("--cwd", metavar="DIR", help="Where it runs; default: here, if in the repository.")
@click.option("-e", "--env", multiple=True, metavar="K=V", help="Set an environment variable.")
@click.option("--env-file", multiple=True, metavar="FILE", help="Read variables from FILE.")
@click.option("--instances", type=click.IntRange(1, 1000), default=1, help="How many of it.")
@click.option("--needs", multiple=True, type=ServiceName(), metavar="NAME", help="Start after it.")
@click.option("--type", "kind", type=click.Choice(TYPES), help="Serves (simple) or ends (oneshot).")
@reason_option
@waiting()
@formats("text", "json")
def register_command(
    session: Session, patience: Patience, output: str, reason: str, **said: Any
) -> int:
    """Add a service: write the smallest manifest, commit, start, wait.

    With no daemon running, one is started in the background.
    """
    if said["file"]:
        name, text = _from_file(said)
    else:
        name, text = _from_words(session.root(), said)
    daemon = ensure_daemon(session)
    body = {"kind": "register", "service": name, "text": text, "reason": reason}
    return change(session, daemon, body, patience, output)


def _from_words(root: str, said: dict[str, Any]) -> tuple[str, str]:
    """Give name and manifest of a service described by options and a command."""
    if not said["name"] or not said["words"]:
        raise click.UsageError("what shall run? weaver register NAME -- COMMAND [ARG...]")
    here = os.path.realpath(said["cwd"] or os.curdir)
    draft = Draft(
        name=said["name"],
        command=program(root, said["words"], os.path.realpath(os.curdir)),
        cwd=inside(root, here) if said["cwd"] or _is_inside(root, here) else "",
        env=[pair(text) for text in said["env"]],
        env_files=[inside(root, path) for path in said["env_file"]],
        instances=said["instances"],
        needs=said["needs"],
        type=said["kind"] or "",
    )
    return draft.name, manifest(draft)


def _is_inside(root: str, path: str) -> bool:
    """Tell whether a directory lies in the repository."""
    return not inside(root, path).startswith("/")


def _from_file(said: dict[str, Any]) -> tuple[str, str]:
    """Give name and manifest of a service described by a file."""
    if said["words"] or said["env"] or said["cwd"] or said["needs"]:
        raise click.UsageError("-f FILE stands alone: the file says everything")
    found = list(puts({"text": read_text(said["file"]), "path": said["file"]}))
    if len(found) != 1 or said["name"] not in {None, found[0].service}:
        names = ", ".join(put.service for put in found)
        raise CommandError(
            f"cannot register {said['name'] or said['file']}: the file defines {names}",
            mend="weaver apply -f FILE takes any number of services",
            code=exits.USAGE,
        )
    return found[0].service, found[0].text


@command("unregister")
@selectors
@click.option("--cascade", is_flag=True, help="Remove the services that need it too.")
@reason_option
@waiting()
@formats("text", "json")
def unregister_command(
    session: Session,
    selection: Selection,
    patience: Patience,
    output: str,
    **said: Any,
) -> int:
    """Remove services: take their manifests out, commit, stop them, wait.

    Refused (exit 5) while other services need one of them.
    """
    daemon = session.running_daemon()
    services = selected(daemon, selection)
    return change(
        session, daemon, {"kind": "unregister", "services": services, **said}, patience, output
    )
