"""Carry a long verb through: send it, show it at work, end with its one line and exit code."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.api.human import plain
from reconciler.cli import exits, screen
from reconciler.cli.author import author
from reconciler.cli.client import Daemon, Json
from reconciler.cli.errors import CommandError
from reconciler.cli.options import Patience, Selection
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session
from reconciler.cli.texts import look


def change(
    session: Session, daemon: Daemon, body: Json, patience: Patience, output: str = "text"
) -> int:
    """Ask for a change of manifests, which ends in a commit, and see it through."""
    return carry(session, daemon, "/v1/changes", body, patience, output)


def operate(
    session: Session, daemon: Daemon, body: Json, patience: Patience, output: str = "text"
) -> int:
    """Ask for an operation, which changes no manifest, and see it through."""
    return carry(session, daemon, "/v1/operations", body, patience, output)


def carry(
    session: Session, daemon: Daemon, path: str, body: Json, patience: Patience, output: str
) -> int:
    """Send a request, signed and with its terms, and follow what it says."""
    whole = {
        **body,
        "author": author(daemon.root),
        "wait": patience.wait,
        "timeout": patience.timeout,
    }
    return follow(session, daemon.tell(path, whole, patience.timeout, look(session)), output)


def follow(session: Session, messages: Iterable[Json], output: str = "text") -> int:
    """Show messages until the summary and give its exit code."""
    if output == "json":
        return _pass_on(messages)
    progress = Progress(quiet=session.quiet, colour=session.colour_errors)
    try:
        for message in messages:
            if message["type"] == "summary":
                if not message["exitCode"]:
                    progress.arrived()
                progress.close()
                return _conclude(session, message)
            _show(session, progress, message)
    except KeyboardInterrupt:
        progress.close()
        raise CommandError(
            "cancelled; what was asked for goes on in the daemon",
            mend="weaver status shows how it goes",
            code=exits.CANCELLED,
        ) from None
    finally:
        progress.close()
    raise CommandError(
        "the daemon went away before it was done",
        mend="weaver up --detach",
        code=exits.NO_DAEMON,
    )


def _pass_on(messages: Iterable[Json]) -> int:
    """Print every message as a line of JSON."""
    code = exits.NO_DAEMON
    for message in messages:
        screen.out_json_line(message)
        code = message.get("exitCode", code) if message["type"] == "summary" else code
    return code


def _show(session: Session, progress: Progress, message: Json) -> None:
    """Show one message of a verb at work."""
    match message["type"]:
        case "action":
            progress.action(message)
        case "note":
            progress.say(plain(message["text"]))
        case "problem":
            _complain(session, progress, message)
        case "planned" if message.get("dryRun"):
            progress.close()
            screen.out(message["text"].rstrip("\n"))
        case "event" if session.verbose:
            progress.say(f"  {message['kind']} {message['service']} {plain(message['reason'])}")


def _complain(session: Session, progress: Progress, message: Json) -> None:
    """Print a problem, the last log lines of the service that failed, and the mend."""
    progress.close()
    tail = [f"    | {plain(line)}" for line in message.get("logTail", ())]
    faults = [fault_text(fault) for fault in message.get("errors", ())]
    failure = CommandError(
        plain(message["title"]), mend=plain(message.get("mend", "")), details=faults + tail
    )
    screen.complain(failure, colour=session.colour_errors)


def fault_text(fault: Json) -> str:
    """Say one diagnostic as people and editors read it."""
    place = f"{fault['file']}:{fault['line']}:{fault['column']}"
    kind = "warning: " if fault.get("warning") else ""
    mend = f"\n    mend: {plain(fault['mend'])}" if fault.get("mend") else ""
    return plain(f"{place}: {fault['code']} {kind}{fault['message']}") + mend


def _conclude(session: Session, summary: Json) -> int:
    """Print the last line: what, which commit, how to undo.

    Of what failed it is shown where a commit has landed all the same; else all was said before.
    """
    code = int(summary["exitCode"])
    hints = [f"{key}: {plain(summary[key])}" for key in ("undo", "next") if summary.get(key)]
    text = plain(summary["text"]) + (f" ({'; '.join(hints)})" if hints else "")
    if code and hints:
        screen.err(text)
    elif not code and not session.quiet:
        screen.out(text)
    return code


def selected(daemon: Daemon, selection: Selection) -> list[str]:
    """Give the names of the services that were selected; a CommandError where there are none."""
    if not (selection.labels or selection.everything):
        return list(selection.names)
    query = {"format": "name", "selector": selection.labels}
    names = daemon.ask("/v1/status", query).body.decode().split()
    if not names:
        wanted = " ".join(selection.labels) or "any name"
        raise CommandError(
            f"no service matches {wanted}", mend="weaver service list", code=exits.NOT_FOUND
        )
    return list(dict.fromkeys([*selection.names, *names]))
