"""`weaver reexec`."""

from __future__ import annotations

import time
from contextlib import suppress

import click

from reconciler.cli import exits, screen
from reconciler.cli.client import Daemon, Json
from reconciler.cli.errors import CommandError
from reconciler.cli.options import Duration, Patience, command
from reconciler.cli.session import Session
from reconciler.cli.verbs import carry

LOOK_EVERY_S = 0.05


@command("reexec")
@click.option(
    "--timeout",
    type=Duration(),
    default="30s",
    show_default=True,
    metavar="TIME",
    help="How long to wait for the new daemon.",
)
def reexec_command(session: Session, timeout: float) -> int:
    """Replace holder and daemon in place by what is installed now.

    Both keep their pids, and no service notices. `weaver up --detach` of a newer version does this
    by itself; here it is for a changed installation of the same one, or the way back.
    """
    daemon = session.running_daemon()
    began = time.monotonic()
    code = carry(session, daemon, "/v1/reexec", {}, Patience(wait=True, timeout=timeout), "text")
    about = _await(daemon, began, timeout)
    if not session.quiet:
        pids = f"daemon {about['pid']}, holder {about['holderPid']}"
        screen.out(f"weaver {about['version']} goes on: {pids}")
    return code


def _await(daemon: Daemon, began: float, timeout: float) -> Json:
    """Wait for a daemon that began after we asked, and give what it says of itself."""
    while True:
        age = time.monotonic() - began
        about = _about(daemon)
        if about and about["holderPid"] and about["uptime"] < age:
            return about
        if age > timeout:
            raise CommandError(
                "the new daemon does not answer yet",
                mend="weaver logs --daemon; services run on under the holder",
                code=exits.TIMED_OUT,
            )
        time.sleep(LOOK_EVERY_S)


def _about(daemon: Daemon) -> Json:
    """Give what the daemon says of itself; nothing while none answers."""
    with suppress(CommandError):
        if daemon.answers():
            found: Json = daemon.ask("/v1/status", {"format": "json"}).json()["daemon"]
            return found
    return {}
