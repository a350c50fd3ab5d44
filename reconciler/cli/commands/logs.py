"""`weaver logs`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.api.log_text import daemon_log_text
from reconciler.api.page import Page
from reconciler.cli import exits, fast, place, screen, texts
from reconciler.cli.client import Daemon
from reconciler.cli.errors import CommandError
from reconciler.cli.moments import Moment
from reconciler.cli.options import ServiceName, command, formats
from reconciler.cli.reappearing import daemon_lives
from reconciler.cli.session import Session
from reconciler.runtime import socket_file

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")


@command("logs")
@click.argument("names", nargs=-1, type=ServiceName(), metavar="[NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="The last so many lines, of all services together.",
)
@click.option("--since", type=Moment(), metavar="TIME", help="Not before: 10m, 14:30, a date.")
@click.option("--until", type=Moment(), metavar="TIME", help="Not after.")
@click.option("--grep", metavar="RE", help="Only lines that match a regular expression.")
@click.option("--level", type=click.Choice(LEVELS), help="Only this level and worse.")
@click.option("--field", multiple=True, metavar="K=V", help="Only JSON lines with this field.")
@click.option("--instance", type=click.IntRange(0), metavar="N", help="Only this instance.")
@click.option("--previous", is_flag=True, help="Of the run before the present one.")
@click.option("--daemon", "of_daemon", is_flag=True, help="The daemon's own log.")
@formats("text", "json", "csv")
def logs_command(
    session: Session,
    names: tuple[str, ...],
    lines: int,
    of_daemon: bool,
    output: str,
    **said: object,
) -> int:
    """Show what services print; without a name all of them, merged by time."""
    daemon = session.daemon()
    if of_daemon and not daemon_lives(daemon.root):
        return _daemon_log(session, daemon, lines)
    query = {"name": names, "n": lines, "daemon": of_daemon, "format": output, **said}
    texts.pour(session, "/v1/logs", query | (texts.folded() if of_daemon else {}))
    return exits.OK


def _daemon_log(session: Session, daemon: Daemon, lines: int) -> int:
    """Show the log of a daemon that is gone: that is when it is wanted most."""
    state = socket_file.state_directory(daemon.root, place.state_dir(session.state_dir))
    path = Path(state) / "daemon.log"
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise CommandError(
            f"cannot read {path}: {error.strerror}",
            mend="weaver up --detach",
            code=exits.NOT_FOUND,
        ) from error
    page = Page(width=fast.width(), folds=bool(texts.folded()))
    for line in text.splitlines()[-lines:] if lines else ():
        screen.out(daemon_log_text(line, page))
    return exits.OK
