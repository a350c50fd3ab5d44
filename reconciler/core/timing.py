"""Follow schedules: ask when their times are, and let a run begin at each, once.

The wall clock stays outside: it is asked (`NextTime`) when a time should have come, and again every
half minute, since anybody may set it. What it answers is on record before a run begins, so that no
scheduled time is served twice, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.ledger import Dial, Ledger
from reconciler.core.wishes import is_live, is_tried_again
from reconciler.model.event import NextTime, TimeTold
from reconciler.model.observed import State
from reconciler.model.plan import NextRun
from reconciler.model.record import ServiceMemory, SlotRecord, Timing, Trouble
from reconciler.model.spec import CatchUp, Overlap, Schedule
from reconciler.model.units import Nanos, ServiceName, minutes, seconds

ASK_AGAIN = seconds(30)
"""As often as the host is looked at, so that no step is made for this alone."""
ON_TIME = minutes(1)
"""Later than this, a scheduled time was missed."""
SOONEST = seconds(0.02)
"""Between two questions, however near the next time is said to be."""


def follow_schedules(ledger: Ledger) -> None:
    """Ask for times that should have come, and begin runs that waited for the end of another."""
    for name in list(ledger.scheduled):
        memory = ledger.services[name]
        schedule = memory.spec.schedule
        if schedule is None or not _is_followed(ledger, memory):
            _let_rest(ledger, memory)
            continue
        timing = memory.timing
        if timing is None or not timing.schedule.is_at_the_times_of(schedule):
            ledger.dials.pop(name, None)
            memory = _put(ledger, memory, _begun_anew(timing, schedule))
        _begin_queued(ledger, memory)
        _ask(ledger, ledger.services[name], schedule)


def _is_followed(ledger: Ledger, memory: ServiceMemory) -> bool:
    if ledger.shutting_down or memory.leaving:
        return False
    wanted = ledger.desired.services.get(memory.spec.name)
    spec = wanted.spec if wanted is not None and wanted.spec is not None else memory.spec
    return spec.wants_to_run and memory.spec.wants_to_run


def _let_rest(ledger: Ledger, memory: ServiceMemory) -> None:
    """Forget how far a schedule was followed that is not to be; what comes now is not missed.

    A daemon that leaves forgets nothing: the next one finds what was missed meanwhile.
    """
    ledger.dials.pop(memory.spec.name, None)
    if memory.timing is not None and not ledger.shutting_down:
        ledger.put_service(replace(_without_run(memory), timing=None))


def _without_run(memory: ServiceMemory) -> ServiceMemory:
    """Give a service's memory without the run that its schedule asked for."""
    timing = memory.timing
    if timing is None or timing.owed is None:
        return memory
    return replace(memory, restart_before=None, restart_reason="")


def drop_owed(ledger: Ledger, memory: ServiceMemory) -> None:
    """Give up, at the end, a run that could not begin; the next daemon may make up for it."""
    timing = memory.timing
    if timing is None or timing.owed is None:
        return
    memory = _without_run(memory)
    if timing.schedule.catch_up is CatchUp.NONE:
        _tell_lost(ledger, memory, "everything was shut down")
        timing = replace(timing, owed=None)
    ledger.put_service(replace(memory, timing=timing))


def _tell_lost(ledger: Ledger, memory: ServiceMemory, why: str) -> None:
    reason = f"{why} before a scheduled run could begin"
    ledger.tell("schedule.missed", service=memory.spec.name, reason=reason, data={"times": 1})


def _begun_anew(timing: Timing | None, schedule: Schedule) -> Timing:
    """Give the timing of a schedule whose times begin now; a run that is owed stays so."""
    if timing is None:
        return Timing(schedule=schedule)
    return replace(timing, schedule=schedule, since=None, at=None)


def _put(ledger: Ledger, memory: ServiceMemory, timing: Timing) -> ServiceMemory:
    if timing != memory.timing:
        memory = replace(memory, timing=timing)
        ledger.put_service(memory)
    return memory


# --- asking ----------------------------------------------------------------------------------


def _ask(ledger: Ledger, memory: ServiceMemory, schedule: Schedule) -> None:
    name, timing = memory.spec.name, memory.timing
    dial = ledger.dials.get(name, Dial())
    if timing is None or not _is_due(dial, ledger.now):
        return
    serial = ledger.next_serial()
    ledger.dials[name] = replace(dial, asked=ledger.pending(serial))
    ledger.commands.append(
        NextTime(serial=serial, service=name, schedule=schedule, since=timing.since, at=timing.at)
    )


def _is_due(dial: Dial, now: Nanos) -> bool:
    if dial.asked is not None:
        return dial.asked.overdue_at <= now
    at = dial.next_run.at
    if dial.told_at is None or now - dial.told_at >= ASK_AGAIN:
        return True
    return at is not None and at <= now


def moments_of_schedules(ledger: Ledger) -> Iterator[Nanos]:
    """Give when something will be due by a schedule."""
    for dial in ledger.dials.values():
        if dial.asked is not None:
            yield dial.asked.overdue_at
        if dial.next_run.at is not None:
            yield dial.next_run.at


def next_runs(ledger: Ledger) -> dict[ServiceName, NextRun]:
    """Give what is known of the next times of all schedules."""
    return {name: dial.next_run for name, dial in ledger.dials.items()}


# --- what is answered ------------------------------------------------------------------------


def time_told(ledger: Ledger, event: TimeTold) -> None:
    """Take in which times have passed, and let a run begin if one of them asks for it."""
    dial, memory = ledger.dials.get(event.service), ledger.services.get(event.service)
    timing = memory.timing if memory is not None else None
    is_awaited = dial is not None and dial.asked is not None and dial.asked.serial == event.serial
    if not is_awaited or memory is None or timing is None:
        return
    if memory.spec.schedule is None or not timing.schedule.is_at_the_times_of(memory.spec.schedule):
        # Another version came into force since the question.
        return
    at = None if event.next_at is None else Nanos(max(event.next_at, ledger.now + SOONEST))
    next_run = NextRun(time=event.next, at=at, problem=event.problem)
    ledger.dials[event.service] = Dial(told_at=ledger.now, next_run=next_run)
    if event.problem:
        return
    is_of_today = timing.at is not None or timing.since is None
    if timing.since != event.since or not is_of_today:
        told = replace(timing, since=event.since, at=event.at)
        memory = _put(ledger, memory, told)
    if not is_of_today:
        memory = _catch_up_owed(ledger, memory)
    if event.passed:
        _come(ledger, memory, event)


def _catch_up_owed(ledger: Ledger, memory: ServiceMemory) -> ServiceMemory:
    """Judge a run that was owed when the host went down: it is missed, or made up for."""
    timing = memory.timing
    if timing is None or timing.owed is None or timing.schedule.catch_up is CatchUp.ONCE:
        return memory
    _tell_lost(ledger, memory, "the host went down")
    return _put(ledger, memory, replace(timing, owed=None))


def _come(ledger: Ledger, memory: ServiceMemory, event: TimeTold) -> None:
    """Serve the newest of the times that have passed; the others are missed."""
    spec, timing = memory.spec, memory.timing
    assert spec.schedule is not None
    assert timing is not None
    is_late = ledger.now - event.at > ON_TIME
    catches_up = is_late and spec.schedule.catch_up is CatchUp.ONCE
    is_served = not is_late or catches_up
    missed = event.passed - is_served
    if missed:
        _tell_missed(ledger, spec.name, event, missed, is_served=is_served)
    if not is_served:
        return
    why = f"{event.label}, missed and made up for now" if catches_up else event.label
    if timing.owed is not None or _is_busy(ledger, spec.name):
        _overlap(ledger, memory, spec.schedule, event, why)
    else:
        _begin(ledger, memory, replace(timing, owed=event.since), why)


def _tell_missed(
    ledger: Ledger, name: ServiceName, event: TimeTold, missed: int, *, is_served: bool
) -> None:
    times = "1 scheduled time was" if missed == 1 else f"{missed} scheduled times were"
    rest = f"; the one of {event.label} is made up for" if is_served else f"; last {event.label}"
    reason = f"{times} missed while nobody was there{rest}"
    ledger.tell("schedule.missed", service=name, reason=reason, data={"times": missed})


def _overlap(
    ledger: Ledger, memory: ServiceMemory, schedule: Schedule, event: TimeTold, why: str
) -> None:
    """Do what is said for a time that comes while the last run is not over."""
    timing = memory.timing
    assert timing is not None
    if schedule.overlap is Overlap.REPLACE:
        _begin(ledger, memory, replace(timing, owed=event.since), why)
    elif schedule.overlap is Overlap.QUEUE and timing.owed is None:
        _put(ledger, memory, replace(timing, owed=event.since))
    else:
        last = "one run waits already" if timing.owed is not None else "the last run is not over"
        ledger.tell("schedule.skipped", service=memory.spec.name, reason=f"{why}: {last} (overlap)")


def _begin_queued(ledger: Ledger, memory: ServiceMemory) -> None:
    """Begin a run that waited for the end of the one before, or for this boot of the host."""
    timing = memory.timing
    is_waiting = timing is not None and timing.owed is not None and timing.at is not None
    if timing is None or not is_waiting or memory.restart_before is not None:
        return
    if not _is_busy(ledger, memory.spec.name):
        _begin(ledger, memory, timing, "it waited for the end of the last run")


def _begin(ledger: Ledger, memory: ServiceMemory, timing: Timing, why: str) -> None:
    """Let a run begin as soon as its needs are there: whatever is older gives way to it."""
    reason = f"its schedule: {why}"
    ledger.put_service(
        replace(
            memory,
            timing=timing,
            restart_before=ledger.now,
            restart_reason=reason,
            restart_cause="schedule",
        )
    )
    for record in _records(ledger, memory.spec.name):
        fresh = replace(record, memory=replace(record.memory, trouble=Trouble()))
        if _is_in_preparation(record):
            # A start of which only hooks ran so far is that of this run from now on.
            fresh = replace(fresh, cause="schedule", reason=reason)
        elif not is_live(record):
            fresh = replace(fresh, cause="schedule")
        ledger.put(fresh)


def _is_in_preparation(record: SlotRecord) -> bool:
    return record.state is State.STARTING and record.process is None and record.pending is None


def _is_busy(ledger: Ledger, name: ServiceName) -> bool:
    """Tell whether the last run is not over: at work, ending, or to be tried again."""
    spec = ledger.services[name].spec
    return any(is_live(one) or is_tried_again(one, spec) for one in _records(ledger, name))


def _records(ledger: Ledger, name: ServiceName) -> list[SlotRecord]:
    remembered = [slot for slot in ledger.remembered_slots if slot.service == name]
    return [*ledger.slots.get(name, {}).values(), *map(ledger.record, remembered)]


def put_on_schedule(memory: ServiceMemory, schedule: Schedule, now: Nanos) -> ServiceMemory:
    """Begin to follow a schedule: what ran before is no run, and changed code asks for none."""
    if memory.restart_cause == "change":
        memory = replace(memory, restart_before=None, restart_reason="", restart_cause="manual")
    return replace(memory, timing=Timing(schedule=schedule, runs_from=now))
