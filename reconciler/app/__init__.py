"""The composition root: the one place that names concrete adapters, and puts Weaver together.

The command line starts everything through these functions. They raise `WeaverError` for what a
person can mend, and import what they need when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.runtime.options import RunningDaemon, UpOptions

if TYPE_CHECKING:
    from reconciler.app.offline import Offline
    from reconciler.app.received import Receiving
    from reconciler.runtime.followed import Followed
    from reconciler.runtime.messages import Message

__all__ = [
    "RunningDaemon",
    "UpOptions",
    "find_running",
    "follow",
    "followed",
    "make_bare",
    "open_offline",
    "open_push",
    "run_foreground",
    "start_detached",
    "what_is_followed",
]

DETACHED = "reconciler.app.detached"
"""The program of a daemon in the background."""
DEFAULT_BRANCH = "main"


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
    from reconciler.app.source import require_source
    from reconciler.runtime import detach, home
    from reconciler.runtime.paths import StatePaths

    paths = StatePaths.of(options.root, options.state_dir)
    require_source(paths)
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


def followed(url: str, branch: str | None, folder: str | None) -> Followed:
    """Give what a person names to be followed. Raises ManifestError where git must not see it."""
    from reconciler.adapters.git.remote.address import check_branch, check_folder, check_url
    from reconciler.runtime.followed import Followed

    return Followed(
        url=check_url(url, Path.cwd()).url,
        branch=check_branch(branch or DEFAULT_BRANCH),
        folder=check_folder(folder or ""),
    )


def what_is_followed(options: UpOptions) -> Followed | None:
    """Give what a home follows; None where it is its own files."""
    from reconciler.runtime import followed
    from reconciler.runtime.paths import StatePaths

    return followed.read(StatePaths.of(options.root, options.state_dir).state)


def follow(options: UpOptions, wanted: Followed | None) -> None:
    """Have the next daemon of a home follow this; None: the home's own files."""
    from reconciler.runtime import followed, home
    from reconciler.runtime.paths import StatePaths

    state = StatePaths.of(options.root, options.state_dir).state
    if wanted is None:
        followed.forget(state)
    elif wanted != followed.read(state):
        home.make_private(state)
        followed.write(state, wanted)


def make_bare(place: Path) -> Sequence[str]:
    """Make a repository that people push to; give what was written."""
    from reconciler.adapters.git.serve import make_bare

    return make_bare(place)


def open_push(git_dir: Path, environ: Mapping[str, str]) -> Receiving:
    """Check what is pushed into a bare repository, as its hook."""
    from reconciler.app.received import Receiving

    return Receiving(git_dir, environ)


def open_offline(directory: Path, *, cached: bool = True) -> Offline:
    """Read the manifests of a directory, as saved or of a revision, with no daemon.

    What a cache in the work tree says is taken for true, unless it is not to be looked at.
    """
    from reconciler.app.offline import Offline

    return Offline(directory, cached=cached)
