"""The record of a simulated daemon: the real tables, statements and texts, on a disk in memory.

Only the file is missing: a disk that is full is SQLite's own refusal, and a daemon that dies takes
with it what it could not write.
"""

from __future__ import annotations

import functools
import sqlite3
from dataclasses import replace

from sqlite_utils import Database

from reconciler.adapters.sqlite import reading, schema, writing
from reconciler.adapters.sqlite.backlog import Backlog, Moment, is_worth_writing
from reconciler.model.event import Decision
from reconciler.model.record import Memory
from reconciler.model.units import Nanos
from reconciler.ports import EventRecord

AMPLE_PAGES = 1_000_000


class Store:
    """What outlives the daemon."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.deserialize(empty_record())
        self._backlog = Backlog()
        self._boot = ""
        self._now, self._wall = Nanos(0), 0.0
        """When this daemon's life began."""
        self._life = 0
        self._last_event = 0

    @property
    def is_behind(self) -> bool:
        """Tell whether something waits for the disk, and would be lost with the daemon."""
        return not self._backlog.is_empty

    def load(self, boot: str, now: Nanos, wall: float) -> Memory:
        """Begin a daemon's life: give what the last one wrote, and lose what it could not."""
        self._backlog = Backlog()
        self._boot, self._life = boot, 0
        self._now, self._wall = now, wall
        self._last_event = reading.last_event(self._connection)
        return self.memory()

    def memory(self) -> Memory:
        """Give the memory as it stands on the disk."""
        recalled = reading.memory(self._connection, self._boot, self._now, self._wall)
        assert recalled.notes == (), recalled.notes
        return recalled.memory

    def record(self, decision: Decision, now: Nanos, wall: float) -> bool:
        """Write a decision and whatever waited; False while the disk refuses."""
        if self._backlog.is_empty and not is_worth_writing(decision):
            return True
        at = Moment(wall=wall, boottime=now)
        self._backlog.add(decision, at)
        try:
            with writing.transaction(self._connection):
                life = self._life or writing.begin_life(self._connection, at)
                place = writing.Place(
                    boot=self._boot, life=life, at=at, last_event=self._last_event
                )
                events = writing.write(self._connection, self._backlog, place)
        except sqlite3.OperationalError:
            return False
        self._life = life
        self._last_event += len(events)
        self._backlog.clear()
        return True

    def events(self) -> list[EventRecord]:
        """Give everything that was told and written."""
        return reading.events(
            self._connection, after=0, service="", limit=reading.ROWS_READ, since=None
        )

    def fill(self) -> None:
        """Let the disk be full: not one page more."""
        self._set_room(1)

    def free(self) -> None:
        """Let there be room again."""
        self._set_room(AMPLE_PAGES)

    def _set_room(self, pages: int) -> None:
        # SQLite never goes below what the database has already.
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def replace(self, memory: Memory) -> None:
        """Put another memory in the place of what was written, as if the record were another's."""
        room = self._connection
        for table in ("slots", "dependencies", "state_history", "services", "meta"):
            room.execute(f"DELETE FROM {table}")
        self._boot = memory.boot
        decision = Decision()
        remembered = replace(
            decision.remembered,
            services=memory.services,
            slots=memory.slots,
            prune=memory.prune,
            prune_changed=True,
            overlays=memory.overlays,
            removed=memory.removed,
        )
        self.record(replace(decision, remembered=remembered), Nanos(0), 0.0)


@functools.cache
def empty_record() -> bytes:
    """Give the bytes of a record in which nothing is written yet."""
    connection = sqlite3.connect(":memory:")
    schema.migrations().apply(Database(connection))
    return connection.serialize()
