"""The ports `Store` and `Pending` on SQLite: one thread and one connection; no loop waits."""

from __future__ import annotations

import asyncio
import functools
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.sqlite import reading, version
from reconciler.adapters.sqlite.backlog import Answer, Moment, is_worth_writing
from reconciler.adapters.sqlite.database import Database
from reconciler.model.event import Decision
from reconciler.model.record import Memory
from reconciler.ports import Clock, EventRecord, StoreError, TransitionRecord

JOBS_WAITING = 1_000
"""Questions and decisions that may wait for the thread; one more is refused."""

T = TypeVar("T")


class SqliteStore:
    """The record in one SQLite file.

    Everything that touches the file happens on one thread of its own, in order. That makes the
    fault of SQLite that needs two connections (see `version`) unreachable, and a slow disk slow
    for the record alone.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._database = Database(path, clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weaver-record")
        self._waiting = 0
        self._closed = False
        self._pid = os.getpid()

    async def load(self, boot: str) -> Memory:
        """Open the record and give the memory; slots of another boot are left out.

        Raises nothing for a disk that cannot be written: the memory is read all the same where
        that is possible, and `trouble` says what is wrong.
        """
        return await self._do(self._database.load, boot)

    async def record(self, decision: Decision, *, revision: str, actor: str) -> list[EventRecord]:
        """Write one decision durably and give its happenings as numbered events.

        After a StoreError nothing of it is on disk, all of it is kept, and the next call that
        succeeds (an empty decision will do) writes it and gives its events too.
        """
        if self._database.is_idle and not is_worth_writing(decision):
            return []
        at = Moment(
            wall=self._clock.wall(), boottime=self._clock.now(), revision=revision, actor=actor
        )
        return await self._do(self._database.record, decision, at)

    async def answered(self, serials: Sequence[tuple[int, str]]) -> None:
        """Note how commands ended: (serial, `done` or the problem)."""
        if not serials:
            return
        at = Moment(wall=self._clock.wall(), boottime=self._clock.now())
        answers = [Answer(serial=serial, text=text, at=at) for serial, text in serials]
        await self._do(self._database.answered, answers)

    async def events(
        self, *, after: int = 0, service: str = "", limit: int = 1000, since: float | None = None
    ) -> list[EventRecord]:
        """Give stored events in order, the newest `limit` of those that match."""
        question = functools.partial(
            reading.events, after=after, service=service, limit=limit, since=since
        )
        return await self._do(self._database.read, question)

    async def history(self, service: str, limit: int) -> list[TransitionRecord]:
        """Give a service's state changes, newest first."""
        question = functools.partial(reading.history, service=service, limit=limit)
        return await self._do(self._database.read, question)

    async def keep(self, change: str, text: str) -> None:
        """Keep a change that is not in the branch yet, by its operation id."""
        await self._do(self._database.keep, change, text)

    async def let_go(self, changes: Sequence[str]) -> None:
        """Forget changes that are in the branch, or refused."""
        if changes:
            await self._do(self._database.let_go, changes)

    async def kept(self) -> Sequence[tuple[str, str]]:
        """Give the changes that are kept, the oldest first."""
        return await self._do(self._database.read, reading.changes)

    async def close(self) -> None:
        """Write what is queued and close."""
        if not self._closed:
            await self._do(self._database.close)
            self._closed = True
            self._thread.shutdown(wait=True)

    @property
    def trouble(self) -> str:
        """Say why the record cannot be written just now; empty while it can."""
        return self._database.trouble

    def facts(self) -> Mapping[str, str]:
        """Give what `weaver doctor` tells of the record: a sentence for each aspect."""
        asides = sorted(found.name for found in self._path.parent.glob(f"{self._path.name}.*-*Z*"))
        asides = [name for name in asides if not name.endswith(("-wal", "-shm"))]
        facts = {
            "library": version.wal_reset_fact(sqlite3.sqlite_version_info),
            "size": f"{_in_words(_size(self._path))}, log {_in_words(_size(self._wal))}",
            "state": self.trouble or "writable",
        }
        if asides:
            facts["kept aside"] = ", ".join(asides)
        return facts

    @property
    def _wal(self) -> Path:
        return self._path.with_name(self._path.name + "-wal")

    async def _do(self, job: Callable[..., T], *arguments: object) -> T:
        """Run a job on the store's thread."""
        if os.getpid() != self._pid:
            raise StoreError(f"{self._path.name} belongs to process {self._pid}")
        if self._closed:
            raise StoreError(f"{self._path.name} is closed")
        if self._waiting >= JOBS_WAITING:
            raise StoreError(f"{self._path.name} is too slow: {self._waiting} requests wait")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, job, *arguments)
        finally:
            self._waiting -= 1


def _in_words(size: float) -> str:
    """Give a number of bytes for people.

    >>> [_in_words(size) for size in (0, 512, 4_194_304, 4_404_019)]
    ['0 bytes', '512 bytes', '4 MiB', '4.2 MiB']
    """
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size / 1024:.1f} GiB"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
