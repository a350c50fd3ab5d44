"""The composition root: the one place that names concrete adapters, and puts Weaver together.

The command line starts everything through these functions. They raise `WeaverError` for what a
person can mend, and import what they need when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.runtime.options import RunningDaemon, UpOptions

if TYPE_CHECKING:
    from reconciler.app.offline import Offline
    from reconciler.runtime.messages import Message

__all__ = [
    "RunningDaemon",
    "UpOptions",
    "find_running",
    "open_offline",
    "run_foreground",
    "start_detached",
]

DETACHED = "reconciler.app.detached"
"""The program of a daemon in the background."""


def run_foreground(options: UpOptions, show: Callable[[Message], None]) -> int:
    """Run the daemon in this process, and give its exit code when it has ended.

    `show` gets every message as it comes: `EventSeen`, `Note`, `Problem`, `Converged`.
    """
    from reconciler.app.life import live

    return live(options, show=show)


def start_detached(options: UpOptions) -> int:
    """Start a daemon of its own and give its pid once it answers on its socket.

    How it converges is then asked with `POST /v1/operations {kind: settle}`, as beside a daemon
    that ran before.
    """
    from reconciler.app.checkout import require_repository
    from reconciler.runtime import detach, home
    from reconciler.runtime.paths import StatePaths

    require_repository(options.root)
    paths = StatePaths.of(options.root, options.state_dir)
    home.make_private(paths.state)
    return detach.start(DETACHED, options, paths.daemon_log)


def find_running(options: UpOptions) -> RunningDaemon | None:
    """Give the daemon that holds this directory; None where none does."""
    from reconciler.runtime.home import find_owner
    from reconciler.runtime.paths import StatePaths

    paths = StatePaths.of(options.root, options.state_dir)
    found = find_owner(paths)
    if found is None:
        return None
    pid, version = found
    return RunningDaemon(pid=pid, version=version, socket=paths.socket)


def open_offline(directory: Path) -> Offline:
    """Read the manifests of a directory, as saved or of a revision, with no daemon."""
    from reconciler.app.offline import Offline

    return Offline(directory)
