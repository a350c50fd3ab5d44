"""Keep out of each other's way: git's own index lock, and one writer of ours at a time.

While we write back we hold `index.lock`, as any git command would, so that nobody stages or
commits between our reading of the index and our writing. The lock carries our name: what a killed
writer left behind is told from a git command's lock, and only the former is ever removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from reconciler.adapters.git.checkout import Checkout
from reconciler.failpoints import failpoint
from reconciler.ports import ConflictError

WAIT_S = 10.0
"""How long another one's lock is waited for."""
PAUSE_S = 0.02
WRITER_LOCK = "weaver-writer"
LEFT_OVER = "weaver-tmp-"
"""How every temporary file of ours in the git directory begins."""

_MARK = b"weaver "
_MARK_LIMIT_BYTES = 128


class Holder(Enum):
    """Who holds the index."""

    NOBODY = "nobody"
    WEAVER = "weaver"
    DEAD_WEAVER = "dead weaver"
    OTHER = "other"


def index_holder(checkout: Checkout) -> Holder:
    """Tell whose the index lock is."""
    mark = _mark_in(index_lock(checkout))
    if mark is None:
        return Holder.NOBODY
    if not mark.startswith(_MARK):
        return Holder.OTHER
    return Holder.WEAVER if _is_alive(mark) else Holder.DEAD_WEAVER


def index_lock(checkout: Checkout) -> Path:
    """Give the file that locks the index."""
    return checkout.git_dir / "index.lock"


@contextmanager
def writer(checkout: Checkout, wait_s: float = WAIT_S) -> Iterator[None]:
    """Be the one writer of this work tree; the kernel ends that with our process."""
    path = checkout.git_dir / WRITER_LOCK
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        deadline = time.monotonic() + wait_s
        while not _locked(file.fileno()):
            if time.monotonic() >= deadline:
                raise ConflictError(
                    f"cannot write to {checkout.git_dir}: another weaver is writing",
                    mend="try again in a moment",
                )
            time.sleep(PAUSE_S)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def index(checkout: Checkout, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold git's index lock. Call it as the one `writer`.

    Raises ConflictError, with the lock's path and age, when another one keeps it too long.
    """
    path = index_lock(checkout)
    deadline = time.monotonic() + wait_s
    while not _created(path):
        if index_holder(checkout) is Holder.DEAD_WEAVER:
            remove_left_over(path)
        elif time.monotonic() >= deadline:
            raise ConflictError(
                f"cannot commit: {path} is held by another git command{_age_of(path)}",
                mend="let it end, or remove the file if no git command is running",
            )
        else:
            time.sleep(PAUSE_S)
    try:
        failpoint("git.lock.taken")
        yield
    finally:
        _release(path)


def _release(path: Path) -> None:
    """Let go of the index; what was done meanwhile counts, whether this succeeds or not."""
    try:
        failpoint("git.unlock.before")
        path.unlink(missing_ok=True)
    except OSError:
        # A lock that stays all the same is removed once we have ended, as that of the dead.
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _created(path: Path) -> bool:
    """Make the lock with our mark already in it: a lock without a mark would be a stranger's."""
    if path.exists():
        return False
    draft = path.with_name(f"{LEFT_OVER}lock-{os.getpid()}")
    draft.write_bytes(_own_mark())
    try:
        failpoint("git.lock.before")
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _own_mark() -> bytes:
    pid = os.getpid()
    return b"weaver %d %s %s\n" % (pid, _birth_of(pid), _boot())


def _mark_in(path: Path) -> bytes | None:
    """Give the beginning of a lock file, None where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(_MARK_LIMIT_BYTES)
    except FileNotFoundError:
        return None


def _is_alive(mark: bytes) -> bool:
    words = mark.split()
    if len(words) != 4 or not words[1].isdigit():
        return False
    _, pid, birth, boot = words
    return boot == _boot() and birth == _birth_of(int(pid))


def _birth_of(pid: int) -> bytes:
    """Give the tick at which a process began, empty for one that is gone or a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
    fields = status.rpartition(b")")[2].split()
    return b"" if fields[0] in {b"Z", b"X"} else fields[19]


def _boot() -> bytes:
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()


def remove_left_over(path: Path) -> None:
    """Remove a dead writer's lock, as the one `writer`; put back what is somebody else's."""
    aside = path.with_name(f"{LEFT_OVER}stale-{os.getpid()}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        found = _mark_in(aside) or b""
        if not found.startswith(_MARK) or _is_alive(found):
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _age_of(path: Path) -> str:
    with suppress(FileNotFoundError):
        return f", for {max(0.0, time.time() - path.stat().st_mtime):.0f} s"
    return ""


def sweep(checkout: Checkout) -> None:
    """Remove the temporary files of writers that were killed. Call it as the one `writer`."""
    sweep_in(checkout.git_dir)


def sweep_in(git_dir: Path) -> None:
    """Remove what killed writers left in a directory of git's, while none is at work there."""
    for path in git_dir.glob(f"{LEFT_OVER}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
