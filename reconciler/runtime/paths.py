"""Every path and lock name of one repository's daemon, computed in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.runtime import socket_file


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePaths:
    """Where everything of one repository is kept."""

    root: Path
    """The repository's folder, absolute and free of symlinks."""
    state: Path
    """Mode 0700; git-ignored."""
    socket: Path
    """The HTTP API; outside of `state` where its path would be too long for the kernel."""
    key: str
    """`<device>-<inode>` of the root: names the locks, whatever the folder is called."""

    @classmethod
    def of(cls, root: Path, state_dir: Path | None = None) -> StatePaths:
        """Compute the paths of a repository; nothing is created."""
        home = root.resolve(strict=True)
        state = state_dir.absolute() if state_dir else home / socket_file.STATE_DIRECTORY
        return cls(
            root=home,
            state=state,
            socket=Path(socket_file.socket_path(str(home), str(state))),
            key=socket_file.folder_key(str(home)),
        )

    @property
    def database(self) -> Path:
        """Give the record's SQLite file."""
        return self.state / "state.db"

    @property
    def daemon_log(self) -> Path:
        """Give the daemon's own log."""
        return self.state / "daemon.log"

    @property
    def holder_log(self) -> Path:
        """Give the holder's log."""
        return self.state / "holder.log"

    @property
    def holder(self) -> Path:
        """Give the directory of the holder's state: its journal is `journal` in it."""
        return self.state / "holder"

    @property
    def journal(self) -> Path:
        """Give the holder's journal."""
        return self.holder / "journal"

    @property
    def logs(self) -> Path:
        """Give the directory of the services' logs: `<service>/<index>.log`."""
        return self.state / "logs"

    @property
    def cache(self) -> Path:
        """Give the directory of what may be deleted at any time."""
        return self.state / "cache"

    @property
    def hooks(self) -> Path:
        """Give the directory of notes on the host's hooks that run, for the next daemon."""
        return self.state / "hooks"

    @property
    def lock_file(self) -> Path:
        """Give the file that a daemon holds an flock on; it contains its pid."""
        return self.state / "daemon.lock"

    @property
    def daemon_lock(self) -> bytes:
        """Give the abstract socket that a daemon holds: it outlives `git clean -fdx`."""
        return f"\0{socket_file.daemon_lock(self.key)}".encode()

    @property
    def socket_note(self) -> Path | None:
        """Give the file that must say where the socket is; None while it is in its usual place."""
        if self.socket.parent == self.state:
            return None
        return self.state / socket_file.ELSEWHERE_NAME
