"""Take in how processes ended, and judge what follows: done, back-off, or given up."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.backoff import after_failure, end_in_words, ended_well, wants_restart
from reconciler.core.ledger import EARLY_ENDS_KEPT, NOTHING, Data, EarlyEnd, Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.occasions import due, result_of
from reconciler.core.watchdog import grace
from reconciler.core.wishes import has_errands
from reconciler.model.event import Exited, TreeEmptied
from reconciler.model.observed import Exit, Process, Role, Slot, State
from reconciler.model.record import SlotRecord, Trouble
from reconciler.model.spec import RestartPolicy, ServiceSpec
from reconciler.model.units import Nanos, RunId, amount

_FOUND_AGAIN = {
    State.STARTING: Signal.FOUND_STARTING,
    State.RUNNING: Signal.FOUND_RUNNING,
    State.DEGRADED: Signal.FOUND_DEGRADED,
    State.STOPPING: Signal.FOUND_STOPPING,
}


def exited(ledger: Ledger, event: Exited) -> None:
    """Take in the end of a main process, or keep it until its start was heard of."""
    record = ledger.record(event.slot)
    process = record.process
    if process is None or process.run != event.run:
        if event.run not in (record.memory.ended, record.memory.exited):
            keep_early(ledger, event, event.exit, is_empty=False)
        return
    if process.exit is None:
        _end(ledger, found_again(ledger, record), event.exit)


def tree_emptied(ledger: Ledger, event: TreeEmptied) -> None:
    """Take in that nothing of a run is left, or keep it until its start was heard of."""
    record = ledger.record(event.slot)
    process = record.process
    if process is None or process.run != event.run:
        if event.run != record.memory.ended:
            keep_early(ledger, event, None, is_empty=True)
        return
    if process.exit is None:
        # That the tree is gone is certain; how its main process ended was never told.
        unseen = Exit(at=ledger.now, unknown=True)
        exited(ledger, Exited(slot=event.slot, run=event.run, exit=unseen))
    _empty(ledger, found_again(ledger, ledger.record(event.slot)), event.run)


def keep_early(
    ledger: Ledger, event: Exited | TreeEmptied, end: Exit | None, *, is_empty: bool
) -> None:
    """Keep an end until the start of its run was heard of."""
    slot, run, role = event.slot, event.run, event.role
    known = ledger.early.get(run)
    end = end or (known.exit if known else None)
    is_empty = is_empty or (known is not None and known.is_empty)
    ledger.early[run] = EarlyEnd(slot=slot, exit=end, is_empty=is_empty, role=role)
    while len(ledger.early) > EARLY_ENDS_KEPT:
        del ledger.early[next(iter(ledger.early))]
    record = ledger.record(slot)
    if role is Role.MAIN:
        is_awaited = record.process is None and record.pending is not None
    else:
        side = record.side(role)
        is_awaited = side is not None and side.process is None
    ledger.look_again |= not is_awaited


def catch_up(ledger: Ledger, slot: Slot, run: RunId) -> None:
    """Live through the end of a run that was heard of before its start was."""
    early = ledger.early.pop(run, None)
    if early is not None and early.exit is not None:
        exited(ledger, Exited(slot=slot, run=run, exit=early.exit))
    if early is not None and early.is_empty:
        tree_emptied(ledger, TreeEmptied(slot=slot, run=run))


def found_again(ledger: Ledger, record: SlotRecord) -> SlotRecord:
    """Bring a slot back to the state in which it was lost from sight."""
    if record.lost_in is None or record.state is not State.UNKNOWN:
        return record
    found = replace(record, lost_in=None)
    moved = ledger.move(found, _FOUND_AGAIN[record.lost_in], "seen again")
    watchdog_at = grace(moved, ledger.now)
    return ledger.put(replace(moved, reason=record.reason, watchdog_at=watchdog_at))


def _end(ledger: Ledger, record: SlotRecord, end: Exit) -> None:
    """Note the end of a slot's main process, and judge it unless we asked for it."""
    process = record.process
    assert process is not None
    spec = ledger.version(record.memory.slot)
    if end.oom and not end.note and spec is not None and spec.max_memory is not None:
        end = replace(end, note=f"maxMemory {amount(spec.max_memory)}")
    memory = replace(record.memory, last_exit=end, exited=process.run)
    is_known = record.memory.exited == process.run
    before = record.memory.last_exit
    if end.crowded_out and not is_known and not (before is not None and before.crowded_out):
        ledger.tell("drift.found", slot=process.slot, reason=end.note)
    record = replace(
        record,
        memory=memory,
        process=replace(process, exit=end),
        next_probe=None,
        probing=None,
        probe_said="",
        reloading=None,
        watchdog_at=None,
    )
    if is_known or record.state in (State.STOPPING, State.UNKNOWN):
        ledger.put(replace(record, is_untold=not is_known))
    else:
        _died(ledger, replace(record, deadline=None), end)


def _died(ledger: Ledger, record: SlotRecord, end: Exit) -> None:
    """Follow the restart policy after an end that we did not ask for."""
    spec = ledger.version(record.memory.slot)
    process = record.process
    assert process is not None
    was_up = record.state in (State.RUNNING, State.DEGRADED)
    is_good = spec is not None and was_up and ended_well(spec, end)
    if spec is not None and is_good and not wants_restart(spec, well=True):
        _done(ledger, record, spec, end)
        return
    because = str(end) if was_up else end.before_ready
    uptime = Nanos(max(0, end.at - process.started)) if was_up else Nanos(0)
    trouble = one_more_failure(ledger, record, because, uptime)
    if trouble.gave_up and end.crowded_out and spec is not None:
        # A stranger in its place is no fault of its own: it comes back once that one leaves.
        patience = Nanos(ledger.now + spec.backoff.max)
        is_final = spec.restart is RestartPolicy.NEVER
        trouble = trouble if is_final else replace(trouble, gave_up=False, retry_at=patience)
    failed = replace(record, memory=replace(record.memory, trouble=trouble))
    if not is_good:
        result = result_of(spec, end, was_asked=False)
        failed = due(ledger, failed, Role.ON_FAILURE, result=result, end=end)
    moved = ledger.move(
        failed,
        Signal.DIED,
        because,
        _how(process, end),
    )
    tell_if_given_up(ledger, moved)


def _done(ledger: Ledger, record: SlotRecord, spec: ServiceSpec, end: Exit) -> None:
    """Note that a process did what it was for, and is not wanted again by itself."""
    assert record.process is not None
    memory = replace(
        record.memory,
        done=record.process.digest,
        done_at=end.at,
        trouble=Trouble(),
    )
    reason = end_in_words(spec, end)
    kind = "service.completed" if spec.is_oneshot else "service.stopped"
    data = _how(record.process, end)
    ledger.tell(kind, slot=record.memory.slot, reason=reason, data=data)
    ledger.move(replace(record, memory=memory), Signal.EXITED_WELL, reason)


def _empty(ledger: Ledger, record: SlotRecord, run: RunId) -> None:
    """Empty a slot: its whole tree is gone."""
    process = record.process
    end = process.exit if process is not None else None
    if any(stray.slot == record.memory.slot for stray in ledger.strays):
        # What is left alone in the slot is taken over.
        ledger.look_again = True
    how = _how(process, end) if process is not None and end is not None else NOTHING
    start_failed, was_aborted = record.after_stop is State.CRASHED, record.aborted
    was_asked = record.memory.asked == run
    is_telling = record.is_untold and end is not None
    record = replace(
        record,
        memory=replace(record.memory, ended=run),
        process=None,
        pending=None,
        deadline=None,
        over="",
        outgrown="",
        drift=None,
        swept=False,
        killed=False,
        aborted=False,
        watchdog_at=None,
        after_stop=State.STOPPED,
        refused="",
        refusals=0,
        is_untold=False,
    )
    spec = ledger.version(record.memory.slot)
    failed_late = start_failed and record.state in (State.STOPPING, State.UNKNOWN)
    late = "watchdog" if was_aborted else "start-timeout"
    result = late if failed_late else result_of(spec, end, was_asked=was_asked)
    record = due(ledger, record, Role.POST_STOP, result=result, end=end)
    if failed_late:
        record = due(ledger, record, Role.ON_FAILURE, result=result, end=end)
        uptime = _uptime(process, end) if was_aborted else Nanos(0)
        trouble = one_more_failure(ledger, record, record.reason, uptime=uptime)
        failed = replace(record, memory=replace(record.memory, trouble=trouble))
        moved = ledger.move(failed, Signal.TREE_EMPTY_AFTER_TIMEOUT, record.reason, how)
        tell_if_given_up(ledger, moved)
        return
    # The end of what died by itself was told when it did.
    why = "ended at last" if record.state is State.UNKNOWN else record.reason
    reason = f"{why}; {end}" if is_telling else why
    how = how if is_telling else NOTHING
    if record.state is State.STOPPING and has_errands(record):
        # It is stopped once the last of its hooks is over.
        ledger.put(replace(record, reason=reason, parting=how))
        return
    ledger.move(record, Signal.TREE_EMPTY, reason, how)


def _uptime(process: Process | None, end: Exit | None) -> Nanos:
    if process is None or end is None:
        return Nanos(0)
    return Nanos(max(0, end.at - process.started))


def _how(process: Process, end: Exit) -> Data:
    """Give how a process ended, as the data of an event."""
    how: Data = {
        "code": end.code,
        "signal": end.signal,
        "pid": process.id.pid,
        "run": process.run,
    }
    return {**how, "oom": True} if end.oom else how


def one_more_failure(ledger: Ledger, record: SlotRecord, because: str, uptime: Nanos) -> Trouble:
    """Give the trouble of a slot after one more failure.

    The failure of an older version says nothing about today's, which is tried at once; nor does
    that of a process which somebody asked to restart already.
    """
    slot, memory = record.memory.slot, record.memory
    spec = ledger.version(slot)
    if _was_to_restart(ledger, record):
        return Trouble(because=because)
    if spec is None or memory.tried != spec.digest:
        return Trouble(failures=memory.trouble.failures + 1, because=because)
    return after_failure(
        memory.trouble,
        spec,
        slot,
        because=because,
        uptime=uptime,
        now=ledger.now,
        seed=ledger.seed,
    )


def _was_to_restart(ledger: Ledger, record: SlotRecord) -> bool:
    service, process = ledger.services.get(record.memory.slot.service), record.process
    if service is None or process is None or service.restart_cause != "manual":
        return False
    return service.restart_before is not None and process.started < service.restart_before


def tell_if_given_up(ledger: Ledger, record: SlotRecord) -> None:
    """Tell that a slot is not started any more."""
    trouble = record.memory.trouble
    if trouble.gave_up:
        ledger.tell(
            "service.gave-up",
            slot=record.memory.slot,
            reason=trouble.because,
            data={"failures": trouble.failures},
        )
