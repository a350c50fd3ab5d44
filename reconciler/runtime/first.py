"""Be the first process of a container: reap what nobody else does, and hand signals on.

The daemon is a child of it, so that the two need not share their children. Killed or crashed, it
is brought back; when it leaves in order, or cannot begin at all, so does the container.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

FIRST_S = 0.2
LONGEST_S = 5.0
STEADY_S = 5.0
LAST_CODE = 127
"""Above, and for 1 and 255, it was no decision of the daemon's to end."""
UNCAUGHT = (1, 255)
_NOT_HANDED_ON = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
_ENDS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})


def lead() -> None:
    """Return in the child that shall be the daemon; the first process never returns."""
    waited = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    pause_s = FIRST_S
    while True:
        began = time.monotonic()
        daemon = os.fork()
        if not daemon:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        status = _attend(daemon)
        code = os.waitstatus_to_exitcode(status)
        if 0 <= code <= LAST_CODE and code not in UNCAUGHT:
            os._exit(code)
        pause_s = FIRST_S if time.monotonic() - began > STEADY_S else min(2 * pause_s, LONGEST_S)
        _say(f"the daemon ended by itself ({_how(code)}); it is brought back in {pause_s} s")
        _rest(pause_s)


def _attend(daemon: int) -> int:
    """Reap every orphan and hand signals on until the daemon ends; give its wait status."""
    while True:
        ended = _reap()
        if daemon in ended:
            return ended[daemon]
        found = signal.sigwaitinfo(signal.valid_signals())
        if found.si_signo not in _NOT_HANDED_ON:
            os.kill(daemon, found.si_signo)


def _rest(seconds: float) -> None:
    """Wait a moment, in which a signal that ends is obeyed: there is no daemon to obey it."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        found = signal.sigtimedwait(signal.valid_signals(), left)
        _reap()
        if found is not None and found.si_signo in _ENDS:
            os._exit(128 + found.si_signo)


def _reap() -> Mapping[int, int]:
    """Collect all children that have ended: pids, and the status of each."""
    ended = {}
    try:
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            ended[found[0]] = found[1]
    except ChildProcessError:
        pass
    return ended


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def _say(text: str) -> None:
    os.write(2, f"weaver: {text}\n".encode())
