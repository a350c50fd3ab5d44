"""Start the holder of a directory: `python -I -S reconciler/holder DIRECTORY STATE`.

Besides, `--resume FD` goes on in the place of a program that replaced itself by this one, and
`--check FD` only tells whether that could be done: see reexec.py.

With `--stay DIRECTORY STATE` it stays in front, as a unit of systemd, and says when it is ready.

It returns as soon as the holder answers, which goes on in the background, detached from the
caller. Exit status 3: the directory has a holder already.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import socket
import sys

# Started by its path, isolated: nothing but the standard library can be found yet.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from reconciler.failpoints import failpoint
from reconciler.holder import reexec, tree, wire
from reconciler.holder.journal import Journal
from reconciler.holder.log import Log
from reconciler.holder.loop import Loop

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable

HELD = 3
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36


def main(directory: str, state: str, files: str = "", *, stays: bool = False) -> int:
    """Take the directory's lock, and become its holder in the background.

    `files` is how many descriptors a service may open, where our caller allowed itself more.
    """
    if files:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), most))
    listener = wire.open_socket()
    try:
        check_state(state)
        failpoint("holder.listen.before")
        listener.bind(wire.address(directory))
        failpoint("holder.listen.bound")
    except OSError as error:
        is_held = error.errno == errno.EADDRINUSE
        why = "it has a holder already" if is_held else error.strerror
        sys.stderr.write(f"cannot hold {directory}: {why}\n")
        return HELD if is_held else 1
    if stays:
        serve(listener, os.path.abspath(state), group_name(directory), announce)
        return 0
    answers, ready = os.pipe()
    if os.fork():
        os.close(ready)
        return 0 if os.read(answers, 1) else 1
    failpoint("holder.begin.forked")
    os.close(answers)

    def tell() -> None:
        become_silent()
        os.write(ready, b"1")
        os.close(ready)

    serve(listener, os.path.abspath(state), group_name(directory), tell)
    return 0


def serve(listener: socket.socket, state: str, group: str, tell: Callable[[], None]) -> None:
    """Be the holder until it is time to leave."""
    detach()
    log = Log(state)
    journal = Journal(state)
    if problem := journal.load():
        log.write(problem)
    journal.ledger.begin_boot(tree.boot_id())
    loop = Loop(listener, journal, log, group)
    loop.open()
    log.write(f"holder {os.getpid()} has {len(journal.ledger.unfinished())} runs")
    failpoint("holder.begin.before")
    tell()
    failpoint("holder.begin.told")
    loop.run()


def resume(memfd: int) -> None:
    """Be the holder that another program was until now."""
    belongings = reexec.read(memfd)
    os.close(memfd)
    name_process()
    log = Log(belongings["state"])
    journal = Journal(belongings["state"])
    strange = reexec.fill(journal.ledger, belongings)
    try:
        loop = Loop(socket.socket(fileno=belongings["listener"]), journal, log, belongings["group"])
        failpoint("holder.resume.before")
        loop.resume(belongings)
        failpoint("holder.resume.after")
    except Exception:
        # The daemon sees it end, and starts one that takes over from the journal.
        log.write_failure()
        raise
    runs = len(journal.ledger.unfinished())
    log.write(f"holder {os.getpid()} of {reexec.PROGRAM} goes on with {runs} runs")
    if strange:
        log.write(f"{strange} lines of its past make no sense")
    loop.run()


def group_name(directory: str) -> str:
    """Name the control group of a directory's services, which is as unique as its holder."""
    found = os.stat(directory)
    return f"weaver-{found.st_dev}-{found.st_ino}"


def check_state(state: str) -> None:
    """Make the state folder, or see that nobody else can write into it."""
    try:
        os.mkdir(state, 0o700)
    except FileExistsError:
        found = os.stat(state)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"{state} belongs to uid {found.st_uid}") from None
        if found.st_mode & 0o022:
            text = f"others may write to {state}; chmod 700 {state}"
            raise PermissionError(errno.EPERM, text) from None


def detach() -> None:
    """Leave the caller's session and folder, and become the parent of every orphan below us."""
    with contextlib.suppress(PermissionError):  # a unit is in one of its own already
        os.setsid()
    os.chdir("/")
    os.umask(0o022)
    libc = name_process()
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def name_process() -> ctypes.CDLL:
    """Let lists of processes show who this is."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, b"weaver-holder", 0, 0, 0)
    return libc


def announce() -> None:
    """Say to systemd that we are ready, if it asked for that."""
    path = os.environ.pop("NOTIFY_SOCKET", "")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1", "\0" + path[1:] if path.startswith("@") else path)


def become_silent() -> None:
    """Let go of the caller's standard streams."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


if __name__ == "__main__":
    if sys.argv[1] == "--resume":
        resume(int(sys.argv[2]))
    elif sys.argv[1] == "--check":
        reexec.read(int(sys.argv[2]))
    elif sys.argv[1] == "--stay":
        sys.exit(main(*sys.argv[2:], stays=True))
    else:
        sys.exit(main(*sys.argv[1:]))
