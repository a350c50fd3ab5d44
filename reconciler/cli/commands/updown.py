"""`weaver up` and `weaver down`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from reconciler import __version__
from reconciler.api.page import Page
from reconciler.cli import exits, fast, texts
from reconciler.cli.errors import CommandError
from reconciler.cli.foreground import Voice
from reconciler.cli.launch import await_end, bring_up, settle_source, up_options
from reconciler.cli.options import Duration, Patience, ServiceName, command
from reconciler.cli.session import Session
from reconciler.cli.verbs import carry
from reconciler.runtime.options import UpOptions


@command("up")
@click.argument("directory", required=False, type=click.Path())
@click.option(
    "--repo", metavar="URL", help="Follow a branch of this repository, not the files in DIR."
)
@click.option("--branch", metavar="NAME", help="Which one; default: main.")
@click.option("--path", "folder", metavar="SUB", help="Its folder with services.d; default: top.")
@click.option("--no-repo", is_flag=True, help="Follow the files in DIR again.")
@click.option("--detach", is_flag=True, help="In the background; return when all is as wanted.")
@click.option(
    "--timeout",
    type=Duration(),
    default="90s",
    show_default=True,
    metavar="TIME",
    help="How long --detach waits; services go on afterwards.",
)
@click.option("--logs", is_flag=True, help="Show what services print between the events.")
@click.option(
    "--only",
    multiple=True,
    type=ServiceName(),
    metavar="NAME",
    help="Run just this service and what it needs.",
)
def up_command(session: Session, directory: str | None, **said: Any) -> int:
    """Run the daemon: read services.d/, start what it says, and keep it so.

    In front it tells what happens, and Ctrl-C stops the services in order and leaves. With --repo,
    DIR is the home of .weaver/ only; what is followed is remembered there.
    """
    if said["repo"] == "":
        raise CommandError(
            "--repo names no repository: it is empty",
            mend="give its address; without --repo the files in DIR are followed",
            code=exits.USAGE,
        )
    if directory is not None:
        if said["repo"]:
            Path(directory).mkdir(parents=True, exist_ok=True)
        session.directory = directory
    if said["logs"] and said["detach"]:
        raise click.UsageError("--logs is for the foreground; with --detach use: weaver logs -f")
    # A new home may well be inside of a checkout, which is another one.
    root = os.path.realpath(session.directory or ".") if said["repo"] else session.home()
    options = up_options(session, root, said["only"], logs=said["logs"])
    settle_source(options, said)
    if said["detach"]:
        return bring_up(session, options, Patience(wait=True, timeout=said["timeout"]))
    return _stay(session, options)


def _stay(session: Session, options: UpOptions) -> int:
    """Run the daemon in front until Ctrl-C."""
    from reconciler import app
    from reconciler.runtime import first

    if os.getpid() == 1:
        first.lead()
    zone = datetime.now(UTC).astimezone().tzinfo or UTC
    page = Page(width=fast.width(), colour=session.colour, zone=zone, folds=bool(texts.folded()))
    greeting = f"weaver {__version__} runs {options.root}; Ctrl-C stops everything"
    return app.run_foreground(options, Voice(page, greeting, quiet=session.quiet))


@command("down")
@click.option("--keep-services", is_flag=True, help="Leave them running under the holder.")
@click.option(
    "--timeout",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="How long to wait.",
)
def down_command(session: Session, keep_services: bool, timeout: float) -> int:
    """Stop the services in reverse order, then the daemon and the holder."""
    daemon = session.running_daemon()
    patience = Patience(wait=True, timeout=timeout)
    body = {"keepServices": keep_services}
    code = carry(session, daemon, "/v1/shutdown", body, patience, "text")
    if code == exits.OK:
        await_end(up_options(session, daemon.root))
    return code
