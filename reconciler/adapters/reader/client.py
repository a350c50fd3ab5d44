"""Ask the worker process, and go on where a request kills it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import reconciler
from reconciler.manifest.codec import CodecError
from reconciler.manifest.pipe import (
    LENGTH_BYTES,
    Answer,
    Request,
    framed,
    length_of,
    read_answer,
)
from reconciler.model.errors import SourceHeldError

WARM_S = 30.0
"""How long an idle worker is kept: a person who edits saves again soon."""
REQUEST_TIME_S = 20.0
"""By the wall clock, for one request; the worker's own limit of processor time is far below."""
_MODULE = "reconciler.manifest.worker"
_PACKAGES = str(Path(reconciler.__file__).resolve().parents[1])


class Worker:
    """The worker process, started when there is something to read and gone when there is not."""

    def __init__(self, *, warm_s: float = WARM_S, module: str = _MODULE) -> None:
        self._warm_s = warm_s
        self._module = module
        self._process: Process | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Give the process's id; None while there is none."""
        return self._process.pid if self._process else None

    async def ask(self, requests: Sequence[Request]) -> list[Answer | None]:
        """Give an answer to each request; None to those that no worker survives.

        A worker that dies may have been killed from outside, so every request has a second try,
        in a new process.
        """
        answers: list[Answer | None] = []
        failed_at = -1
        async with self._turn:
            self._stay()
            while len(answers) < len(requests):
                try:
                    await self._exchange(requests[len(answers) :], answers)
                finally:
                    if len(answers) < len(requests):
                        await self._end()
                if len(answers) < len(requests):
                    if failed_at == len(answers):
                        answers.append(None)
                    failed_at = len(answers)
            self._leave_later()
        return answers

    async def warm(self) -> None:
        """Have a process at hand for what is about to be asked."""
        async with self._turn:
            self._stay()
            with suppress(SourceHeldError):  # whoever asks is told
                self._process = self._process or await self._start()
            self._leave_later()

    async def close(self) -> None:
        """End the process, if there is one."""
        async with self._turn:
            self._stay()
            await self._end()

    async def _exchange(self, requests: Sequence[Request], answers: list[Answer | None]) -> None:
        """Send requests and collect answers until all are there or the worker is not."""
        process = self._process or await self._start()
        self._process = process
        sending = asyncio.create_task(_send(process, requests))
        try:
            for _ in requests:
                async with asyncio.timeout(REQUEST_TIME_S):
                    answers.append(await _receive(process))
        except (TimeoutError, EOFError, OSError, ValueError, CodecError):
            return
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _start(self) -> Process:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": _PACKAGES}
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._module),
                stdin=PIPE,
                stdout=PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as why:
            raise SourceHeldError(
                f"cannot read the manifests: no process for it: {why.strerror}",
                mend="make room for one more process; it is tried again",
            ) from why

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
            with suppress(OSError):
                await process.stdin.wait_closed()

    def _stay(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _leave_later(self) -> None:
        self._rest = asyncio.get_running_loop().call_later(self._warm_s, self._leave)

    def _leave(self) -> None:
        self._rest = None
        self._leaving = asyncio.create_task(self.close())


async def _send(process: Process, requests: Sequence[Request]) -> None:
    assert process.stdin is not None
    with suppress(OSError):
        for request in requests:
            process.stdin.write(framed(request))
            await process.stdin.drain()


async def _receive(process: Process) -> Answer:
    assert process.stdout is not None
    head = await process.stdout.readexactly(LENGTH_BYTES)
    return read_answer(await process.stdout.readexactly(length_of(head)))
