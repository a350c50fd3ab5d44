"""Keep what is known in order: drop what is of no use any more."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.doors import wants
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.occasions import give_up_start
from reconciler.core.reloads import are_reloads_over, note_loaded
from reconciler.core.strays import are_strays_over
from reconciler.core.timing import drop_owed
from reconciler.core.wishes import is_live
from reconciler.model.desired import Wanted, why_stopped
from reconciler.model.observed import Role, State
from reconciler.model.record import ServiceMemory, SlotMemory, SlotRecord, Trouble
from reconciler.model.units import Nanos, ServiceName

RUN_ASKED_FOR = "start"
"""Why a service with a schedule is to run once, unless it turns out that it is at work."""
_AT_WORK = (State.STARTING, State.RUNNING, State.DEGRADED)


def tidy(ledger: Ledger) -> None:
    """Bring to rest what is wanted no more, and forget slots and requests that are over."""
    for record in ledger.stirred_records():
        if record.process is None and record.memory.occasion(Role.PRE_START) is not None:
            record = _leave_cut_off(ledger, record)  # noqa: PLW2901 - the same one, as it is now
        if not is_live(record) and record.state in (State.STOPPED, State.CRASHED):
            _tidy_empty(ledger, record)
        else:
            note_loaded(ledger, record)
    ledger.hurried = {name for name in ledger.hurried if _has_anything(ledger, name)}
    for name in sorted(ledger.to_restart):
        memory = ledger.services[name]
        if _is_restarted(ledger, memory):
            ledger.put_service(_with_run_begun(memory))
        elif _is_at_work(ledger, memory):
            ledger.put_service(replace(memory, restart_before=None, restart_reason=""))
    for name in sorted(ledger.to_reload):
        memory = ledger.services[name]
        if are_reloads_over(ledger, memory):
            ledger.put_service(replace(memory, reload_before=None, reload_reason=""))


def _has_anything(ledger: Ledger, name: ServiceName) -> bool:
    return any(is_live(record) for record in ledger.slots.get(name, {}).values())


def _leave_cut_off(ledger: Ledger, record: SlotRecord) -> SlotRecord:
    """Clear up after a start that the end of a daemon cut off, where it is wanted no more."""
    is_idle = record.pending is None and record.state in (State.STOPPED, State.CRASHED)
    spec = ledger.version(record.memory.slot)
    is_wanted = (
        wants(ledger, record.memory.slot)
        and spec is not None
        and record.memory.tried == spec.digest
    )
    if not is_idle or is_wanted:
        return record
    return ledger.put(give_up_start(ledger, record))


def _tidy_empty(ledger: Ledger, record: SlotRecord) -> None:
    slot = record.memory.slot
    wanted = ledger.desired.services.get(slot.service)
    memory = ledger.services.get(slot.service)
    spec = wanted.spec if wanted else memory.spec if memory else None
    if spec is None or slot.index >= spec.instances + ledger.surge(slot.service):
        ledger.drop(slot)
        return
    is_wanted = spec.wants_to_run and not ledger.shutting_down
    if not is_wanted and record.memory.trouble != Trouble():
        rested = replace(record, memory=replace(record.memory, trouble=Trouble()))
        reason = "shutting down" if ledger.shutting_down else _why_stopped(wanted)
        ledger.move(rested, Signal.STOP, reason)


def _why_stopped(wanted: Wanted | None) -> str:
    return why_stopped(left_out=wanted is not None and wanted.left_out)


def _with_run_begun(memory: ServiceMemory) -> ServiceMemory:
    """Give a service's memory once what was asked for began; so did the run that was owed."""
    timing = memory.timing
    if timing is not None and timing.owed is not None:
        timing = replace(timing, owed=None, last=timing.owed)
    return replace(memory, restart_before=None, restart_reason="", timing=timing)


def _is_restarted(ledger: Ledger, memory: ServiceMemory) -> bool:
    """Tell whether every slot was started anew since a restart was asked for."""
    asked = memory.restart_before or Nanos(0)
    slots = ledger.slots.get(memory.spec.name, {})
    for index in range(memory.spec.instances):
        record = slots.get(index)
        if record is None:
            return False
        is_done = record.memory.done is not None and record.memory.newest >= asked
        is_new = record.process is not None and record.process.started >= asked
        # A scheduled run has begun with its first try, however that went.
        is_new = is_new or (memory.spec.schedule is not None and record.memory.newest >= asked)
        if not (is_done or is_new):
            return False
    return True


def _is_at_work(ledger: Ledger, memory: ServiceMemory) -> bool:
    """Tell whether a run that somebody asked for is under way already, as a look has shown."""
    if memory.restart_cause != RUN_ASKED_FOR:
        return False
    processes = [
        record.process
        for record in ledger.slots.get(memory.spec.name, {}).values()
        if record.state in _AT_WORK
    ]
    return any(process is not None and process.exit is None for process in processes)


def is_finished(ledger: Ledger) -> bool:
    """Tell whether a shutdown is complete: nothing of ours runs but what cannot be ended."""
    if not (ledger.shutting_down and ledger.host_seen) or ledger.commands:
        return False
    if not are_strays_over(ledger):
        return False
    return not any(
        is_live(record) and record.state is not State.UNKNOWN for record in ledger.records()
    )


def release_at_end(ledger: Ledger) -> None:
    """Let everything begin afresh at the next `up`: counts, back-off, and work that was done."""
    for record in ledger.records():
        memory = record.memory
        fresh = SlotMemory(
            slot=memory.slot,
            last_exit=memory.last_exit,
            newest=memory.newest,
            asked=memory.asked,
            exited=memory.exited,
            ended=memory.ended,
        )
        ledger.put(replace(record, memory=fresh))
    for name in list(ledger.scheduled):
        drop_owed(ledger, ledger.services[name])
