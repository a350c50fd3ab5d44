"""Read the record back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.adapters.sqlite import codec
from reconciler.model.observed import Slot
from reconciler.model.overlay import Overlay
from reconciler.model.record import Memory, PruneHold, ServiceMemory, SlotMemory
from reconciler.model.units import Nanos, ServiceName
from reconciler.ports import EventRecord, TransitionRecord

ROWS_READ = 10_000
"""The most rows one question gets."""
CHANGE = "change "
"""Before the operation id of a change that is kept until it is in the branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """The memory as stored, and what of it could not be read."""

    memory: Memory
    notes: tuple[str, ...] = ()


def memory(connection: sqlite3.Connection, boot: str, now: Nanos, wall: float) -> Recalled:
    """Give everything that outlives the daemon; name what cannot be read and leave it out."""
    notes: list[str] = []
    return Recalled(
        memory=Memory(
            boot=boot,
            services=_services(connection, boot, notes),
            slots=_slots(connection, boot, notes),
            prune=_prune(connection, notes),
            overlays=_overlays(connection, boot, now, wall, notes),
            removed=_removed(connection, boot, now, wall, notes),
        ),
        notes=tuple(notes),
    )


def last_event(connection: sqlite3.Connection) -> int:
    """Give the number of the newest event, 0 before the first."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def events(
    connection: sqlite3.Connection, *, after: int, service: str, limit: int, since: float | None
) -> list[EventRecord]:
    """Give the newest events that match, oldest first."""
    rows = connection.execute(
        "SELECT seq, time, kind, service, instance, reason, revision, actor, data FROM events"
        " WHERE seq > ? AND (? = '' OR service = ?) AND time >= ? ORDER BY seq DESC LIMIT ?",
        (after, service, service, since or 0.0, _bounded(limit)),
    ).fetchall()
    return [_event(row) for row in reversed(rows)]


def history(connection: sqlite3.Connection, service: str, limit: int) -> list[TransitionRecord]:
    """Give a service's state changes, newest first."""
    rows = connection.execute(
        "SELECT h.timestamp, s.name, h.slot, h.from_state, h.to_state, h.reason, h.actor,"
        " h.revision, h.spec_digest FROM state_history h JOIN services s ON s.id = h.service_id"
        " WHERE s.name = ? ORDER BY h.id DESC LIMIT ?",
        (service, _bounded(limit)),
    )
    return [
        TransitionRecord(
            time=time,
            service=name,
            instance=str(Slot(service=name, index=slot)),
            before=before,
            after=after,
            reason=reason,
            actor=actor,
            revision=revision,
            digest=digest,
        )
        for time, name, slot, before, after, reason, actor, revision, digest in rows
    ]


def _services(
    connection: sqlite3.Connection, boot: str, notes: list[str]
) -> dict[ServiceName, ServiceMemory]:
    found: dict[ServiceName, ServiceMemory] = {}
    for name, config in connection.execute(
        "SELECT name, config FROM services WHERE forgotten_at IS NULL ORDER BY name"
    ):
        try:
            found[name] = codec.read_service(config, boot)
        except codec.CodecError as error:
            notes.append(f"cannot read what was remembered of {name}: {error}")
    return found


def _slots(connection: sqlite3.Connection, boot: str, notes: list[str]) -> dict[Slot, SlotMemory]:
    found: dict[Slot, SlotMemory] = {}
    for name, index, text in connection.execute(
        "SELECT s.name, t.slot, t.memory FROM slots t JOIN services s ON s.id = t.service_id"
        " WHERE t.boot = ? AND t.memory IS NOT NULL ORDER BY s.name, t.slot",
        (boot,),
    ):
        slot = Slot(service=name, index=index)
        try:
            found[slot] = codec.read_slot(text)
        except codec.CodecError as error:
            notes.append(f"cannot read what was remembered of {slot}: {error}")
    return found


def _prune(connection: sqlite3.Connection, notes: list[str]) -> PruneHold | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'prune'").fetchone()
    try:
        return codec.read_prune(row[0]) if row else None
    except codec.CodecError as error:
        notes.append(f"cannot read the removal that was held: {error}")
        return None


def changes(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Give the changes that are not in the branch yet, the oldest first."""
    rows = connection.execute(
        "SELECT substr(key, ?), value FROM meta WHERE key GLOB ? ORDER BY rowid",
        (len(CHANGE) + 1, CHANGE + "*"),
    )
    return [(change, text) for change, text in rows]


def _overlays(
    connection: sqlite3.Connection, boot: str, now: Nanos, wall: float, notes: list[str]
) -> tuple[Overlay, ...]:
    row = connection.execute("SELECT value FROM meta WHERE key = 'overlays'").fetchone()
    try:
        return codec.read_overlays(row[0], boot, now, wall) if row else ()
    except codec.CodecError as error:
        notes.append(f"cannot read what was wanted for a while: {error}")
        return ()


def _removed(
    connection: sqlite3.Connection, boot: str, now: Nanos, wall: float, notes: list[str]
) -> Mapping[ServiceName, Nanos]:
    row = connection.execute("SELECT value FROM meta WHERE key = 'removed'").fetchone()
    try:
        return codec.read_removed(row[0], boot, now, wall) if row else {}
    except codec.CodecError as error:
        notes.append(f"cannot read what was removed a short time ago: {error}")
        return {}


def _event(row: tuple[int, float, str, str, str, str, str, str, str]) -> EventRecord:
    seq, time, kind, service, instance, reason, revision, actor, text = row
    return EventRecord(
        seq=seq,
        time=time,
        kind=kind,
        service=service,
        instance=instance,
        reason=reason,
        revision=revision,
        actor=actor,
        data=codec.read_data(text),
    )


def _bounded(limit: int) -> int:
    return max(0, min(limit, ROWS_READ))
