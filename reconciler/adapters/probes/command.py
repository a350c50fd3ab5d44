"""Probe by a command."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess

from reconciler.adapters.probes.place import Place, ProbeError
from reconciler.children import kill_group, reap
from reconciler.model.spec import CommandTarget

OUTPUT_LIMIT = 4096
"""Bytes of a command's output that are kept; what comes after them is read and dropped."""
_CHUNK = 65536


async def ask_command(target: CommandTarget, place: Place) -> str:
    """Run a command in a process group of its own; nothing of it outlives the question."""
    argv = [place.expand(word) for word in (*target.cmd, *target.args)]
    said = bytearray()
    code = await _run(argv, place, said)
    words = _last_line(said)
    if code == 0:
        return words or "exited with 0"
    how = f"exited with {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
    raise ProbeError(f"{shlex.join(argv)[:80]} {how}" + (f": {words}" if words else ""))


async def _run(argv: list[str], place: Place, said: bytearray) -> int:
    """Run to the end and give the exit code, negative for a signal."""
    child, output = _start(argv, place)
    pidfd = os.pidfd_open(child.pid)
    try:
        await _ended(pidfd, output, said)
    finally:
        kill_group(child)
        os.close(output)
        reap(child, pidfd)
    return child.returncode


def _start(argv: list[str], place: Place) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command and give it with the end of the pipe that its output comes from."""
    output, its_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(output, False)
    account = place.identity.account
    try:
        child = subprocess.Popen(
            argv,
            cwd=place.cwd,
            env=dict(place.env),
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
            umask=place.identity.umask,
        )
    except OSError as why:
        os.close(output)
        raise ProbeError(f"cannot run {argv[0]!r}: {_why_not(why)}") from why
    finally:
        os.close(its_end)
    return child, output


async def _ended(pidfd: int, output: int, said: bytearray) -> None:
    """Wait until the child itself ended, whoever still holds its output open."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    loop.add_reader(output, _listen, output, said)
    try:
        await ended.wait()
        _listen(output, said)
    finally:
        loop.remove_reader(pidfd)
        loop.remove_reader(output)


def _listen(output: int, said: bytearray) -> None:
    """Take what can be read now; keep the first `OUTPUT_LIMIT` bytes."""
    try:
        chunk = os.read(output, _CHUNK)
    except BlockingIOError:
        return
    if not chunk:
        asyncio.get_running_loop().remove_reader(output)
    said += chunk[: OUTPUT_LIMIT - len(said)]


def _why_not(why: OSError) -> str:
    place = f" ({why.filename})" if why.filename else ""
    return (os.strerror(why.errno).lower() if why.errno else str(why)) + place


def _last_line(said: bytearray) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
