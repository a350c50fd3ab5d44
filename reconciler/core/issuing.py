"""Turn the actions of a plan into commands for the host, and note that they are under way."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from reconciler.core.answers import await_ready, run_limit
from reconciler.core.doors import wants
from reconciler.core.drift import begin_repair
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal as Sign
from reconciler.core.occasions import UP, due, give_up_start, without_occasion
from reconciler.core.reloads import at_start, begin_reload
from reconciler.core.remedies import forgiven, why_replaced
from reconciler.core.rolling import begin_rollout
from reconciler.core.sockets import sockets_asked_for
from reconciler.core.storms import recent
from reconciler.core.strays import UNKILLABLE_AFTER, condemn
from reconciler.core.timing import put_on_schedule
from reconciler.core.watching import trust_again
from reconciler.core.wishes import is_crash_restart, is_prepared
from reconciler.model.event import Scope, Signal, Spawn
from reconciler.model.observed import Process, Role, State
from reconciler.model.plan import (
    Action,
    Forget,
    Kill,
    Reload,
    Repair,
    Restart,
    Start,
    Stop,
    Update,
)
from reconciler.model.record import (
    Remedy,
    ServiceMemory,
    SlotRecord,
    Trouble,
)
from reconciler.model.spec import DEFAULT_START_TIMEOUT, ServiceSpec
from reconciler.model.units import Nanos, Serial, seconds

STOP_TIMEOUT = seconds(10)
"""For processes of which no manifest says more."""
LAST_WORD = seconds(2)
_MENDS_NOTHING = frozenset(
    {
        "description",
        "display_name",
        "version",
        "labels",
        "annotations",
        "loads",
        "instances",
        "protect",
    }
)
"""Fields whose change is no reason to try again at once what failed."""


def issue(ledger: Ledger, action: Action) -> None:
    """Put an action whose waits are over into effect."""
    match action:
        case Start():
            _spawn(ledger, action)
        case Stop():
            _stop(ledger, action)
        case Restart():
            _restart(ledger, action)
        case Kill():
            _kill(ledger, action)
        case Reload():
            begin_reload(ledger, action)
        case Repair():
            begin_repair(ledger, action)
        case Update():
            _update(ledger, action)
        case Forget():
            ledger.tell("service.unregistered", service=action.service, reason=action.because)
            ledger.drop_service(action.service)
        case _:
            assert_never(action)


def _spawn(ledger: Ledger, action: Start) -> None:
    spec = ledger.version(action.slot)
    if spec is None:
        return
    record = ledger.record(action.slot)
    if record.state is State.STARTING:
        _spawn_main(ledger, record, action.because)
        return
    if is_crash_restart(record, spec):
        ledger.crash_restarts = (*recent(ledger.crash_restarts, ledger.now), ledger.now)
    cause = record.cause or _cause(ledger, spec, record)
    if record.memory.tried != spec.digest:
        # What an earlier version did before its start says nothing about this one's.
        record = without_occasion(record, Role.PRE_START)
        memory = replace(record.memory, tried=spec.digest, restarts=0)
        memory = replace(memory, trouble=Trouble(), remedy=Remedy())
        record = replace(record, memory=memory, put_off=False)
    if record.memory.occasion(Role.PRE_START) is None:
        record = due(ledger, record, Role.PRE_START)
    if record.memory.occasion(Role.PRE_START) is not None:
        patience = spec.start_timeout or DEFAULT_START_TIMEOUT
        until = None if spec.is_oneshot else Nanos(ledger.now + patience)
        waiting = replace(record, cause=cause, deadline=until)
        ledger.move(waiting, Sign.START, action.because, {"cause": cause})
        # Where all of it was done for an earlier daemon, the service itself comes at once.
        ledger.is_unsettled |= is_prepared(waiting, spec)
        return
    started = _asked_for(ledger, record, spec, action.because)
    ledger.move(replace(started, cause=cause), Sign.START, action.because, {"cause": cause})


def _asked_for(ledger: Ledger, record: SlotRecord, spec: ServiceSpec, because: str) -> SlotRecord:
    """Ask for the start of the service itself, and give the record that knows of it."""
    slot, serial, memory = record.memory.slot, ledger.next_serial(), record.memory
    memory = replace(memory, loaded=at_start(spec))
    ledger.commands.append(Spawn(serial=serial, slot=slot, spec=spec, because=because))
    sockets_asked_for(ledger, spec, serial)
    record = replace(record, memory=memory, short="", taken="")
    return replace(record, pending=ledger.pending(serial), touched=serial)


def _spawn_main(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Start the service itself, now that all that comes before is done."""
    spec = ledger.version(record.memory.slot)
    if spec is None:
        return
    # Waiting for what it needs may have taken longer than a start may: then it has its whole time.
    is_over = record.deadline is not None and record.deadline <= ledger.now
    until = None if is_over else record.deadline
    ledger.put(replace(_asked_for(ledger, record, spec, because), deadline=until))


def _cause(ledger: Ledger, spec: ServiceSpec, record: SlotRecord) -> str:
    """Say in a word why a process is started; the words of `service_restarts_total`."""
    memory = record.memory
    if spec.schedule is not None:
        return _cause_of_run(ledger, spec, record)
    if memory.tried is None:
        return "start"
    if memory.tried != spec.digest:
        return "change"
    if record.state is not State.CRASHED or not memory.trouble.failures:
        return "manual"
    return "memory" if memory.last_exit is not None and memory.last_exit.oom else "crash"


def _cause_of_run(ledger: Ledger, spec: ServiceSpec, record: SlotRecord) -> str:
    """Tell a run that its schedule asks for from one that people do, and from another try."""
    memory = ledger.services.get(spec.name)
    if memory is not None and record.memory.newest < (memory.restart_before or 0):
        return "schedule" if _is_owed(memory) else "manual"
    return "crash"


def _is_owed(memory: ServiceMemory) -> bool:
    return memory.timing is not None and memory.timing.owed is not None


def _restart(ledger: Ledger, action: Restart) -> None:
    """End a process whose successor the next plans start."""
    record = ledger.record(action.slot)
    memory = ledger.services.get(action.slot.service)
    process = record.process
    if process is None:
        return
    asked = (memory.restart_before if memory else None) or Nanos(0)
    if memory is not None and process.digest != memory.spec.digest:
        cause = "change"
    elif process.started < asked:
        cause = _why_asked(memory)
    elif memory is not None and why_replaced(memory.spec, record):
        cause = "health"
    else:
        cause = "memory" if record.outgrown else "dependency"
    if memory is not None and memory.spec.schedule is not None and _is_owed(memory):
        cause = "schedule"
    ledger.put(replace(record, cause=cause))
    _stop(ledger, Stop(slot=action.slot, target=action.target, because=action.because))


def _why_asked(memory: ServiceMemory | None) -> str:
    return memory.restart_cause if memory is not None else "manual"


def _stop(ledger: Ledger, action: Stop) -> None:
    """Ask a process to end, or what its main process left behind."""
    record, because = ledger.record(action.slot), action.because
    process = record.process
    if process is None:
        _abandon(ledger, record, because)
        return
    is_sweep = process.exit is not None
    record = replace(
        record,
        next_probe=None,
        probing=None,
        reloading=None,
        killed=False,
        swept=is_sweep,
        aborted=action.aborts,
        watchdog_at=None,
        cause="watchdog" if action.aborts else record.cause,
        after_stop=State.CRASHED if action.start_failed or action.aborts else State.STOPPED,
    )
    is_failing = action.start_failed or action.aborts
    if not is_sweep and not is_failing and record.state in UP:
        record = due(ledger, record, Role.PRE_STOP)
    if record.memory.occasion(Role.PRE_STOP) is not None:
        spec = ledger.version(record.memory.slot)
        patience = spec.stop_timeout if spec is not None else STOP_TIMEOUT
        memory = replace(record.memory, asked=process.run)
        record = replace(record, memory=memory, deadline=Nanos(ledger.now + patience))
    else:
        record = _send(ledger, record, process, because)
    if is_sweep:
        ledger.put(record)
        return
    sign = Sign.START_TIMED_OUT if action.start_failed else Sign.STOP
    sign = Sign.WATCHDOG if action.aborts else sign
    ledger.move(record, sign, because, data={"pid": process.id.pid})


def send_stop(ledger: Ledger, record: SlotRecord) -> None:
    """Ask a stopping process to end, now that its preStop hooks are done, in what time is left."""
    process, deadline = record.process, record.deadline
    if process is not None:
        sent = _send(ledger, record, process, record.reason)
        least = Nanos(ledger.now + last_word(ledger.version(record.memory.slot)))
        ledger.put(sent if deadline is None else replace(sent, deadline=max(deadline, least)))


def last_word(spec: ServiceSpec | None) -> Nanos:
    """Give what is kept of stopTimeout for the process, however long its preStop hooks take."""
    return LAST_WORD if spec is None else Nanos(min(LAST_WORD, spec.stop_timeout // 2))


def _abandon(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Give up a start of which only hooks ran so far."""
    if record.state is not State.STARTING or record.pending is not None:
        return
    left = give_up_start(ledger, replace(record, deadline=None, cause=""))
    ledger.move(left, Sign.STOP, because)


def sweep(ledger: Ledger, record: SlotRecord) -> None:
    """Ask what outlived a stopping main process to end within the rest of its time."""
    process, deadline = record.process, record.deadline
    if process is not None:
        sent = _send(ledger, replace(record, swept=True), process, "it outlived its main process")
        ledger.put(sent if deadline is None else replace(sent, deadline=deadline))


def say_again(ledger: Ledger, record: SlotRecord) -> None:
    """Send the last signal once more: nobody knows whether it arrived."""
    process = record.process
    if process is not None:
        record = replace(record, swept=process.exit is not None)
        ledger.put(_send(ledger, record, process, "it may not have been told"))


def _kill(ledger: Ledger, action: Kill) -> None:
    stray = next((stray for stray in ledger.strays if stray.id == action.target), None)
    record = ledger.record(action.slot)
    if stray is not None:
        serial = _command(ledger, stray, "SIGKILL", Scope.TREE, action.because)
        ledger.put(replace(record, touched=serial))
        condemn(ledger, stray, serial)
        return
    process = record.process
    if process is None:
        return
    killed = replace(record, killed=True, next_probe=None, probing=None)
    record = _send(ledger, killed, process, action.because)
    ledger.tell(
        "service.killed", slot=action.slot, reason=action.because, data={"pid": process.id.pid}
    )
    if record.state in (State.STARTING, State.RUNNING, State.DEGRADED):
        # In a hurry a slot is killed that was never asked to stop.
        ledger.move(record, Sign.STOP, action.because)
    else:
        ledger.put(record)


def _send(ledger: Ledger, record: SlotRecord, process: Process, because: str) -> SlotRecord:
    """Send the signal that a slot's record calls for, and give it the time that goes with it."""
    spec = ledger.version(record.memory.slot)
    if record.killed:
        name, scope, patience = "SIGKILL", Scope.TREE, UNKILLABLE_AFTER
    elif spec is None:
        name, scope, patience = "SIGTERM", Scope.MAIN, STOP_TIMEOUT
    else:
        scope = Scope.GROUP if spec.shell else Scope.MAIN
        name, patience = spec.stop_signal, spec.stop_timeout
    if record.aborted and not record.killed and process.exit is None:
        name = "SIGABRT"
    if process.exit is not None:
        scope = Scope.TREE
    is_sound = process.exit is None and record.after_stop is State.STOPPED
    begins_stop = is_sound and not (record.killed or record.aborted)
    serial = _command(ledger, process, name, scope, because, begins_stop=begins_stop)
    # What is swept behind a process that ended by itself makes no stop of its end.
    asked = process.run if process.exit is None else record.memory.asked
    return replace(
        record,
        memory=replace(record.memory, asked=asked),
        pending=ledger.pending(serial),
        touched=serial,
        deadline=Nanos(ledger.now + patience),
    )


def _command(
    ledger: Ledger,
    process: Process,
    name: str,
    scope: Scope,
    because: str,
    *,
    begins_stop: bool = False,
) -> Serial:
    serial = ledger.next_serial()
    ledger.commands.append(
        Signal(
            serial=serial,
            slot=process.slot,
            run=process.run,
            target=process.id,
            signal=name,
            scope=scope,
            because=because,
            releases=not wants(ledger, process.slot),
            begins_stop=begins_stop,
        )
    )
    return serial


def _follow_limits(
    ledger: Ledger, record: SlotRecord, before: ServiceSpec, spec: ServiceSpec
) -> None:
    """Let the times that a new version gives hold for a process that goes on."""
    process = record.process
    if process is None or process.exit is not None or process.digest != spec.digest:
        return
    if record.state is State.RUNNING:
        ledger.put(replace(record, deadline=run_limit(spec, process)))
    elif record.state is State.STARTING and (before.ready, before.start_timeout) != (
        spec.ready,
        spec.start_timeout,
    ):
        await_ready(ledger, record, _began(ledger, record, process, before))


def _began(ledger: Ledger, record: SlotRecord, process: Process, before: ServiceSpec) -> Nanos:
    """Give when the time of a start began to count, be the host asleep meanwhile."""
    if record.deadline is None:
        return process.started
    if process.digest != before.digest:
        # It was never given the times of that version: those of the new one begin now.
        return ledger.now
    return Nanos(record.deadline - (before.start_timeout or DEFAULT_START_TIMEOUT))


def _update(ledger: Ledger, action: Update) -> None:
    """Put a new version of a manifest into force."""
    wanted = ledger.desired.services.get(action.service)
    memory = ledger.services.get(action.service)
    if wanted is None or wanted.spec is None or memory is None:
        return
    if wanted.spec.schedule is not None and memory.spec.schedule is None:
        memory = put_on_schedule(memory, wanted.spec.schedule, ledger.now)
    begin_rollout(ledger, replace(memory, source=wanted.source), wanted.spec)
    for record in list(ledger.slots.get(action.service, {}).values()):
        _follow_limits(ledger, record, memory.spec, wanted.spec)
    if action.fields != ("loads",):
        trust_again(ledger, action.service)
    if told := [name for name in action.fields if name != "loads"]:
        ledger.tell(
            "config.changed",
            service=action.service,
            reason=action.because,
            data={"fields": ",".join(told)},
        )
    if not _MENDS_NOTHING.issuperset(action.fields):
        for record in list(ledger.slots.get(action.service, {}).values()):
            remedy = forgiven(wanted.spec, record.memory.remedy)
            memory_of_slot = replace(record.memory, trouble=Trouble(), remedy=remedy)
            ledger.put(replace(record, memory=memory_of_slot))
