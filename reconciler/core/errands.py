"""Run what is due beside a main process, and end what takes too long or is wanted no more.

Looked at anew in every step: whatever was lost, came late, or was found by a later daemon leads
to the same end.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from reconciler.core.answers import start_failed
from reconciler.core.doors import wants
from reconciler.core.issuing import last_word, send_stop
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal as Sign
from reconciler.core.occasions import (
    UP,
    commands_of,
    name_of,
    with_occasion,
    with_side,
    without_occasion,
)
from reconciler.core.reloading import why_reload
from reconciler.core.strays import UNKILLABLE_AFTER
from reconciler.core.wishes import has_errands
from reconciler.model.event import Errand, Scope, Signal, Spawn
from reconciler.model.observed import Role, State
from reconciler.model.record import Occasion, Side, SlotRecord
from reconciler.model.spec import Hook
from reconciler.model.units import Nanos, in_seconds


class Turn(Enum):
    """Whether it is an occasion's turn."""

    NOW = auto()
    LATER = auto()
    NEVER = auto()


def run_errands(ledger: Ledger) -> None:
    """Do what is due of all errands."""
    for known in ledger.timed_records():
        slot = known.memory.slot
        for side in known.sides:
            _attend(ledger, ledger.record(slot), side)
        for occasion in known.memory.occasions:
            _pursue(ledger, ledger.record(slot), occasion.role)
        _part(ledger, ledger.record(slot))


# --- what runs -------------------------------------------------------------------------------


def _attend(ledger: Ledger, record: SlotRecord, side: Side) -> None:
    """Kill an errand whose time is over, that is wanted no more, or that left something behind."""
    if side.process is None or side.pending is not None or side.stuck:
        return
    slot = record.memory.slot
    if side.killed:
        if side.deadline is not None and side.deadline <= ledger.now:
            name = name_of(ledger.version(slot), side.role, side.place)
            because = f"{name} (pid {side.process.id.pid}) does not end, not even by SIGKILL"
            ledger.tell("hook.failed", slot=slot, reason=because, data={"hook": side.role.value})
            ledger.put(with_side(record, replace(side, stuck=True, deadline=None)))
        return
    unwanted = side.unwanted or _is_unwanted(ledger, record, side)
    verdict = side.verdict or _verdict(ledger, record, side)
    if unwanted or verdict or side.process.exit is not None:
        _kill(ledger, record, replace(side, unwanted=unwanted, verdict=verdict))


def _is_hurried(ledger: Ledger, record: SlotRecord, role: Role) -> bool:
    """Tell whether nobody waits for a hook: all is to end at once, or what it is before is."""
    slot = record.memory.slot
    is_before_a_kill = role is Role.PRE_STOP and slot.service in ledger.hurried
    return ledger.hurry or (is_before_a_kill and not wants(ledger, slot))


def _is_unwanted(ledger: Ledger, record: SlotRecord, side: Side) -> bool:
    """Tell whether what an errand is for is over."""
    if _is_hurried(ledger, record, side.role):
        return True
    match side.role:
        case Role.PRE_START:
            return record.state is not State.STARTING or record.process is not None
        case Role.POST_START | Role.RELOAD:
            return record.state not in (*UP, State.UNKNOWN)
        case _:
            return False


def _verdict(ledger: Ledger, record: SlotRecord, side: Side) -> str:
    """Say why an errand's time is over; empty while it is not."""
    if side.process is None or side.process.exit is not None:
        return ""
    if side.deadline is not None and side.deadline <= ledger.now:
        span = in_seconds(_hook(ledger, record, side).timeout)
        return f"did not end within {span:g} s"
    limit = limit_of(ledger, record, side)
    if limit is None or limit > ledger.now:
        return ""
    return f"left no time of its {'startTimeout' if side.role is Role.PRE_START else 'stopTimeout'}"


def limit_of(ledger: Ledger, record: SlotRecord, side: Side) -> Nanos | None:
    """Give when the start or stop that an errand is part of leaves it no more time."""
    if record.deadline is None:
        return None
    if side.role is Role.PRE_START and record.state is State.STARTING:
        return record.deadline
    if side.role is not Role.PRE_STOP or record.state is not State.STOPPING:
        return None
    return Nanos(record.deadline - last_word(ledger.version(record.memory.slot)))


def _hook(ledger: Ledger, record: SlotRecord, side: Side) -> Hook:
    commands = commands_of(ledger.version(record.memory.slot), side.role)
    return commands[side.place] if side.place < len(commands) else Hook(command=())


def _kill(ledger: Ledger, record: SlotRecord, side: Side) -> None:
    assert side.process is not None
    serial = ledger.next_serial()
    ledger.commands.append(
        Signal(
            serial=serial,
            slot=record.memory.slot,
            run=side.process.run,
            target=side.process.id,
            signal="SIGKILL",
            scope=Scope.TREE,
            because=_why_killed(side),
        )
    )
    killed = replace(
        side,
        killed=True,
        pending=ledger.pending(serial),
        touched=serial,
        deadline=Nanos(ledger.now + UNKILLABLE_AFTER),
    )
    ledger.put(with_side(record, killed))


def _why_killed(side: Side) -> str:
    if side.verdict:
        return f"its {side.role.in_words} {side.verdict}"
    if side.unwanted:
        return f"its {side.role.in_words} is not wanted any more"
    return f"its {side.role.in_words} left it behind"


# --- what is due -----------------------------------------------------------------------------


def _pursue(ledger: Ledger, record: SlotRecord, role: Role) -> None:
    """Begin the next command of an occasion whose turn it is, or go on behind the last one."""
    occasion = record.memory.occasion(role)
    side = record.side(role)
    if occasion is None or (side is not None and not (side.stuck and role is Role.PRE_STOP)):
        return
    match _turn(ledger, record, role):
        case Turn.LATER:
            return
        case Turn.NEVER:
            ledger.put(without_occasion(record, role))
            return
        case Turn.NOW:
            pass
    spec = ledger.version(record.memory.slot)
    commands = (
        () if _is_hurried(ledger, record, role) or side is not None else commands_of(spec, role)
    )
    if occasion.done < len(commands):
        is_late = record.deadline is not None and record.deadline <= ledger.now
        if role is Role.PRE_START and is_late:
            because = f"{name_of(spec, role, occasion.done)} was not done within its startTimeout"
            start_failed(ledger, record, because, result="start-timeout", data={})
            return
        _begin(ledger, record, occasion, commands[occasion.done])
    elif role is Role.PRE_START:
        # The service itself is for the planner to start: what it needs may be gone by now.
        return
    elif role is Role.PRE_STOP:
        send_stop(ledger, without_occasion(record, role))
    else:
        ledger.put(without_occasion(record, role))


def _turn(ledger: Ledger, record: SlotRecord, role: Role) -> Turn:
    """Tell whether it is the turn of what is due for a role."""
    process, state = record.process, record.state
    if state is State.UNKNOWN or record.pending is not None:
        return Turn.LATER
    is_alive = process is not None and process.exit is None
    match role:
        case Role.PRE_START if state is State.STARTING and process is None:
            return Turn.LATER if ledger.shutting_down else Turn.NOW
        case Role.PRE_START:
            # A start that was cut off by the end of a daemon is for the planner to go on with.
            is_cut_off = process is None and state in (State.STOPPED, State.CRASHED)
            return Turn.LATER if is_cut_off else Turn.NEVER
        case Role.POST_START | Role.RELOAD if is_alive and state is State.STARTING:
            return Turn.LATER
        case Role.RELOAD if not _is_behind(ledger, record):
            # Its command was never begun, and what asked for it is no longer so.
            return Turn.NEVER
        case Role.POST_START | Role.RELOAD:
            return Turn.NOW if is_alive and state in UP else Turn.NEVER
        case Role.PRE_STOP:
            is_open = is_alive and state is State.STOPPING and not record.killed
            return Turn.NOW if is_open else Turn.NEVER
        case Role.POST_STOP if process is not None:
            return Turn.NEVER if is_alive else Turn.LATER
        case Role.POST_STOP:
            others = [side for side in record.sides if side.role is not Role.ON_FAILURE]
            return Turn.LATER if others else Turn.NOW
        case _:
            is_cleared = record.memory.occasion(Role.POST_STOP) is None
            return Turn.NOW if is_cleared and (process is None or is_alive) else Turn.LATER


def _is_behind(ledger: Ledger, record: SlotRecord) -> bool:
    """Tell whether there is still something to load for a process that is to stay."""
    memory = ledger.services.get(record.memory.slot.service)
    wanted = ledger.desired.services.get(record.memory.slot.service)
    if memory is None or record.process is None:
        return False
    spec = wanted.spec if wanted is not None and wanted.spec is not None else memory.spec
    is_to_stay = record.process.digest == spec.digest
    return is_to_stay and bool(why_reload(memory, memory.spec, record))


def _begin(ledger: Ledger, record: SlotRecord, occasion: Occasion, hook: Hook) -> None:
    slot, serial = record.memory.slot, ledger.next_serial()
    spec = ledger.version(slot)
    assert spec is not None
    if occasion.role is Role.RELOAD:
        # It loads what is there now; what changes from here on is for the next one.
        occasion = replace(occasion, since=ledger.now, loads=spec.loads)
        record = with_occasion(record, occasion)
    side = Side(
        role=occasion.role,
        place=occasion.done,
        pending=ledger.pending(serial),
        touched=serial,
    )
    ledger.put(with_side(record, side))
    errand = Errand(role=occasion.role, hook=hook, place=occasion.done, env=_told(record, occasion))
    because = f"its {name_of(spec, occasion.role, occasion.done)}"
    ledger.commands.append(
        Spawn(serial=serial, slot=slot, spec=spec, because=because, errand=errand)
    )


def _told(record: SlotRecord, occasion: Occasion) -> dict[str, str]:
    """Give the variables that tell a hook of its occasion."""
    process = record.process
    found = {} if process is None else {"WEAVER_MAIN_PID": str(process.id.pid)}
    if occasion.role not in (Role.POST_STOP, Role.ON_FAILURE):
        return found
    end = occasion.exit
    code = "" if end is None or end.code is None else str(end.code)
    signal = "" if end is None or end.signal is None else end.signal
    return {
        "WEAVER_EXIT_CODE": code,
        "WEAVER_EXIT_SIGNAL": signal,
        "WEAVER_RESULT": occasion.result,
    }


def _part(ledger: Ledger, record: SlotRecord) -> None:
    """Let a stop be over once the last hook of it is."""
    is_waiting = record.state is State.STOPPING and record.process is None
    if is_waiting and record.pending is None and not has_errands(record):
        data = record.parting or {}
        ledger.move(replace(record, parting=None), Sign.TREE_EMPTY, record.reason, data)
        ledger.is_unsettled = True
