"""`weaver run`: one command as a service would run it, on this terminal."""

from __future__ import annotations

import os
import shutil
from urllib.parse import quote

import click

from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.cli.identity import take_on
from reconciler.cli.options import command, service_argument
from reconciler.cli.session import Session

KEPT = ("TERM", "COLORTERM")
"""What a program needs to know of this terminal; the service's own values win."""


@command(
    "run", epilog="\b\nExample:\n  weaver run web -- python3 -c 'import os; print(os.environ)'"
)
@service_argument
@click.argument(
    "words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]..."
)
def run_command(session: Session, name: str, words: tuple[str, ...]) -> int:
    """Run a command in a service's environment and directory, on this terminal.

    It has the service's user, groups, umask and limits, is not supervised, and the exit code is
    the command's own.
    """
    found = session.daemon().ask(f"/v1/environment/{quote(name)}").json()
    identity = found.get("identity")
    if identity is not None:
        take_on(identity, name)
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    env = {**kept, **found["env"]}
    try:
        os.chdir(found["cwd"])
    except OSError as error:
        raise CommandError(
            f"cannot run in {found['cwd']}: {error.strerror}",
            mend=f"weaver edit {name}",
            code=exits.NOT_FOUND,
        ) from error
    program = shutil.which(words[0], path=env.get("PATH"))
    if program is None:
        raise CommandError(
            f"cannot find {words[0]} on the PATH of {name}: {env.get('PATH', '')}",
            mend=f"give its whole path, or: weaver set {name} env.PATH=...",
            code=exits.NOT_FOUND,
        )
    os.execve(program, list(words), env)  # noqa: S606 - running what the person typed is the point
