"""Run a process for a check: in a session of its own, with little room to write, and an end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from reconciler.adapters.checks.place import Place, ProbeError
from reconciler.children import kill_group
from reconciler.model.health import CheckFault

CHUNK = 65536
FLOOD_BYTES = 1 << 20
"""What a process may write to one of its ends; one that writes more is ended."""
REAP_S = 0.2
"""How long the end of one that was killed is waited for."""
_CHILDREN_MAX = 1000


class Child:
    """A process, of which nothing outlives `end`: what it started, and what that started."""

    def __init__(
        self,
        argv: list[str],
        place: Place,
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        has_own_errors: bool = False,
        inherits: tuple[int, ...] = (),
    ) -> None:
        self.output, its_output = _pipe()
        self.errors, its_errors = -1, its_output
        try:
            if has_own_errors:
                self.errors, its_errors = _pipe()
            self._process = _start(argv, place, stdin, (its_output, its_errors), inherits)
            self._pidfd = _pinned(self._process)
        except BaseException:
            self._close()
            raise
        finally:
            for fd in {its_output, its_errors}:
                os.close(fd)
        self._reaped = asyncio.Event()
        self.code: int | None = None
        """Its exit code, negative for a signal; None while it runs."""

    async def ended(self) -> None:
        """Wait until the process itself ended, whoever still holds its output open."""
        await readable(self._pidfd)
        self.code = self._peek()

    def _peek(self) -> int:
        """Give how it ended, and leave it to be reaped: its group is not killed yet."""
        end = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        assert end is not None
        return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status

    async def end(self) -> None:
        """Kill what is left of it, and reap it.

        One in an uninterruptible call keeps nobody waiting: it is reaped once it has ended.
        """
        if self.code is None:
            for fd in list(_descendants(self._process.pid)):
                with suppress(OSError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
        kill_group(self._process)
        self._close()
        if self._reap():
            return
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)
        with suppress(TimeoutError):
            async with asyncio.timeout(REAP_S):
                await self._reaped.wait()

    def _close(self) -> None:
        for fd in (self.output, self.errors):
            if fd >= 0:
                os.close(fd)

    def _reap(self) -> bool:
        if self._process.poll() is None:
            return False
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._reaped.set()
        return True


class Heard:
    """What one end of a process has said so far, of which the first `keep` bytes are kept."""

    def __init__(self, fd: int, keep: int) -> None:
        self._fd = fd
        self._keep = keep
        self._count = 0
        self.kept = bytearray()
        self.is_over = False

    def take(self) -> None:
        """Take what can be read now. Raises ProbeError where it is a flood."""
        if self.is_over:
            return
        try:
            chunk = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return
        self.is_over = not chunk
        self._count += len(chunk)
        self.kept += chunk[: self._keep - len(self.kept)]
        if self._count > FLOOD_BYTES:
            raise ProbeError(f"it wrote more than {FLOOD_BYTES >> 20} MiB", CheckFault.BODY)

    async def listen(self) -> None:
        """Take all that comes, for as long as anybody may write."""
        while not self.is_over:
            await readable(self._fd)
            self.take()

    def last_line(self) -> str:
        """Give the last line of it."""
        lines = self.kept.decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


async def readable(fd: int) -> None:
    """Wait until something can be read."""
    loop = asyncio.get_running_loop()
    is_so: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _settle, is_so)
    try:
        await is_so
    finally:
        loop.remove_reader(fd)


def how_it_ended(code: int) -> str:
    """Say an exit code in words.

    >>> how_it_ended(3), how_it_ended(-9)
    ('exited with 3', 'killed by SIGKILL')
    """
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _settle(is_so: asyncio.Future[None]) -> None:
    if not is_so.done():
        is_so.set_result(None)


def _pipe() -> tuple[int, int]:
    ours, its = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ours, False)
    return ours, its


def _start(
    argv: list[str],
    place: Place,
    stdin: int | IO[bytes],
    outputs: tuple[int, int],
    inherits: tuple[int, ...],
) -> subprocess.Popen[bytes]:
    account = place.identity.account
    try:
        return subprocess.Popen(
            argv,
            cwd=place.cwd,
            env=dict(place.env),
            stdin=stdin,
            stdout=outputs[0],
            stderr=outputs[1],
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
            umask=place.identity.umask,
            pass_fds=inherits,
        )
    except OSError as why:
        raise ProbeError(f"cannot run {argv[0]!r}: {_why_not(why, argv[0])}") from why


def _pinned(process: subprocess.Popen[bytes]) -> int:
    """Pin a process; without a descriptor to do that by, nobody would see its end."""
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        kill_group(process)
        process.wait()
        raise


def _descendants(pid: int) -> Iterator[int]:
    """Pin all that a process started, in whatever session, and give their descriptors."""
    waiting, count = [pid], 0
    while waiting and count < _CHILDREN_MAX:
        parent = waiting.pop()
        for child in _children(parent):
            with suppress(OSError):
                fd = os.pidfd_open(child)
                # Still its child, so the number was nobody else's when it was pinned.
                if child not in _children(parent):
                    os.close(fd)
                    continue
                count += 1
                waiting.append(child)
                yield fd


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError):
        for task in Path("/proc", str(pid), "task").iterdir():
            found.update(map(int, (task / "children").read_text().split()))
    return found


def _why_not(why: OSError, named: str) -> str:
    place = f" ({why.filename})" if why.filename not in (None, named) else ""
    return (os.strerror(why.errno).lower() if why.errno else str(why)) + place
