"""Know what a slot's errands are due for: hooks around the life of its processes.

An occasion says what is due and how far it has come. It is remembered together with what makes it
due, before anything is done about it, so that no daemon forgets it and none does it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.backoff import ended_well
from reconciler.core.ledger import Ledger
from reconciler.model.observed import Exit, Role, State
from reconciler.model.record import Occasion, Side, SlotRecord
from reconciler.model.spec import Hook, ServiceSpec

UP = (State.RUNNING, State.DEGRADED)
"""States in which a process is what its service is there for."""


def commands_of(spec: ServiceSpec | None, role: Role) -> tuple[Hook, ...]:
    """Give the commands that a service has for a role, in order."""
    if spec is None:
        return ()
    hooks = spec.hooks
    of_role: Mapping[Role, tuple[Hook, ...]] = {
        Role.PRE_START: hooks.pre_start,
        Role.POST_START: hooks.post_start,
        Role.PRE_STOP: hooks.pre_stop,
        Role.POST_STOP: hooks.post_stop,
        Role.ON_FAILURE: hooks.on_failure,
        Role.RELOAD: _reload_of(spec),
    }
    return of_role.get(role, ())


def _reload_of(spec: ServiceSpec) -> tuple[Hook, ...]:
    command = spec.reload.command if spec.reload is not None else None
    return (command,) if command is not None else ()


def due(
    ledger: Ledger, record: SlotRecord, role: Role, *, result: str = "", end: Exit | None = None
) -> SlotRecord:
    """Give a record in which the errands of a role are due, if its service has any.

    What still runs for the same role on an earlier occasion goes on, and says nothing more.
    """
    if not commands_of(ledger.version(record.memory.slot), role):
        return record
    occasion = Occasion(role=role, since=ledger.now, result=result, exit=end)
    return with_occasion(aged(record, role), occasion)


def aged(record: SlotRecord, role: Role) -> SlotRecord:
    """Give a record in which what runs for a role says nothing of the occasion that comes now."""
    sides = tuple(
        replace(side, is_old=True) if side.role is role else side for side in record.sides
    )
    return replace(record, sides=sides)


def give_up_start(ledger: Ledger, record: SlotRecord) -> SlotRecord:
    """Give a record of which no start goes on; what a preStart hook began is to be tidied up."""
    occasion = record.memory.occasion(Role.PRE_START)
    is_begun = record.side(Role.PRE_START) is not None or (occasion is not None and occasion.done)
    record = without_occasion(record, Role.PRE_START)
    return due(ledger, record, Role.POST_STOP, result="stopped") if is_begun else record


def with_occasion(record: SlotRecord, occasion: Occasion) -> SlotRecord:
    """Give a record with an occasion in the place of what its role was due for."""
    others = without_occasion(record, occasion.role).memory.occasions
    memory = replace(record.memory, occasions=(*others, occasion))
    return replace(record, memory=memory)


def without_occasion(record: SlotRecord, role: Role) -> SlotRecord:
    """Give a record in which nothing of a role is due."""
    if record.memory.occasion(role) is None:
        return record
    left = tuple(one for one in record.memory.occasions if one.role is not role)
    return replace(record, memory=replace(record.memory, occasions=left))


def with_side(record: SlotRecord, side: Side) -> SlotRecord:
    """Give a record with a side in the place of what ran of its role."""
    return replace(record, sides=(*without_side(record, side.role).sides, side))


def without_side(record: SlotRecord, role: Role) -> SlotRecord:
    """Give a record in which nothing of a role runs."""
    return replace(record, sides=tuple(side for side in record.sides if side.role is not role))


def result_of(spec: ServiceSpec | None, end: Exit | None, *, was_asked: bool) -> str:
    """Say in a word how a process came to its end, as hooks are told it in WEAVER_RESULT."""
    if was_asked:
        return "stopped"
    if end is None or end.unknown:
        return "unknown"
    if spec is not None and ended_well(spec, end):
        return "success"
    if end.signal is not None:
        return "core-dump" if end.core else "signal"
    return "exit-code"


def name_of(spec: ServiceSpec | None, role: Role, place: int) -> str:
    """Name a hook for people, with its number where it is one of several.

    >>> name_of(None, Role.PRE_STOP, 0)
    'preStop hook'
    """
    count = len(commands_of(spec, role))
    return f"{role.in_words} {place + 1} of {count}" if count > 1 else role.in_words
