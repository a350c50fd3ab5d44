"""Children for a while: their group ends with them, and nobody waits for their collection."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from reconciler.children import kill_group, reap
from tests.waiting import until, until_async


def is_open(fd: int) -> bool:
    return Path(f"/proc/self/fd/{fd}").exists()


def words(pid: int) -> bytes:
    """Give the words of a process; a dead one has none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def started(program: str) -> tuple[subprocess.Popen[bytes], int]:
    child = subprocess.Popen(["/bin/sh", "-c", program], start_new_session=True)
    return child, os.pidfd_open(child.pid)


@pytest.mark.real
def test_a_child_that_has_ended_is_collected_at_once() -> None:
    child, pidfd = started("exit 3")
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    async def story() -> None:
        reap(child, pidfd)
        assert (child.returncode, is_open(pidfd)) == (3, False)

    asyncio.run(story())


@pytest.mark.real
def test_one_that_lives_on_is_collected_when_it_ends_and_nobody_waits() -> None:
    async def story() -> None:
        child, pidfd = started("exec sleep 60")
        reap(child, pidfd)
        assert (child.returncode, is_open(pidfd)) == (None, True)
        kill_group(child)
        await until_async(lambda: not is_open(pidfd))
        assert child.returncode == -9

    asyncio.run(story())


@pytest.mark.real
def test_its_group_ends_with_it_and_one_that_is_gone_is_no_error(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child, pidfd = started(f"sh -c 'echo $$ >{note}; exec sleep 60' & wait")
    pid = int(until(lambda: note.exists() and note.read_text()))
    kill_group(child)
    until(lambda: not words(pid))
    child.wait()
    os.close(pidfd)
    kill_group(child)
