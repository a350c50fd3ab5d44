"""`weaver logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

LINES_MAX = 100_000
"""The most that are counted out; more are had with `all`."""

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")


class Count(click.ParamType[Any]):
    """How many lines; None for all."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Give a number from 0 to LINES_MAX, or None for `all`."""
        if value == "all":
            return None
        text = str(value)
        if not text.isdecimal() or int(text) > LINES_MAX:
            self.fail(f"{text} is no number from 0 to {LINES_MAX}, and not `all`", param, ctx)
        return int(text)


@command("logs")
@click.argument("names", nargs=-1, type=ServiceName(), metavar="[NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n",
    "--lines",
    type=Count(),
    default=100,
    show_default=True,
    help="The last so many lines, of all services together; `all` for every line.",
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
    lines: int | None,
    of_daemon: bool,
    output: str,
    **said: object,
) -> int:
    """Show what services print; without a name all of them, merged by time."""
    daemon = session.daemon()
    if of_daemon and not daemon_lives(daemon.root):
        return _daemon_log(session, daemon, lines)
    wanted = {"all": True} if lines is None else {"n": lines}
    query = {"name": names, **wanted, "daemon": of_daemon, "format": output, **said}
    texts.pour(session, "/v1/logs", query | (texts.folded() if of_daemon else {}))
    return exits.OK


def _daemon_log(session: Session, daemon: Daemon, lines: int | None) -> int:
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
    all_lines = text.splitlines()
    for line in all_lines if lines is None else all_lines[max(0, len(all_lines) - lines) :]:
        screen.out(daemon_log_text(line, page))
    return exits.OK
