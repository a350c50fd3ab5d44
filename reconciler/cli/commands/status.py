"""`weaver status`: what runs and why not. The plain cases never get here: see cli/fast.py."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

import click

from reconciler.cli import fast, screen
from reconciler.cli.client import Answer, Daemon
from reconciler.cli.errors import CommandError
from reconciler.cli.options import ServiceName, command, formats, selector_option
from reconciler.cli.session import Session

EVERY_S = 1.0
_HOME, _REST, _LINE_REST = "\x1b[H", "\x1b[J", "\x1b[K"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@command("status")
@click.argument("names", nargs=-1, type=ServiceName(), metavar="[NAME]...")
@selector_option
@click.option("--problems", is_flag=True, help="Only what is not as wanted.")
@click.option("--check", is_flag=True, help="Exit 7 when anything is not as wanted.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@formats(*fast.FORMATS)
def status_command(
    session: Session, names: tuple[str, ...], watch: bool, output: str, **said: Any
) -> int:
    """Show what runs and why not, troubled services first. With one name: all about it."""
    daemon = session.daemon()
    query = {"name": names, "format": output, **said}
    if watch:
        return _watch(session, daemon, query)
    answer = _ask(session, daemon, query)
    screen.out_bytes(answer.body)
    return answer.code


def _ask(session: Session, daemon: Daemon, query: dict[str, Any]) -> Answer:
    """Ask for the finished text, in the width and colour of this terminal."""
    look = {"width": fast.width(), "color": "1" if session.colour else "0"}
    return daemon.ask("/v1/status", {**query, **look})


def _watch(session: Session, daemon: Daemon, query: dict[str, Any]) -> int:
    """Show the status again and again; on a terminal in place, elsewhere one after the other."""
    if not sys.stdout.isatty():
        while True:
            screen.out_bytes(_ask(session, daemon, query).body)
            time.sleep(EVERY_S)
    screen.out_bytes(_ENTER.encode())
    try:
        while True:
            screen.out_bytes(_page(session, daemon, query).encode())
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return 0
    finally:
        screen.out_bytes(_LEAVE.encode())


def _page(session: Session, daemon: Daemon, query: dict[str, Any]) -> str:
    """Give a screenful, each line clearing what stood there before."""
    try:
        text = _ask(session, daemon, query).body.decode()
    except CommandError as failure:
        text = f"{failure.message}\n    mend: {failure.mend}\n"
    lines = text.splitlines()[: shutil.get_terminal_size().lines - 1]
    return _HOME + "".join(f"{line}{_LINE_REST}\r\n" for line in lines) + _REST
