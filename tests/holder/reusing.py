"""A program for tests: signals processes whose number another one has by now; counts how often.

It runs as the first process of a name space of its own, in which it says who gets which number.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from reconciler.holder import tree
from reconciler.holder.deliver import deliver
from reconciler.holder.ledger import Run

TRIES = 500
LAST = Path("/proc/sys/kernel/ns_last_pid")


def started() -> int:
    """Start a process that leads a group of its own."""
    return os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setsid=True)


def ended(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def is_spared() -> bool | None:
    """Signal a process that ended a moment ago; None where its number was not given out again."""
    run = Run({"run": "r", "slot": "web-0", "tag": None, "at": tree.now()})
    victim = run.pid = started()
    process = tree.find(victim)
    assert process is not None
    run.born = process.born
    main = tree.pin(victim, process.born)
    assert main is not None
    ended(victim)
    LAST.write_text(str(victim - 1))
    stranger = started()
    for scope in ("main", "group", "tree"):
        with suppress(ProcessLookupError):
            deliver(run, main, {}, signal.SIGKILL, scope)
    os.close(main)
    lives = os.waitpid(stranger, os.WNOHANG) == (0, 0)
    if lives:
        ended(stranger)
    return lives if stranger == victim else None


def main() -> int:
    """Print how often a number had been given out again; fails where that one was hit."""
    found = [is_spared() for _ in range(TRIES)]
    sys.stdout.write(f"{found.count(True)}\n")
    return int(False in found)


if __name__ == "__main__":
    sys.exit(main())
