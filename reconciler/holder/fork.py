"""Execute a program by fork, with steps of ours in the child before exec.

This is the slow way, for starts that ask for what posix_spawn cannot do. A child that cannot do
one of its steps writes which, and why, into a pipe that exec closes, and ends: so no failure of
ours is taken for one of the program's, whatever status that ends with.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import json
import os
import signal
import struct

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    from reconciler.holder.identity import Step

CLONE3 = 435  # on every architecture
CLONE_INTO_CGROUP = 0x200000000
CLOSE_RANGE = 436
CLOSE_RANGE_CLOEXEC = 4
NOT_HERE = (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP)
"""What clone3 says where the kernel is older, or a sandbox forbids it."""
STATUS = 127
ABOVE = 160
"""Descriptors from here on are never passed on: 3 streams, 16 sockets and 128 stored ones are."""
TRY_NEXT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)
"""What exec says of a folder of PATH that does not have the program."""
NOT_FOUND = "not found on its PATH (install it, or write its path)"
"""PATH itself is too long for a line; `weaver run NAME -- env` shows it."""
RESET_SIGNALS = [
    int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
]
SIG_SETMASK = int(signal.SIG_SETMASK)
SIGCHLD = int(signal.SIGCHLD)
EVERY_SIGNAL, NO_SIGNAL = b"\xff" * 128, b"\0" * 128  # a sigset_t
_python = ctypes.PyDLL(None, use_errno=True)
_python.syscall.restype = ctypes.c_long


class ChildError(Exception):
    """A step in the child failed: which, what that does in words, and the error."""

    def __init__(self, step: str, thing: str, number: int, why: str) -> None:
        super().__init__(why)
        self.step = step
        self.thing = thing
        self.error = OSError(number, why)


def execute(steps: Sequence[Step], cgroup: int = -1) -> int:
    """Do the steps in a child, the last of which is to exec, and give its pid once it did.

    `cgroup` is a descriptor of the cgroup's folder, where the child is born, so that nothing of
    it ever is elsewhere; where the kernel cannot do that, the child moves there as its first step.
    Raises ChildError for a step that failed, OSError when there is no room for a process.
    """
    answers, its_end = _high_pipe()
    try:
        pid = _fork(steps, cgroup, its_end)
    except BaseException:
        os.close(answers)
        raise
    finally:
        os.close(its_end)
    try:
        said = _read_all(answers)
    finally:
        os.close(answers)
    if said:
        os.waitpid(pid, 0)
        raise ChildError(*json.loads(said))
    return pid


def _high_pipe() -> tuple[int, int]:
    """Open a pipe whose end no descriptor that is passed on can take the place of."""
    answers, low = os.pipe2(os.O_CLOEXEC)
    try:
        return answers, fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, ABOVE)
    except OSError:
        os.close(answers)
        raise
    finally:
        os.close(low)


def exec_first(programs: Sequence[str], argv: list[str], env: dict[str, str]) -> NoReturn:
    """Execute the first of these programs that there is, as a search of PATH does."""
    found: OSError | None = None
    for program in programs:
        try:
            os.execve(program, argv, env)  # noqa: S606 - starting programs is what we do
        except OSError as error:
            if error.errno not in TRY_NEXT:
                raise
            # One that may not be executed says more than one that is not there.
            if found is None or error.errno == errno.EACCES:
                found = error
    if found is None or (len(programs) > 1 and found.errno != errno.EACCES):
        raise OSError(errno.ENOENT, NOT_FOUND)
    raise OSError(found.errno, known_cause(found) or found.strerror)


def known_cause(error: OSError) -> str:
    """Say what exec means by a number that it has for several things; empty where it has one."""
    program = error.filename
    if error.errno == errno.ENOENT and os.path.exists(program):
        return "its interpreter or loader does not exist"
    if error.errno == errno.EACCES and os.path.isdir(program):
        return "it is a directory"
    return ""


def _fork(steps: Iterable[Step], cgroup: int, its_end: int) -> int:
    """Fork with all signals blocked, so that no handler of ours runs in the child."""
    parent = os.getpid()
    mask = _mask(EVERY_SIGNAL)
    try:
        pid, is_inside = _born_in(cgroup) if cgroup >= 0 else (os.fork(), True)
        if pid == 0:
            join = [] if is_inside else [_joining(cgroup)]
            _be_child([*join, *steps], its_end, parent)
    finally:
        _mask(mask)
    return pid


def _born_in(cgroup: int) -> tuple[int, bool]:
    """Fork into a cgroup; give the pid, and whether the child is there."""
    size = struct.calcsize("11Q")
    terms = struct.pack("11Q", CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, *(0,) * 5, cgroup)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _python.syscall(ctypes.c_long(CLONE3), terms, ctypes.c_size_t(size))
    number = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0, True
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid > 0:
        return pid, True
    if number not in NOT_HERE:
        raise OSError(number, os.strerror(number))
    return os.fork(), False


def _joining(cgroup: int) -> Step:
    return "cgroup", "join its cgroup", functools.partial(_join, "cgroup.procs", cgroup)


def joining(folder: str) -> Step:
    """Give the step to move into a cgroup of version 1, where nobody can be born."""
    path = os.path.join(folder, "cgroup.procs")
    return "cgroup", f"join {folder}", functools.partial(_join, path)


def _join(path: str, folder: int | None = None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)


def _be_child(steps: Sequence[Step], its_end: int, parent: int) -> NoReturn:
    """Do the steps; what comes back from them failed."""
    doing = ("fork", "start a process")
    try:
        for step, thing, act in steps:
            doing = (step, thing)
            if step == "exec" and os.getppid() != parent:
                # Nobody would know of it, and its slot may be started again.
                break
            act()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent tells of it
        os.write(its_end, json.dumps([*doing, *_told(error)]).encode())
    finally:
        os._exit(STATUS)


def _told(error: BaseException) -> tuple[int, str]:
    if isinstance(error, OSError):
        return error.errno or errno.EIO, error.strerror or str(error)
    return errno.ENOMEM if isinstance(error, MemoryError) else errno.EINVAL, str(error)


def _read_all(fd: int) -> bytes:
    said = b""
    while chunk := os.read(fd, 65536):
        said += chunk
    return said


def reset_signals() -> None:
    """Give every signal back the meaning it has for a new process, and let all through."""
    for number in RESET_SIGNALS:
        _python.signal(number, None)
    _mask(NO_SIGNAL)


def _mask(signals: bytes) -> bytes:
    """Block these signals and no others, and give those that were."""
    # The signal module makes an enum of each, which takes longer than the fork.
    before = ctypes.create_string_buffer(len(signals))
    _python.pthread_sigmask(SIG_SETMASK, signals, before)
    return before.raw


def place_streams(fds: Sequence[int]) -> None:
    """Make these the standard streams, and let exec close all others, whoever opened them."""
    # First out of the way, since one may be where another shall be.
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(fds)) for fd in fds]
    for target, fd in enumerate(above):
        os.dup2(fd, target)
    # A kernel that cannot do this has ours closed all the same: Python opens them so.
    _python.syscall(
        ctypes.c_long(CLOSE_RANGE),
        ctypes.c_uint(len(fds)),
        ctypes.c_uint(0xFFFFFFFF),
        ctypes.c_uint(CLOSE_RANGE_CLOEXEC),
    )
