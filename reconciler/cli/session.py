"""What one invocation of the command line is about: which repository, and how to talk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli import exits, place
from reconciler.cli.errors import CommandError
from reconciler.cli.fast import may_colour
from reconciler.cli.screen import err
from reconciler.runtime import socket_file

if TYPE_CHECKING:
    from reconciler.cli.client import Daemon


@dataclass(slots=True)
class Session:
    """The global options, filled in while the command line is parsed."""

    directory: str | None = None
    state_dir: str | None = None
    format: str | None = None
    plain: bool = False
    """No colour, whatever the terminal can do."""
    quiet: bool = False
    verbose: bool = False

    @property
    def colour(self) -> bool:
        """Tell whether results may be coloured."""
        return may_colour(self.plain)

    @property
    def colour_errors(self) -> bool:
        """Tell whether progress and errors may be coloured."""
        return may_colour(self.plain, descriptor=2)

    def root(self) -> str:
        """Give the repository: named, found around, or that of the only daemon there is."""
        root = place.named_root(self._directory())
        if root is not None:
            return root
        running = socket_file.read_registry()
        if len(running) == 1:
            return running[0][0]
        raise _nowhere([found for found, _ in running])

    def home(self) -> str:
        """Give the repository as `root` does, without looking at daemons: for offline work."""
        return place.named_root(self._directory()) or os.path.realpath(".")

    def daemon(self) -> Daemon:
        """Give the daemon of the repository, whether it runs or not."""
        return self.daemon_of(self.root())

    def daemon_of(self, root: str) -> Daemon:
        """Give the daemon of a repository that was settled already."""
        from reconciler.cli.client import Daemon

        path = socket_file.socket_path(root, place.state_dir(self.state_dir))
        if self.verbose:
            err(f"repository {root}, socket {path}")
        return Daemon(root, path)

    def running_daemon(self) -> Daemon:
        """Give the daemon of the repository; a CommandError where none answers."""
        daemon = self.daemon()
        if not daemon.answers():
            raise daemon.unreachable()
        return daemon

    def _directory(self) -> str | None:
        """Give the directory of `-C`; a CommandError where it is none."""
        if self.directory is not None and not Path(self.directory).is_dir():
            raise CommandError(
                f"cannot use {self.directory}: no such directory",
                mend="name a directory that exists",
                code=exits.NOT_FOUND,
            )
        return self.directory


def _nowhere(roots: list[str]) -> CommandError:
    """Say that no repository was named, and which there are."""
    if roots:
        return CommandError(
            "which repository? the working directory is in none, and several daemons run:",
            details=[f"    weaver -C {root} ..." for root in sorted(roots)],
            mend="name one with -C DIR, or make this directory one: weaver init",
            code=exits.NO_DAEMON,
        )
    return CommandError(
        "no repository here (no services.d, weaver.yaml or .weaver up to /), and no daemon runs",
        mend="weaver init, or name a repository with -C DIR",
        code=exits.NO_DAEMON,
    )
