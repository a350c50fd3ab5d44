"""`weaver start`, `stop`, `restart` and `reload`."""

from __future__ import annotations

import click

from reconciler.cli.options import (
    Duration,
    Patience,
    Selection,
    command,
    formats,
    reason_option,
    selectors,
    time_to_live,
    waiting,
)
from reconciler.cli.session import Session
from reconciler.cli.verbs import change, operate, selected


@command("start")
@selectors
@reason_option
@waiting()
@formats("text", "json")
def start_command(
    session: Session, selection: Selection, patience: Patience, output: str, reason: str
) -> int:
    """Start services: commit `state: running`, and wait until they are ready.

    A crashed one is started at once, its failures forgotten, without a commit.
    """
    daemon = session.running_daemon()
    services = selected(daemon, selection)
    body = {"kind": "start", "services": services, "reason": reason}
    return change(session, daemon, body, patience, output)


@command("stop")
@selectors
@click.option("--with-dependents", is_flag=True, help="Stop what needs it too, in one commit.")
@click.option("--only", is_flag=True, help="Stop it alone, though others need it.")
@click.option("--now", is_flag=True, help="Kill it, without preStop and stopTimeout.")
@click.option("--ephemeral", is_flag=True, help="Commit nothing; go back when --for is over.")
@click.option(
    "--for",
    "span",
    type=Duration(),
    metavar="TIME",
    help="With --ephemeral: how long (1h; 24h at most).",
)
@reason_option
@waiting()
@formats("text", "json")
def stop_command(
    session: Session,
    selection: Selection,
    patience: Patience,
    output: str,
    **said: object,
) -> int:
    """Stop services: commit `state: stopped`, and wait until they have stopped.

    Refused (exit 5) while other services that run need one of them. With --ephemeral nothing is
    committed: it is shown as drift, and ends by itself or with `weaver revert`.
    """
    if said["with_dependents"] and said["only"]:
        raise click.UsageError("--with-dependents and --only exclude each other")
    ttl = time_to_live(said["span"], is_ephemeral=bool(said["ephemeral"]), option="--for")
    daemon = session.running_daemon()
    body = {
        "kind": "stop",
        "services": selected(daemon, selection),
        "withDependents": said["with_dependents"],
        "only": said["only"],
        "reason": said["reason"],
    }
    how = {key: value for key, value in (("now", said["now"]), ("ttl", ttl)) if value}
    return change(session, daemon, body | how, patience, output)


@command("restart")
@selectors
@reason_option
@waiting()
@formats("text", "json")
def restart_command(
    session: Session, selection: Selection, patience: Patience, output: str, reason: str
) -> int:
    """Restart services, and wait until they are ready. No commit: nothing wanted changes."""
    daemon = session.running_daemon()
    services = selected(daemon, selection)
    body = {"kind": "restart", "services": services, "reason": reason}
    return operate(session, daemon, body, patience, output)


@command("reload")
@selectors
@reason_option
@waiting()
@formats("text", "json")
def reload_command(
    session: Session, selection: Selection, patience: Patience, output: str, reason: str
) -> int:
    """Have services load their configuration anew, as `reload` of their manifests says.

    No process is replaced, and nothing is committed. Refused (exit 5) for a service that does not
    say how it is reloaded; exit 4 where its signal ended a process that does not handle it.
    """
    daemon = session.running_daemon()
    services = selected(daemon, selection)
    body = {"kind": "reload", "services": services, "reason": reason}
    return operate(session, daemon, body, patience, output)
