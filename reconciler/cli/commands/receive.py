"""`weaver receive`: what the hooks of a bare repository run; people do not."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from reconciler import app
from reconciler.api.human import count, plain
from reconciler.cli import exits, screen
from reconciler.cli.errors import CommandError
from reconciler.cli.options import command
from reconciler.cli.pushed import follow_push
from reconciler.cli.session import Session
from reconciler.runtime.received import Pushed, read_pushed

MEMORY_BYTES = 1 << 30
CPU_S = 30
"""A hostile push ends this process only, and is refused by that."""
ELAPSED_S = 120
"""However long its files take to read: whoever pushes is waiting."""


@command("receive", hidden=True)
@click.argument("hook", type=click.Choice(["pre-receive", "post-receive"]))
def receive_command(session: Session, hook: str) -> int:
    """Answer a push, as the hook of a repository that `weaver init --bare` made.

    pre-receive refuses what is invalid (exit 2); post-receive tells what comes of the rest.
    """
    git_dir = Path(os.environ.get("GIT_DIR", ".")).resolve()
    pushed = read_pushed(sys.stdin.buffer.read())
    if hook == "pre-receive":
        return _check(git_dir, pushed)
    return follow_push(git_dir, pushed, quiet=session.quiet)


def _check(git_dir: Path, pushed: Sequence[Pushed]) -> int:
    """Refuse a push that makes manifests invalid; say all that is wrong with it."""
    _limit()
    findings = app.open_push(git_dir, os.environ).check(pushed)
    wrong = [finding for finding in findings if finding.faults]
    for finding in wrong:
        for fault in finding.faults:
            screen.err(plain(str(fault.source)) + f": {fault.code} {plain(fault.message)}")
            if fault.mend:
                screen.err(f"    mend: {plain(fault.mend)}")
    if wrong:
        many = count(sum(len(finding.faults) for finding in wrong), "error")
        branches = ", ".join(plain(finding.branch) for finding in wrong)
        screen.err(f"refused: {many} in the manifests of {branches}; nothing was changed")
        return exits.USAGE
    known = sum(finding.known for finding in findings)
    if known:
        screen.err(f"{count(known, 'error')} in the manifests, as before: weaver validate")
    return exits.OK


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    signal.signal(signal.SIGXCPU, _give_up)
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(ELAPSED_S)


def _give_up(number: int, _frame: object) -> None:
    limit = f"{CPU_S} s of processor time" if number == signal.SIGXCPU else f"{ELAPSED_S} s"
    raise CommandError(
        f"cannot check this push within {limit}; nothing was changed", mend="push less at once"
    )
