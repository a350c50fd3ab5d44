"""The worker process that writes commits, as the daemon has it: kept warm, never cut short."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import reconciler
from reconciler.adapters.git import plumbing, wire
from reconciler.failpoints import failpoint, own_switch
from reconciler.ports import Committed, HostError, WeaverError

IDLE_S = 30.0
"""How long a worker is kept warm."""
DEADLINE_S = 90.0
"""For one write-back; every wait inside it is shorter."""
ANSWER_LIMIT_BYTES = 16 << 20
_LEAVE_S = 5.0


class Writer:
    """Asks a worker. Questions queue up behind each other."""

    def __init__(
        self,
        clear: Callable[[], None],
        *,
        idle_s: float = IDLE_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Begin without a worker; `clear` clears away what one leaves that was killed."""
        self._clear = clear
        self._idle_s = idle_s
        self._deadline_s = deadline_s
        self._turn = asyncio.Lock()
        self._worker: Process | None = None
        self._retirement: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    async def close(self) -> None:
        """Let what is being written finish, and end the worker."""
        async with self._turn:
            await self._retire()

    async def ask(self, question: bytes) -> Committed:
        """Ask the worker. Whoever stops waiting leaves the write-back to finish by itself."""
        task = asyncio.create_task(self._in_turn(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _in_turn(self, question: bytes) -> Committed:
        async with self._turn:
            if self._retirement is not None:
                self._retirement.cancel()
            worker = await self._warm_worker()
            try:
                async with asyncio.timeout(self._deadline_s):
                    answer = await _exchange(worker, question)
            except TimeoutError:
                await self._kill(worker)
                raise HostError(
                    f"cannot commit: no answer from git within {self._deadline_s:g} s",
                    mend="check the disk that holds the repository; nothing is half-written",
                ) from None
            except ValueError:
                await self._kill(worker)
                raise HostError("cannot commit: the answer has no end", mend="try again") from None
            if not answer.endswith(b"\n"):
                await self._lost(worker)
            self._retirement = asyncio.get_running_loop().call_later(self._idle_s, self._rest)
        return wire.read_answer(answer).result()

    async def _warm_worker(self) -> Process:
        if self._worker is None or self._worker.returncode is not None:
            failpoint("git.worker.before")
            self._worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "reconciler.adapters.git.worker"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(),
                limit=ANSWER_LIMIT_BYTES,
                start_new_session=True,
            )
            failpoint("git.worker.started")
        return self._worker

    async def _lost(self, worker: Process) -> None:
        """Say that the worker died."""
        await self._kill(worker)
        code = worker.returncode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        raise HostError(
            f"cannot commit: the process that writes {how}",
            mend="try again; the repository is intact",
        )

    async def _kill(self, worker: Process) -> None:
        """End a worker with all it started, and clear away what it may have left."""
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        await worker.wait()
        self._worker = None
        with suppress(WeaverError, OSError):
            await asyncio.to_thread(self._clear)

    def _rest(self) -> None:
        task = asyncio.create_task(self.close())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retire(self) -> None:
        """End the worker: it leaves when its input ends."""
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.stdin is not None:
            worker.stdin.close()
        try:
            async with asyncio.timeout(_LEAVE_S):
                await worker.wait()
        except TimeoutError:
            await self._kill(worker)


def _environment() -> dict[str, str]:
    """Give the worker's whole environment: git's, and where this package is."""
    package = Path(reconciler.__file__).parent.parent
    own = {"PYTHONPATH": str(package), "PYTHONUTF8": "1"}
    return plumbing.environment() | own | own_switch()


async def _exchange(worker: Process, question: bytes) -> bytes:
    """Send a line and wait for one; what comes back is cut short where the worker died."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.stdin.write(question)
        await worker.stdin.drain()
    return await worker.stdout.readline()
