"""End and collect the children that this process starts for a while: hooks, probes and checks.

Each leads a process group of its own. Nothing here waits: a child in an uninterruptible call
keeps nobody from going on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill all of a child's group; its number is the child's pid, free only after it is reaped."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def reap(child: subprocess.Popen[bytes], pidfd: int) -> None:
    """Collect a child now, or once it has ended, and close its descriptor then."""
    loop = asyncio.get_running_loop()
    if child.poll() is None:
        loop.add_reader(pidfd, reap, child, pidfd)
        return
    loop.remove_reader(pidfd)
    os.close(pidfd)
