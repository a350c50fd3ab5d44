"""The record's one connection: opens it, writes what waits, and gets over what disks do.

Everything here runs on the store's thread and may block. What could not be written stays in the
backlog, in memory, and is part of the next transaction; the memory of all services is mirrored
besides, so that a database that was deleted or damaged under us is written anew, whole.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.sqlite import opening, reading, retention, writing
from reconciler.adapters.sqlite.backlog import Answer, Backlog, Mirror, Moment
from reconciler.model.event import Decision
from reconciler.model.record import Memory
from reconciler.model.units import Nanos, seconds
from reconciler.ports import Clock, EventRecord, StoreError

REOPEN_AFTER = seconds(1)
"""The pause after a database could not be opened; writing to an open one is tried each time."""

TRIM_EVERY = 500
"""Rows written between two looks at what is too old."""

_FAILURES = (sqlite3.Error, OSError, subprocess.SubprocessError, StoreError)

T = TypeVar("T")
_FileId = tuple[int, int]


class Database:
    """The record on disk. Not thread-safe: one thread uses it, from its making to its end."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._files: tuple[_FileId | None, _FileId | None] = (None, None)
        self._reopen_at = Nanos(0)
        self._boot = ""
        self._life = 0
        self._life_is_noted = False
        self._is_loaded = False
        self._last_event = 0
        self._backlog = Backlog()
        self._mirror = Mirror()
        self._unpublished: list[EventRecord] = []
        self._rows_since_trim = 0
        self._changed: Counter[str] = Counter()
        self.trouble = ""
        """Why nothing can be written just now; empty while it can."""

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits to be written or told."""
        return self._backlog.is_empty and not self._unpublished

    def load(self, boot: str) -> Memory:
        """Give the memory. Where nothing can be written it is still read; see `trouble`."""
        self._boot = boot
        try:
            self._open()
            recalled = self._with_damage_mended(lambda opened: self._recall(opened, boot))
        except _FAILURES as error:
            self._fail(error)
            recalled = self._recall_unwritable(boot)
        for note in recalled.notes:
            self._note(note)
        memory = recalled.memory
        self._is_loaded = True
        self._mirror = Mirror(
            services=dict(memory.services),
            slots=dict(memory.slots),
            prune=memory.prune,
            overlays=memory.overlays,
            removed=memory.removed,
        )
        return memory

    def record(self, decision: Decision, at: Moment) -> list[EventRecord]:
        """Write a decision and whatever waited; give all events that nobody was told yet."""
        self._mirror.follow(decision)
        self._backlog.add(decision, at)
        self._flush()
        events, self._unpublished = self._unpublished, []
        return events

    def answered(self, answers: Iterable[Answer]) -> None:
        """Write how commands ended; where that fails, the next record does it."""
        self._backlog.answer(list(answers))
        try:
            self._flush()
        except StoreError:
            return  # `trouble` says it, and nobody waits for an answer to be on disk

    def keep(self, change: str, text: str) -> None:
        """Keep a change that is not in the branch yet."""
        self._at_once(lambda opened: writing.keep_change(opened, change, text))

    def let_go(self, changes: Sequence[str]) -> None:
        """Forget changes that are in the branch, or refused."""
        self._at_once(lambda opened: writing.let_changes_go(opened, changes))

    def _at_once(self, job: Callable[[sqlite3.Connection], None]) -> None:
        """Write what is worth nothing later."""
        try:
            self._make_ready()
            self._with_damage_mended(job)
        except _FAILURES as error:
            raise StoreError(f"cannot write {self._path.name}: {error}") from error

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the database; it answers also while it cannot be written."""
        try:
            self._make_ready()
            return self._with_damage_mended(question)
        except _FAILURES as error:
            if self._connection is not None:
                raise StoreError(f"cannot read {self._path.name}: {error}") from error
            self._fail(error)
        connection = opening.open_for_reading(self._path)
        try:
            return question(connection)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self._path.name}: {error}") from error
        finally:
            connection.close()

    def close(self) -> None:
        """Write what waits, if that can be done, and close."""
        try:
            self._flush()
        except StoreError:
            pass  # said when it happened
        finally:
            self._disconnect()

    # --- writing ---------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._backlog.is_empty:
            return
        try:
            self._make_ready()
            self._unpublished += self._with_damage_mended(self._write)
        except _FAILURES as error:
            self._fail(error)
            raise StoreError(self.trouble, mend="free the disk or see `weaver doctor`") from error
        self._count_rows()
        self._backlog.clear()
        if self.trouble:
            self.trouble = ""
            self._be_patient(opening.LOCK_WAIT_S)
        if self._rows_since_trim >= TRIM_EVERY:
            self._trim()

    def _write(self, connection: sqlite3.Connection) -> list[EventRecord]:
        with writing.transaction(connection):
            at, life = self._moment(), self._begun_life(connection)
            place = writing.Place(boot=self._boot, life=life, at=at, last_event=self._last_event)
            events = writing.write(connection, self._backlog, place)
        self._life, self._life_is_noted = life, True
        if events:
            self._last_event = events[-1].seq
        return events

    def _begun_life(self, connection: sqlite3.Connection) -> int:
        """Give the number of this daemon's life, which its first transaction writes down."""
        if not self._life:
            return writing.begin_life(connection, self._moment())
        if not self._life_is_noted:
            writing.set_meta(connection, "life", str(self._life))
        return self._life

    def _fail(self, error: Exception) -> None:
        said = str(error)
        if not isinstance(error, StoreError):
            said = f"cannot write {self._path.name}: {said}"
        if not self.trouble:
            self._note(said)
        waiting = self._backlog.rows + len(self._backlog.services) + len(self._backlog.slots)
        self.trouble = f"{said.partition('; ')[0]}; {waiting} changes wait"
        # Whoever holds a lock was waited for once; from now on it is only asked.
        self._be_patient(0)

    def _be_patient(self, wait_s: float) -> None:
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {int(wait_s * 1000)}")

    def _count_rows(self) -> None:
        self._rows_since_trim += self._backlog.rows
        self._changed.update(change.slot.service for _, change in self._backlog.transitions)

    def _trim(self) -> None:
        connection = self._connection
        if connection is None:
            return
        names = [name for name, _ in self._changed.most_common()]
        try:
            with writing.transaction(connection):
                retention.trim(connection, names)
        except sqlite3.Error:
            return  # housekeeping; the next time will do
        self._rows_since_trim = 0
        self._changed.clear()

    # --- the file --------------------------------------------------------------------------

    def _make_ready(self) -> None:
        """Have a connection to the file that bears our name now."""
        if self._connection is not None:
            if self._files == self._files_now():
                return
            self._disconnect()
            self._note(f"{self._path.name} was removed or replaced while in use")
        elif self._clock.now() < self._reopen_at:
            raise StoreError(self.trouble)
        self._open()

    def _open(self) -> None:
        try:
            opened = opening.open_database(self._path, self._clock.wall())
        except opening.DamagedError as error:
            self._reopen_at = Nanos(self._clock.now() + REOPEN_AFTER)
            raise StoreError(f"cannot make {self._path.name}: {error}") from error
        except _FAILURES:
            self._reopen_at = Nanos(self._clock.now() + REOPEN_AFTER)
            raise
        self._connection = opened.connection
        self._files = self._files_now()
        self._life_is_noted = False
        self._last_event = max(self._last_event, reading.last_event(opened.connection))
        for note in opened.notes:
            self._note(note)
        if self._is_loaded:
            self._mirror.pour_into(self._backlog)

    def _with_damage_mended(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection; where the file proves damaged, begin a new one."""
        connection = self._connected()
        try:
            return job(connection)
        except sqlite3.Error as error:
            if not opening.is_damage(error):
                raise
            self._disconnect()
            aside = opening.move_aside(self._path, "damaged", self._clock.wall())
            self._note(f"{self._path.name} was damaged ({error}); it is now {aside.name}")
        self._open()
        return job(self._connected())

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self._path.name} is closed")
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _files_now(self) -> tuple[_FileId | None, _FileId | None]:
        wal = self._path.with_name(self._path.name + "-wal")
        return _file_id(self._path), _file_id(wal)

    # --- small ones ------------------------------------------------------------------------

    def _recall(self, connection: sqlite3.Connection, boot: str) -> reading.Recalled:
        return reading.memory(connection, boot, self._clock.now(), self._clock.wall())

    def _recall_unwritable(self, boot: str) -> reading.Recalled:
        empty = reading.Recalled(memory=Memory(boot=boot))
        if not self._path.exists():
            return empty
        try:
            connection = opening.open_for_reading(self._path)
        except StoreError:
            return empty
        try:
            return self._recall(connection, boot)
        finally:
            connection.close()

    def _moment(self) -> Moment:
        return Moment(wall=self._clock.wall(), boottime=self._clock.now())

    def _note(self, text: str) -> None:
        """Tell people, by an event, what became of the record itself."""
        self._backlog.note(text, self._moment())


def _file_id(path: Path) -> _FileId | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (on the path of every write)
    except OSError:
        return None
    return found.st_dev, found.st_ino
