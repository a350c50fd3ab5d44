"""The state directory while a daemon owns it: one daemon to a directory, and a private one."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

from reconciler import __version__
from reconciler.failpoints import failpoint
from reconciler.ports import ConflictError, ForbiddenError, HostError
from reconciler.runtime import socket_file
from reconciler.runtime.paths import StatePaths

_CREDENTIALS = struct.Struct("3i")
_BACKLOG = 256
_ASKERS = 64
"""Second daemons that can ask for the first one's pid between two looks."""


class Home:
    """A state directory, locked; what is lost of it while the daemon lives is made again."""

    def __init__(self, paths: StatePaths) -> None:
        """Take the directory for this process. Raises ConflictError naming who has it."""
        self.paths = paths
        make_private(paths.state)
        self._lock = take_name(paths.daemon_lock)
        try:
            self._lock_file = self._take_file()
        except BaseException:
            self._lock.close()
            raise
        self._hide_from_git()

    def restore(self) -> bool:
        """Make again what vanished, as `git clean -fdx` does it; tell whether anything had."""
        self._turn_away()
        if _inode(self.paths.lock_file) == _inode_of(self._lock_file):
            return False
        make_private(self.paths.state)
        failpoint("daemon.restore.before")
        # The former one stays ours until there is another, or the next look would be at no file.
        former, self._lock_file = self._lock_file, self._take_file()
        os.close(former)
        self._hide_from_git()
        return True

    def leave(self) -> None:
        """Let the next daemon in, and take the notes about this one away."""
        failpoint("daemon.leave.before")
        for note in (
            self._registered(),
            self.paths.socket_note,
            self.paths.socket,
            self.paths.lock_file,
        ):
            if note is not None:
                with suppress(OSError):
                    note.unlink()
        os.close(self._lock_file)
        failpoint("daemon.leave.unlocked")
        self._lock.close()

    def register(self) -> None:
        """Leave the notes by which clients find this daemon."""
        with suppress(OSError):  # a convenience; without it `-C` finds the daemon
            note = self._registered()
            make_private(note.parent.parent)
            make_private(note.parent)
            write_whole(note, f"{self.paths.root}\n{self.paths.socket}\n")
        if self.paths.socket_note is not None:
            with suppress(OSError):  # clients of the same surroundings find it without
                write_whole(self.paths.socket_note, f"{self.paths.socket}\n")

    def _turn_away(self) -> None:
        """Hang up on those who asked whose name it is, before they fill the queue."""
        with suppress(OSError):
            while True:
                self._lock.accept()[0].close()

    def _hide_from_git(self) -> None:
        """Let git ignore the directory, whatever the repository's own .gitignore says."""
        with suppress(OSError):
            write_whole(self.paths.state / ".gitignore", "*\n")

    def _registered(self) -> Path:
        return Path(socket_file.registry_directories()[0], self.paths.key)

    def _take_file(self) -> int:
        """Lock the file that says whose directory this is, and give its descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            taken = os.open(self.paths.lock_file, flags, 0o600)
        except OSError as why:
            raise HostError(
                f"cannot write to {self.paths.state}: {_words(why)}",
                mend="make room there, or keep state elsewhere with `--state-dir DIR`",
            ) from why
        try:
            failpoint("daemon.lock.before")
            fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
            failpoint("daemon.lock.taken")
        except BlockingIOError:
            owner = os.pread(taken, 32, 0).decode("ascii", "replace").partition("\n")[0]
            os.close(taken)
            raise already_running(owner) from None
        except OSError as why:
            os.close(taken)
            raise HostError(
                f"cannot lock {self.paths.lock_file}: {_words(why)}",
                mend="keep state on a file system that has locks, with `--state-dir DIR`",
            ) from why
        with suppress(OSError):  # a full disk: the lock counts, the pid in it only informs
            os.ftruncate(taken, 0)
            os.pwrite(taken, f"{os.getpid()}\n{__version__}\n".encode(), 0)
        return taken


def find_owner(paths: StatePaths) -> tuple[int | None, str] | None:
    """Give pid and version of the daemon that holds a directory; None where none does.

    The pid is None where too many ask for it at once, and the version then what was noted last.
    """
    if not is_held(paths.daemon_lock):
        return None
    pid = owner_of(paths.daemon_lock)
    try:
        said = paths.lock_file.read_text().split("\n")
    except OSError:
        said = []
    version = said[1] if len(said) > 1 and (pid is None or said[0] == str(pid)) else ""
    return (pid, version)


def already_running(pid: int | str) -> ConflictError:
    """Say who holds the directory."""
    who = f"daemon {pid}" if pid else "another daemon"
    return ConflictError(
        f"cannot start: {who} runs this directory",
        mend="`weaver status` talks to it; `weaver down` ends it, services included",
    )


def take_name(name: bytes) -> socket.socket:
    """Hold an abstract socket, which no cleaning of files can take away."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        failpoint("daemon.name.before")
        held.bind(name)
        failpoint("daemon.name.bound")
        held.listen(_ASKERS)
        held.setblocking(False)
    except OSError as why:
        held.close()
        raise already_running(owner_of(name) or "") from why
    return held


def is_held(name: bytes, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Tell whether somebody listens on an abstract socket of this kind."""
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.setblocking(False)
        try:
            client.connect(name)
        except BlockingIOError:
            return True  # its queue is full of askers like us
        except OSError:
            return False
    return True


def owner_of(name: bytes) -> int | None:
    """Give the pid that holds an abstract socket.

    None where nobody does, and where that cannot be known: its queue is full of askers like us, or
    whoever it is lives in another name space. Never 0, which to kill means our own group.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        with suppress(OSError):
            client.connect(name)
            pid, _, _ = _CREDENTIALS.unpack(
                client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            return int(pid) or None
    return None


def make_private(folder: Path) -> None:
    """Make a folder of mode 0700, or see that it is one of ours. Raises ForbiddenError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat()
    except FileExistsError:
        raise HostError(f"cannot use {folder}: it is no folder", mend="move it away") from None
    except OSError as why:
        raise HostError(
            f"cannot make {folder}: {_words(why)}", mend="`--state-dir DIR` keeps state elsewhere"
        ) from why
    if found.st_uid != os.getuid():
        raise ForbiddenError(
            f"cannot use {folder}: it belongs to uid {found.st_uid}, this is uid {os.getuid()}",
            mend="run Weaver as its owner, or keep state elsewhere with `--state-dir DIR`",
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        raise ForbiddenError(
            f"cannot use {folder}: others may write to it (mode {mode:04o})",
            mend=f"look at what is in it, then `chmod 700 {folder}`",
        )
    if mode & 0o077:
        folder.chmod(0o700)


def bind_socket(path: Path) -> socket.socket:
    """Listen on the API's socket, mode 0600.

    Call only while holding the lock: an old socket of ours is then a dead one, and is replaced.
    Anything else in its place is left alone and refused.
    """
    make_private(path.parent)
    try:
        found = path.lstat()
    except FileNotFoundError:
        pass
    else:
        refuse_unless_ours(path, found)
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        failpoint("daemon.socket.before")
        bound.bind(str(path))
        failpoint("daemon.socket.bound")
        # The folder is private, so nobody can come in before this.
        path.chmod(0o600)
        # Who connects from now on waits until the server takes it, and is not refused.
        bound.listen(_BACKLOG)
    except OSError as why:
        bound.close()
        raise HostError(f"cannot listen on {path}: {_words(why)}") from why
    return bound


def refuse_unless_ours(path: Path, found: os.stat_result) -> None:
    """Never take away what is not a socket of this user."""
    if not stat.S_ISSOCK(found.st_mode):
        raise HostError(f"cannot listen on {path}: it is no socket", mend="move it away")
    if found.st_uid != os.getuid():
        raise ForbiddenError(
            f"cannot listen on {path}: the socket there belongs to uid {found.st_uid}",
            mend="keep state elsewhere with `--state-dir DIR`",
        )


def write_whole(path: Path, text: str) -> None:
    """Replace a small file in one step; a reader sees the old text or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    failpoint("daemon.note.before")
    fresh.replace(path)
    failpoint("daemon.note.written")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _inode_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino)


def _words(why: OSError) -> str:
    return os.strerror(why.errno).lower() if why.errno else str(why)
