"""`weaver rollout`."""

from __future__ import annotations

import click

from reconciler.cli import texts
from reconciler.cli.options import Patience, ServiceName, command, formats, reason_option, waiting
from reconciler.cli.root import CONTEXT
from reconciler.cli.session import Session
from reconciler.cli.verbs import operate


@click.group("rollout", context_settings=CONTEXT)
def rollout_command() -> None:
    """Show how a new version comes to the instances of a service, and decide about it."""


@command("status")
@click.argument("name", required=False, type=ServiceName())
@formats("text", "json")
def status_command(session: Session, name: str | None, output: str) -> int:
    """Show rollouts: which instances have the new version, and why one failed."""
    return texts.show(session, "/v1/rollouts", {"name": name, "format": output})


@command("pause")
@click.argument("name", type=ServiceName())
@reason_option
@formats("text", "json")
def pause_command(session: Session, name: str, output: str, reason: str) -> int:
    """Touch no further instance; those that have the new version keep it."""
    patience = Patience(wait=True, timeout=PAUSE_S)
    return _steer(session, name, "pause", patience, output, reason)


@command("resume")
@click.argument("name", type=ServiceName())
@reason_option
@waiting()
@formats("text", "json")
def resume_command(
    session: Session, patience: Patience, name: str, output: str, reason: str
) -> int:
    """Go on with a rollout that is paused, and try a version that failed once more."""
    return _steer(session, name, "resume", patience, output, reason)


@command("undo")
@click.argument("name", type=ServiceName())
@reason_option
@waiting()
@formats("text", "json")
def undo_command(session: Session, patience: Patience, name: str, output: str, reason: str) -> int:
    """Go back to the version before. The manifest stays as it is: `weaver undo` reverts that."""
    return _steer(session, name, "undo", patience, output, reason)


PAUSE_S = 30.0


def _steer(
    session: Session, name: str, steer: str, patience: Patience, output: str, reason: str
) -> int:
    body = {"kind": "rollout", "service": name, "steer": steer, "reason": reason}
    return operate(session, session.running_daemon(), body, patience, output)


for _command in (status_command, pause_command, resume_command, undo_command):
    rollout_command.add_command(_command)
