"""Execute a program born in its cgroup, as fast as posix_spawn does it elsewhere.

posix_spawn shares our memory with the child until that executes, which spares the copy of it that
makes fork slow; but it cannot say in which cgroup the child is born. So this does what the C
library does there: clone3 with CLONE_VM and CLONE_VFORK, then only system calls. No Python may run
in a child that shares our memory, so those calls stand in a table, and a few instructions make
them. Their source is vfork.s.

They are for x86-64; elsewhere, and where no memory may be made executable, fork does it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import struct
import sys

from reconciler.holder.fork import CLONE_INTO_CGROUP, NOT_HERE, ChildError

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# `as --64 vfork.s` makes these.
CODE = bytes.fromhex(
    "4989f8488b7708488b3fb8b30100000f054885c07401c34d89c64d8d6828"
    "4531ff498b4500498b7d08498b7510498b55184d8b55200f054885c0780d"
    "49ffc74983c5284d3b7e2072d84d897e1049894618bf7f000000b8e70000"
    "000f05"
)
WRITE, SIGACTION, SIGPROCMASK, DUP2, EXECVE, SETSID = 1, 13, 14, 33, 59, 112
CLONE_VM, CLONE_VFORK, CLONE_CLEAR_SIGHAND = 0x100, 0x4000, 0x100000000
SIG_SETMASK = 2
READ, WRITABLE, EXECUTABLE = 1, 2, 4
PRIVATE, ANONYMOUS = 2, 0x20
PAGE = 4096
MASK_BYTES = 128
ALL_SIGNALS = b"\xff" * MASK_BYTES
_libc = ctypes.CDLL(None, use_errno=True)
_mask = ctypes.create_string_buffer(MASK_BYTES)


class Unable(Exception):  # noqa: N818 - it is no error: there is another way
    """This host cannot do it this way."""


def execute(
    program: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    streams: Sequence[int],
    cgroup: int,
    joins: Sequence[int],
) -> int:
    """Execute a program in a session of its own, with these streams, and give its pid.

    It is born in the cgroup of version 2 whose folder `cgroup` is a descriptor of, if it is one,
    and joins those of version 1 whose files `joins` are. Raises Unable where this cannot be done
    here, OSError for what exec says or no room for a process, ChildError for another call.
    """
    start = _start()
    words = _words([os.fsencode(word) for word in argv])
    variables = _words([_variable(name, value) for name, value in env.items()])
    path, zeros = ctypes.create_string_buffer(_checked(os.fsencode(program))), bytes(32)
    default, zero = ctypes.create_string_buffer(zeros), ctypes.create_string_buffer(b"0")
    calls = [("cgroup", WRITE, fd, _at(zero), 1, 0) for fd in joins]
    calls.append(("session", SETSID, 0, 0, 0, 0))
    calls += [("streams", DUP2, fd, at, 0, 0) for at, fd in enumerate(streams)]
    calls += [("signals", SIGACTION, number, _at(default), 0, 8) for number in _ignored()]
    calls.append(("signals", SIGPROCMASK, SIG_SETMASK, _at(default), 0, 8))
    calls.append(("exec", EXECVE, _at(path), _at(words), _at(variables), 0))
    flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND | (CLONE_INTO_CGROUP if cgroup >= 0 else 0)
    terms = ctypes.create_string_buffer(
        struct.pack("11Q", flags, 0, 0, 0, signal.SIGCHLD, *(0,) * 5, max(cgroup, 0)), 88
    )
    table = ctypes.create_string_buffer(
        struct.pack("=5q", _at(terms), 88, 0, 0, len(calls))
        + b"".join(struct.pack("=5q", *call[1:]) for call in calls)
    )
    pid = _run(start, table)
    made, said = struct.unpack_from("=2q", table, 16)
    if said:
        os.waitpid(pid, 0)
        failed = calls[made][0]
        if failed == "exec":
            raise OSError(-said, os.strerror(-said), program)
        raise ChildError(failed, f"run {argv[0]}", -said, os.strerror(-said))
    return pid


def _run(start: Callable[[int], int], table: ctypes.Array[ctypes.c_char]) -> int:
    """Make the child with all signals blocked, as it would handle them in our memory."""
    # Python's own function makes sets of named signals, which takes longer than all the rest.
    _libc.sigprocmask(SIG_SETMASK, ALL_SIGNALS, _mask)
    try:
        pid = start(_at(table))
    finally:
        _libc.sigprocmask(SIG_SETMASK, _mask, None)
    if pid < 0:
        if -pid in NOT_HERE:
            raise Unable
        raise OSError(-pid, os.strerror(-pid))
    return pid


@functools.cache
def _code() -> Callable[[int], int] | None:
    """Put the instructions where they can be executed; None where that cannot be."""
    if sys.platform != "linux" or os.uname().machine != "x86_64" or sys.maxsize < 2**32:
        return None
    _libc.mmap.restype = ctypes.c_void_p
    _libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    _libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    address = _libc.mmap(None, PAGE, READ | WRITABLE, PRIVATE | ANONYMOUS, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        return None
    ctypes.memmove(address, CODE, len(CODE))
    if _libc.mprotect(address, PAGE, READ | EXECUTABLE):
        return None
    return ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)


def _start() -> Callable[[int], int]:
    found = _code()
    if found is None:
        raise Unable
    return found


@functools.cache
def _ignored() -> list[int]:
    """Give the signals that we ignore for good: whoever executes would go on ignoring them."""
    return [one for one in signal.valid_signals() if signal.getsignal(one) is signal.SIG_IGN]


def _variable(name: str, value: str) -> bytes:
    if "=" in name:
        raise ValueError("illegal environment variable name")
    return os.fsencode(name) + b"=" + os.fsencode(value)


def _words(texts: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """Give an array of C strings; it keeps them alive as long as itself."""
    return (ctypes.c_char_p * (len(texts) + 1))(*map(_checked, texts), None)


def _checked(text: bytes) -> bytes:
    if b"\0" in text:
        raise ValueError("embedded null byte")
    return text


def _at(thing: ctypes.Array[ctypes.c_char] | ctypes.Array[ctypes.c_char_p]) -> int:
    return ctypes.addressof(thing)
