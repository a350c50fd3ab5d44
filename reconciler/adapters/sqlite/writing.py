"""Write a backlog: one transaction, all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler.adapters.sqlite import codec
from reconciler.adapters.sqlite.backlog import Answer, Backlog, Moment
from reconciler.adapters.sqlite.reading import CHANGE
from reconciler.failpoints import failpoint
from reconciler.model.event import Happening, Signal, Spawn, Transition
from reconciler.model.observed import Slot, State
from reconciler.model.record import ServiceMemory, SlotMemory
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord

_STATES = frozenset(State)
_WORST_FIRST = (State.CRASHED, State.UNKNOWN, State.STARTING, State.STOPPING, State.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a transaction happens: the daemon's life, the boot, the time, the last event."""

    boot: str
    life: int
    at: Moment
    last_event: int


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Begin as a writer at once, and take everything back when anything fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        failpoint("store.commit.before")
        connection.execute("COMMIT")
        failpoint("store.commit.after")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def write(connection: sqlite3.Connection, backlog: Backlog, place: Place) -> list[EventRecord]:
    """Write everything that waits, inside a transaction of the caller; give numbered events."""
    desk = _Desk(connection, place)
    desk.services(backlog.services)
    desk.transitions(backlog.transitions)
    desk.slots(backlog.slots)
    desk.operations(backlog.operations)
    desk.answers(backlog.answers)
    desk.forget(name for name, memory in backlog.services.items() if memory is None)
    if backlog.prune_changed:
        set_meta(connection, "prune", codec.prune_text(backlog.prune))
    if backlog.overlays is not None:
        set_meta(connection, "overlays", codec.overlays_text(backlog.overlays, place.boot))
    if backlog.removed is not None:
        at = place.at
        text = codec.removed_text(backlog.removed, place.boot, at.boottime, at.wall)
        set_meta(connection, "removed", text)
    return desk.events(backlog.told(place.at))


def set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Set one of the record's own values."""
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )


def keep_change(connection: sqlite3.Connection, change: str, text: str) -> None:
    """Keep a change that is not in the branch yet."""
    with transaction(connection):
        set_meta(connection, CHANGE + change, text)


def let_changes_go(connection: sqlite3.Connection, changes: Iterable[str]) -> None:
    """Forget changes that are in the branch, or refused."""
    with transaction(connection):
        keys = [(CHANGE + change,) for change in changes]
        connection.executemany("DELETE FROM meta WHERE key = ?", keys)


def begin_life(connection: sqlite3.Connection, at: Moment) -> int:
    """Give this daemon's life a number, and close the commands that the last one left open.

    Serial numbers begin anew in each life, so an operation is known by life and serial. What
    became of an open one is found by looking at the host, not by guessing.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'life'").fetchone()
    life = int(row[0]) + 1 if row and row[0].isdigit() else 1
    set_meta(connection, "life", str(life))
    connection.execute(
        "UPDATE operations SET state = 'unknown', answer = 'the daemon ended before the answer',"
        " answered_at = ?, answered_boottime = ? WHERE state = 'issued'",
        (at.wall, at.boottime),
    )
    return life


def state_of(states: Iterable[State]) -> State:
    """Give a service's state from those of its slots.

    >>> str(state_of([State.RUNNING, State.CRASHED])), str(state_of([State.STARTING] * 2))
    ('degraded', 'starting')
    """
    found = set(states)
    if len(found) <= 1:
        return found.pop() if found else State.STOPPED
    if found & {State.RUNNING, State.DEGRADED}:
        return State.DEGRADED
    return next(state for state in _WORST_FIRST if state in found)


class _Desk:
    """One transaction's work, and the ids it has looked up."""

    def __init__(self, connection: sqlite3.Connection, place: Place) -> None:
        self._connection = connection
        self._place = place
        self._ids: dict[ServiceName, int] = {}

    def services(self, services: Mapping[ServiceName, ServiceMemory | None]) -> None:
        for name, memory in services.items():
            if memory is not None:
                self._put(name, memory)

    def slots(self, slots: Mapping[Slot, SlotMemory | None]) -> None:
        for slot, memory in slots.items():
            key = (self._id(slot.service), slot.index)
            if memory is None:
                self._connection.execute("DELETE FROM slots WHERE service_id = ? AND slot = ?", key)
                self._derive_state(slot.service)
            else:
                self._connection.execute(
                    "INSERT INTO slots (service_id, slot, boot, memory) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (service_id, slot) DO UPDATE"
                    " SET boot = excluded.boot, memory = excluded.memory",
                    (*key, self._place.boot, codec.slot_text(memory)),
                )

    def transitions(self, transitions: Iterable[tuple[Moment, Transition]]) -> None:
        touched: dict[Slot, State] = {}
        rows = []
        for at, change in transitions:
            touched[change.slot] = change.after
            rows.append(
                (
                    self._id(change.slot.service),
                    change.slot.index,
                    change.before,
                    change.after,
                    change.reason,
                    change.actor or at.actor,
                    at.revision,
                    change.digest or "",
                    at.wall,
                )
            )
        self._connection.executemany(
            "INSERT INTO state_history (service_id, slot, from_state, to_state, reason, actor,"
            " revision, spec_digest, timestamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        for slot, state in touched.items():
            self._connection.execute(
                "INSERT INTO slots (service_id, slot, boot, state) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (service_id, slot) DO UPDATE SET state = excluded.state",
                (self._id(slot.service), slot.index, self._place.boot, state),
            )
        for name in dict.fromkeys(slot.service for slot in touched):
            self._derive_state(name)

    def operations(self, operations: Iterable[tuple[Moment, Spawn | Signal]]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO operations (life, serial, kind, service, slot, run, because,"
            " state, boot, issued_boottime, issued_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'issued', ?, ?, ?)",
            [
                (
                    self._place.life,
                    command.serial,
                    _kind(command),
                    command.slot.service,
                    command.slot.index,
                    None if isinstance(command, Spawn) else command.run,
                    command.because,
                    self._place.boot,
                    at.boottime,
                    at.wall,
                )
                for at, command in operations
            ],
        )

    def answers(self, answers: Iterable[Answer]) -> None:
        self._connection.executemany(
            "UPDATE operations SET state = ?, answer = ?, answered_boottime = ?, answered_at = ?"
            " WHERE life = ? AND serial = ?",
            [
                (
                    "done" if answer.text == "done" else "failed",
                    answer.text,
                    answer.at.boottime,
                    answer.at.wall,
                    self._place.life,
                    answer.serial,
                )
                for answer in answers
            ],
        )

    def events(self, happenings: Iterable[tuple[Moment, Happening]]) -> list[EventRecord]:
        first = self._place.last_event + 1
        records = [
            _event(seq, at, happening) for seq, (at, happening) in enumerate(happenings, first)
        ]
        self._connection.executemany(
            "INSERT INTO events (seq, time, kind, service, instance, reason, revision, actor, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    record.seq,
                    record.time,
                    record.kind,
                    record.service,
                    record.instance,
                    record.reason,
                    record.revision,
                    record.actor,
                    codec.data_text(record.data),
                )
                for record in records
            ],
        )
        return records

    def forget(self, names: Iterable[ServiceName]) -> None:
        """Drop services but for their row, which their history points to."""
        for name in names:
            service_id = self._id(name)
            for table in ("dependencies", "slots"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE service_id = ?",  # noqa: S608 (two fixed names)
                    (service_id,),
                )
            self._connection.execute(
                "UPDATE services SET forgotten_at = ?, updated_at = ?, state = 'stopped'"
                " WHERE id = ?",
                (self._place.at.wall, self._place.at.wall, service_id),
            )

    def _put(self, name: ServiceName, memory: ServiceMemory) -> None:
        wall = self._place.at.wall
        row = self._connection.execute(
            "INSERT INTO services (name, config, state, created_at, updated_at)"
            " VALUES (?, ?, 'stopped', ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " config = excluded.config, updated_at = excluded.updated_at, forgotten_at = NULL"
            " RETURNING id",
            (name, codec.service_text(memory, self._place.boot), wall, wall),
        ).fetchone()
        self._ids[name] = row[0]
        self._set_needs(row[0], {need.service for need in memory.spec.needs})

    def _set_needs(self, service_id: int, needs: set[ServiceName]) -> None:
        rows = self._connection.execute(
            "SELECT depends_on FROM dependencies WHERE service_id = ?", (service_id,)
        )
        known = {name for (name,) in rows}
        self._connection.executemany(
            "DELETE FROM dependencies WHERE service_id = ? AND depends_on = ?",
            [(service_id, name) for name in sorted(known - needs)],
        )
        self._connection.executemany(
            "INSERT INTO dependencies (service_id, depends_on, created_at) VALUES (?, ?, ?)",
            [(service_id, name, self._place.at.wall) for name in sorted(needs - known)],
        )

    def _id(self, name: ServiceName) -> int:
        """Give a service's row, making a forgotten one for a name never seen."""
        if name not in self._ids:
            wall = self._place.at.wall
            row = self._connection.execute(
                "INSERT INTO services (name, config, state, created_at, updated_at, forgotten_at)"
                " VALUES (?, '', 'stopped', ?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET name = excluded.name RETURNING id",
                (name, wall, wall, wall),
            ).fetchone()
            self._ids[name] = row[0]
        return self._ids[name]

    def _derive_state(self, name: ServiceName) -> None:
        service_id = self._id(name)
        rows = self._connection.execute(
            "SELECT state FROM slots WHERE service_id = ? AND state IS NOT NULL", (service_id,)
        )
        state = state_of([_state(text) for (text,) in rows])
        self._connection.execute(
            "UPDATE services SET state = ?, updated_at = ? WHERE id = ? AND state <> ?",
            (state, self._place.at.wall, service_id, state),
        )


def _state(text: str) -> State:
    return State(text) if text in _STATES else State.UNKNOWN


def _event(seq: int, at: Moment, happening: Happening) -> EventRecord:
    return EventRecord(
        seq=seq,
        time=at.wall,
        kind=happening.kind,
        service=happening.service or "",
        instance=str(happening.slot) if happening.slot is not None else "",
        reason=happening.reason,
        revision=at.revision,
        actor=happening.actor or at.actor,
        data=dict(happening.data),
    )


def _kind(command: Spawn | Signal) -> str:
    if isinstance(command, Signal):
        return f"signal {command.signal}"
    return "spawn" if command.errand is None else f"spawn {command.role}"
