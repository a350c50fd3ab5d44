"""Replace the holder's program in place: another version of it goes on as the same process.

Pid, children, zombies that nobody collected and descriptors outlive execve; what is known of them
crosses in a memfd. The new program is asked first whether it can begin with that: if it cannot, or
cannot be executed, the old one goes on as if nothing had been asked.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import sys

from reconciler.failpoints import failpoint
from reconciler.holder.ledger import Ledger
from reconciler.holder.spawn import Refused

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from reconciler.holder.wire import Message

CHECK_S = 10.0
"""What the new program may take to say that it can begin."""
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
NEEDED = ("state", "group", "listener", "ledger", "processes")


def command(order: Message) -> list[str]:
    """Give the words that run the holder of another installation, or our own anew."""
    return [order.get("python") or sys.executable, "-I", "-S", order.get("program") or PROGRAM]


def replace(words: list[str], belongings: Message, fds: Collection[int]) -> None:
    """Execute another program in our place; returns never, and raises Refused where it cannot."""
    memfd = _written(belongings | {"fds": sorted(fds)})
    try:
        os.set_inheritable(memfd, True)
        if why := _cannot_begin([*words, "--check", str(memfd)]):
            raise Refused("reexec", errno.ENOEXEC, f"{words[3]} cannot take over: {why}")
        for fd in fds:
            os.set_inheritable(fd, True)
        # The folder is for people who read `ps`: it says whose holder this is.
        resume = [*words, "--resume", str(memfd), belongings["state"]]
        failpoint("holder.reexec.before")
        os.execve(words[0], resume, os.environ)  # noqa: S606 - no shell is wanted
    except OSError as error:
        text = f"cannot run {words[0]}: {error.strerror}"
        raise Refused("reexec", error.errno or errno.EIO, text) from error
    finally:
        os.close(memfd)
        for fd in fds:
            os.set_inheritable(fd, False)


def read(memfd: int) -> Message:
    """Read what the former program knew. Raises ValueError where it cannot be gone on with."""
    belongings: Any = json.loads(os.pread(memfd, os.fstat(memfd).st_size, 0))
    missing = [name for name in NEEDED if name not in belongings]
    if missing:
        raise ValueError(f"the former program did not tell its {', '.join(missing)}")
    fill(Ledger(), belongings)
    return dict(belongings)


def fill(ledger: Ledger, belongings: Message) -> int:
    """Enter what happened into a ledger; give the number of lines of a kind unknown to us."""
    strange = 0
    for entry in belongings["ledger"]:
        try:
            ledger.apply(entry)
        except (LookupError, TypeError, ValueError):
            strange += 1
    return strange


def close_rest(belongings: Message, used: Collection[int]) -> None:
    """Close what was handed over and has no use here: it is of a version that can do more."""
    for fd in belongings["fds"]:
        if fd in used:
            os.set_inheritable(fd, False)
        else:
            with contextlib.suppress(OSError):
                os.close(fd)


def _written(belongings: Message) -> int:
    memfd = os.memfd_create("weaver-holder", os.MFD_CLOEXEC)
    text = json.dumps(belongings, separators=(",", ":")).encode()
    while text:
        text = text[os.write(memfd, text) :]
    return memfd


def _cannot_begin(words: list[str]) -> str:
    """Let the new program try to read what it would be given; give its complaint."""
    said = os.memfd_create("weaver-check", os.MFD_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
    try:
        pid = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
        pidfd = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(CHECK_S * 1000):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            status = os.waitid(os.P_PID, pid, os.WEXITED)
        finally:
            os.close(pidfd)
        lines = os.pread(said, 4096, 0).decode(errors="replace").strip().split("\n")
    finally:
        os.close(said)
    if status is not None and (status.si_code, status.si_status) == (os.CLD_EXITED, 0):
        return ""
    return lines[-1] or "it did not say why"
