"""Bring a daemon up in the background, or find the one that runs already."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler import __version__
from reconciler.api.human import plain
from reconciler.cli import exits, place, screen
from reconciler.cli.client import Daemon
from reconciler.cli.errors import CommandError
from reconciler.cli.options import Patience
from reconciler.cli.session import Session
from reconciler.cli.verbs import operate
from reconciler.model.units import is_older
from reconciler.ports import WeaverError
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths

ENDS_WITHIN_S = 15.0
LOOK_EVERY_S = 0.02
LOG_LINES = 10
"""Of daemon.log, shown when a daemon did not come up."""


def up_options(
    session: Session, root: str, only: tuple[str, ...] = (), *, logs: bool = False
) -> UpOptions:
    """Give what a daemon of a repository is told."""
    from reconciler.model.units import ServiceName

    state = place.state_dir(session.state_dir)
    return UpOptions(
        root=Path(root),
        state_dir=Path(state) if state else None,
        only=tuple(ServiceName(name) for name in only),
        logs=logs,
    )


def settle_source(options: UpOptions, said: Mapping[str, Any]) -> None:
    """Note what is to be followed, where that was said; beside a live daemon it must be the same.

    Raises WeaverError for an address or a name that git must not see.
    """
    from reconciler import app

    if said["no_repo"] and said["repo"]:
        raise CommandError("--repo and --no-repo exclude each other", code=exits.USAGE)
    for option in ("branch", "folder"):
        if said[option] is not None and not said["repo"]:
            name = "path" if option == "folder" else option
            raise CommandError(f"--{name} is of a repository: say --repo URL", code=exits.USAGE)
    if not said["repo"] and not said["no_repo"]:
        return
    wanted = app.followed(said["repo"], said["branch"], said["folder"]) if said["repo"] else None
    running = app.find_running(options)
    if running is not None and wanted != app.what_is_followed(options):
        raise CommandError(
            f"the daemon (pid {running.pid}) follows something else",
            mend="end it first, services run on: weaver down --keep-services",
            code=exits.CONFLICT,
        )
    app.follow(options, wanted)


def ensure_daemon(session: Session) -> Daemon:
    """Give the daemon of the repository; where none runs, one is started in the background."""
    daemon = session.daemon()
    if not daemon.answers():
        pid = start(up_options(session, daemon.root))
        _say(session, f"started the daemon in the background (pid {pid}); weaver down ends it")
    return daemon


def bring_up(session: Session, options: UpOptions, patience: Patience) -> int:
    """Have a daemon run in the background, wait until all is as wanted, and say so."""
    from reconciler import app

    running = app.find_running(options)
    daemon = session.daemon_of(str(options.root))
    if running is not None and is_older(running.version, __version__):
        _say(session, f"weaver {__version__} takes over from {running.version}")
        _hand_over(daemon, patience)
        await_end(options)
        running = None
    if running is None:
        _start_or_find(session, options)
    return operate(session, daemon, {"kind": "settle"}, patience)


def _start_or_find(session: Session, options: UpOptions) -> None:
    """Start a daemon; where another one was just started, by the holder perhaps, that one is it."""
    from reconciler import app

    try:
        pid = start(options)
    except CommandError as error:
        running = app.find_running(options) if error.code == exits.CONFLICT else None
        if running is None:
            raise
        who = f" (pid {running.pid})" if running.pid else ""
        _say(session, f"weaver {running.version} runs already{who}")
    else:
        _say(session, f"weaver {__version__} runs in the background (pid {pid})")


def start(options: UpOptions) -> int:
    """Start a daemon of its own and give its pid; where it fails, show the end of its log."""
    from reconciler import app

    log = StatePaths.of(options.root, options.state_dir).daemon_log
    earlier = _size(log)
    try:
        return app.start_detached(replace(options, comes_back=True))
    except WeaverError as error:
        raise CommandError(
            str(error), mend=error.mend, code=error.exit_code, details=last_lines(log, earlier)
        ) from error


def await_end(options: UpOptions) -> None:
    """Return once no daemon holds the directory any more, so that the next one may."""
    from reconciler import app

    deadline = time.monotonic() + ENDS_WITHIN_S
    while (running := app.find_running(options)) is not None:
        if time.monotonic() > deadline:
            whom = str(
                running.pid
                or f"the pid in {StatePaths.of(options.root, options.state_dir).lock_file}"
            )
            raise CommandError(
                f"the daemon (pid {running.pid or 'unknown'}) has said goodbye and does not end",
                mend=f"kill {whom}; services are not touched by that",
                code=exits.TIMED_OUT,
            )
        time.sleep(LOOK_EVERY_S)


def last_lines(path: Path, earlier: int = 0) -> list[str]:
    """Give the end of a log but for its first bytes, which an earlier daemon wrote."""
    try:
        with path.open("rb") as log:
            log.seek(earlier if earlier <= _size(path) else 0)
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [f"    | {plain(line)}" for line in text.splitlines()[-LOG_LINES:]]


def _size(path: Path) -> int:
    """Give the size of a file; 0 where it cannot be told."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _say(session: Session, text: str) -> None:
    """Say what becomes of the daemon."""
    if not session.quiet:
        screen.err(text)


def _hand_over(daemon: Daemon, patience: Patience) -> None:
    """End a daemon and leave its services running for the next one."""
    for message in daemon.tell("/v1/shutdown", {"keepServices": True}, patience.timeout):
        if message["type"] == "problem":
            raise CommandError(message["title"], mend=message.get("mend", ""))
