"""Take in what becomes of errands: how they started, how they ended, what a look shows of them."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.core.answers import BUSY_RETRY, UNDELIVERED_RETRY, start_failed
from reconciler.core.ends import keep_early
from reconciler.core.ledger import EarlyEnd, Ledger
from reconciler.core.lifecycle import Signal as Sign
from reconciler.core.occasions import (
    commands_of,
    name_of,
    with_occasion,
    with_side,
    without_side,
)
from reconciler.core.reloads import command_ended
from reconciler.model.event import Exited, SignalAnswered, Spawned, SpawnFailed, TreeEmptied
from reconciler.model.observed import Exit, Look, Process, ProcessId, Role, Slot, State
from reconciler.model.record import Occasion, Pending, Side, SlotRecord
from reconciler.model.spec import DEFAULT_START_TIMEOUT, Hook
from reconciler.model.units import Digest, Nanos, RunId

OVER_KEPT = 8
"""Errands of a slot that are remembered as over; a look is never older than so many of them."""
BEFORE_A_PROCESS = frozenset({Role.PRE_START})
BESIDE_A_PROCESS = frozenset(Role) - BEFORE_A_PROCESS - {Role.MAIN}


# --- answers ---------------------------------------------------------------------------------


def side_spawned(ledger: Ledger, event: Spawned) -> None:
    """Take an errand as begun, unless nobody waits for it: then look at the host."""
    process = event.process
    record = ledger.record(process.slot)
    side = record.side(process.role)
    if side is not None and _awaits(side, event.serial) and side.process is None:
        _settle(ledger, record, side, process)
    elif process.run not in record.memory.errands_over:
        is_known = side is not None and side.process is not None and side.process.run == process.run
        ledger.look_again |= not is_known


def side_failed(ledger: Ledger, event: SpawnFailed) -> None:
    """Count an errand that could not be started as one that failed; try a busy place again."""
    record = ledger.record(event.slot)
    side = next((one for one in record.sides if _awaits(one, event.serial)), None)
    if side is None or side.process is not None:
        return
    if event.is_busy and side.pending is not None:
        # Whether it was started after all is for a look to tell.
        record = _put_off(ledger, record, side)
        at = Nanos(ledger.now + BUSY_RETRY)
        overdue = Pending(serial=event.serial, overdue_at=at, patience=BUSY_RETRY)
        ledger.put(with_side(record, replace(side, pending=overdue)))
        return
    _judge(ledger, without_side(record, side.role), side, f"could not start: {event.because}")


def side_answered(ledger: Ledger, event: SignalAnswered) -> None:
    """Note that an errand was killed; where it was not, wait a little and look what is there."""
    record = ledger.record(event.slot)
    side = next((one for one in record.sides if _awaits(one, event.serial)), None)
    if side is None or side.pending is None or side.process is None:
        return
    if event.problem:
        at = Nanos(min(side.pending.overdue_at, ledger.now + UNDELIVERED_RETRY))
        pending = Pending(serial=event.serial, overdue_at=at)
        ledger.put(with_side(record, replace(side, pending=pending)))
    else:
        ledger.put(with_side(record, replace(side, pending=None)))


def _awaits(side: Side, serial: int) -> bool:
    return side.pending is not None and side.pending.serial == serial


def _settle(ledger: Ledger, record: SlotRecord, side: Side, process: Process) -> None:
    """Give a started errand its time, and live through what was heard of its end before."""
    until = Nanos(ledger.now + _hook(ledger, record, side).timeout)
    begun = replace(side, process=process, pending=None, deadline=until)
    ledger.put(with_side(_put_off(ledger, record, side), begun))
    early = ledger.early.pop(process.run, None)
    if early is not None and early.exit is not None:
        side_exited(ledger, _exited(process, early.exit))
    if early is not None and early.is_empty:
        side_emptied(ledger, _emptied(process))


def _put_off(ledger: Ledger, record: SlotRecord, side: Side) -> SlotRecord:
    """Put off the end of a start: the time that the host took to answer is none that it took."""
    if side.role is not Role.PRE_START or side.pending is None or record.deadline is None:
        return record
    return replace(record, deadline=Nanos(record.deadline + ledger.waited(side.pending)))


def _hook(ledger: Ledger, record: SlotRecord, side: Side) -> Hook:
    commands = commands_of(ledger.version(record.memory.slot), side.role)
    return commands[side.place] if side.place < len(commands) else Hook(command=())


# --- ends ------------------------------------------------------------------------------------


def side_exited(ledger: Ledger, event: Exited) -> None:
    """Note how an errand ended; it is over once nothing is left of it."""
    record = ledger.record(event.slot)
    side = _running(record, event.role, event.run)
    if side is None or side.process is None:
        if event.run not in record.memory.errands_over:
            keep_early(ledger, event, event.exit, is_empty=False)
    elif side.process.exit is None:
        ended = replace(side, process=replace(side.process, exit=event.exit))
        ledger.put(with_side(record, ended))


def side_emptied(ledger: Ledger, event: TreeEmptied) -> None:
    """Judge an errand of which nothing is left, unless nobody wants to know any more."""
    record = ledger.record(event.slot)
    side = _running(record, event.role, event.run)
    if side is None or side.process is None:
        if event.run not in record.memory.errands_over:
            keep_early(ledger, event, None, is_empty=True)
        return
    over = (*record.memory.errands_over, event.run)[-OVER_KEPT:]
    left = without_side(record, side.role)
    left = replace(left, memory=replace(left.memory, errands_over=over))
    end = side.process.exit or Exit(at=ledger.now, unknown=True)
    _judge(ledger, left, side, side.verdict or ("" if end.code == 0 else str(end)))


def _running(record: SlotRecord, role: Role, run: RunId) -> Side | None:
    side = record.side(role)
    is_it = side is not None and side.process is not None and side.process.run == run
    return side if is_it else None


def _judge(ledger: Ledger, record: SlotRecord, side: Side, problem: str) -> None:
    """Go on behind an errand that is over; `problem` says how it failed, if it did.

    The commands behind one that failed are not run.
    """
    occasion = record.memory.occasion(side.role)
    if occasion is None or side.unwanted or side.is_old:
        ledger.put(record)
        return
    if side.role is Role.RELOAD:
        command_ended(ledger, record, occasion, problem)
        return
    slot = record.memory.slot
    spec = ledger.version(slot)
    done = side.place + 1
    if not problem:
        ledger.put(with_occasion(record, replace(occasion, done=done)))
        return
    because = f"{name_of(spec, side.role, side.place)} {problem}"
    end = side.process.exit if side.process is not None else None
    data = {
        "hook": side.role.value,
        "code": end.code if end is not None else None,
        "signal": end.signal if end is not None else None,
    }
    ledger.tell("hook.failed", slot=slot, reason=because, data=data)
    if side.role is Role.PRE_START:
        start_failed(ledger, record, because, result="hook-failed", data=data)
        return
    skipped = max(done, len(commands_of(spec, side.role)))
    ledger.put(with_occasion(record, replace(occasion, done=skipped)))


# --- looks -----------------------------------------------------------------------------------


def is_awaited(record: SlotRecord, early: EarlyEnd) -> bool:
    """Tell whether the start of a run, whose end was told already, may still be answered."""
    if early.role is Role.MAIN:
        return record.pending is not None
    side = record.side(early.role)
    return side is not None and side.pending is not None


def mains_of(look: Look) -> tuple[Process, ...]:
    """Give what a look shows of services themselves."""
    return tuple(process for process in look.processes if process.role is Role.MAIN)


def compare_sides(ledger: Ledger, look: Look, roles: AbstractSet[Role]) -> None:
    """Bring every slot's errands of these roles to what was found of them."""
    found: dict[Slot, list[Process]] = {}
    for process in look.processes:
        if process.role in roles:
            found.setdefault(process.slot, []).append(process)
    slots = dict.fromkeys(found)
    slots |= dict.fromkeys(record.memory.slot for record in ledger.timed_records() if record.sides)
    for slot in slots:
        shown = found.get(slot, [])
        for side in ledger.record(slot).sides:
            if side.role in roles and side.touched < look.serial:
                _compare(ledger, slot, side, shown)
        if ledger.version(slot) is not None or ledger.manifests_seen:
            _take_over(ledger, slot, shown, look)


def _compare(ledger: Ledger, slot: Slot, side: Side, shown: Iterable[Process]) -> None:
    """Bring one errand that is known to what was found of it."""
    process = side.process
    if process is None:
        _unanswered(ledger, slot, side, shown)
        return
    ours = next((one for one in shown if one.run == process.run), None)
    if ours is None:
        side_emptied(ledger, _emptied(process))
        return
    if side.pending is not None:
        # Whether it was killed nobody knows: where it lives, it is killed once more.
        unsure = replace(side, pending=None, killed=False)
        ledger.put(with_side(ledger.record(slot), unsure))
    _catch_up(ledger, ours)


def _catch_up(ledger: Ledger, shown: Process) -> None:
    if shown.exit is not None:
        side_exited(ledger, _exited(shown, shown.exit))
    if shown.tree_empty:
        side_emptied(ledger, _emptied(shown))


def _unanswered(ledger: Ledger, slot: Slot, side: Side, shown: Iterable[Process]) -> None:
    """Resolve a start whose answer was lost: it runs, it ran, or it never came to be."""
    record = ledger.record(slot)
    occasion = record.memory.occasion(side.role)
    fit = (one for one in shown if one.role is side.role and _is_of(occasion, one))
    ours = next((one for one in fit if _is_news(record, one)), None)
    if ours is None:
        runs = [
            run
            for run, early in ledger.early.items()
            if early.slot == slot and early.role is side.role
        ]
        if not runs:
            # It was never begun, so it is not done twice: the occasion is still there.
            ledger.put(without_side(_put_off(ledger, record, side), side.role))
            return
        run = runs[-1]
        ours = next((one for one in shown if one.run == run), None)
        if ours is None:
            ledger.early[run] = replace(ledger.early[run], is_empty=True)
            ours = _gone(slot, side, run, ledger.now)
    _settle(ledger, record, side, replace(ours, exit=None, tree_empty=False))
    _catch_up(ledger, ours)


def _gone(slot: Slot, side: Side, run: RunId, now: Nanos) -> Process:
    return Process(
        slot=slot,
        id=ProcessId(boot="", pid=0, born=0),
        run=run,
        digest=Digest(""),
        started=now,
        role=side.role,
        place=side.place,
    )


def _is_of(occasion: Occasion | None, process: Process) -> bool:
    """Tell whether a command is the next one of an occasion, and not of an earlier one."""
    is_next = occasion is not None and occasion.done == process.place
    return is_next and occasion is not None and occasion.since <= process.started


def _is_news(record: SlotRecord, process: Process) -> bool:
    is_known = any(side.process and side.process.run == process.run for side in record.sides)
    return not is_known and process.run not in record.memory.errands_over


def _take_over(ledger: Ledger, slot: Slot, shown: Iterable[Process], look: Look) -> None:
    """Go on with errands of an earlier daemon; end those that nothing asks for."""
    for process in shown:
        record = ledger.record(slot)
        side = record.side(process.role)
        if not _is_news(record, process) or (side is not None and side.touched >= look.serial):
            continue
        occasion = record.memory.occasion(process.role)
        if side is None and occasion is not None and _is_of(occasion, process):
            _adopt(ledger, record, occasion, process)
        elif process.is_live and side is None:
            lost = Side(role=process.role, place=process.place, process=process, unwanted=True)
            ledger.put(with_side(record, lost))


def _adopt(ledger: Ledger, record: SlotRecord, occasion: Occasion, process: Process) -> None:
    """Take over an errand that is due, be it that only its end is left to be heard."""
    if process.started <= 0:
        # It is of an earlier boot of the host.
        return
    if occasion.role is Role.PRE_START and record.state in (State.STOPPED, State.CRASHED):
        spec = ledger.version(record.memory.slot)
        patience = (spec.start_timeout if spec else None) or DEFAULT_START_TIMEOUT
        until = None if spec is not None and spec.is_oneshot else Nanos(ledger.now + patience)
        starting = replace(record, deadline=until)
        reason = f"adopted, running its {name_of(spec, occasion.role, occasion.done)}"
        record = ledger.move(starting, Sign.FOUND_STARTING, reason)
    side = Side(role=occasion.role, place=occasion.done)
    _settle(ledger, record, side, replace(process, exit=None, tree_empty=False))
    _catch_up(ledger, process)


def _exited(process: Process, end: Exit) -> Exited:
    return Exited(slot=process.slot, run=process.run, exit=end, role=process.role)


def _emptied(process: Process) -> TreeEmptied:
    return TreeEmptied(slot=process.slot, run=process.run, role=process.role)
