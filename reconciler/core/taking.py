"""Take in what the world reports: each event changes what is known, and decides nothing more."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.backoff import after_failure, ended_well, wants_restart
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.prune import guard
from reconciler.core.settle import settle
from reconciler.model.event import (
    Asked,
    Exited,
    HostLost,
    ManifestsHeld,
    ManifestsRead,
    Operation,
    OperationKind,
    ProbeAnswered,
    SignalAnswered,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Exit, Process, State
from reconciler.model.record import ServiceMemory, SlotRecord, Trouble
from reconciler.model.spec import DEFAULT_START_TIMEOUT, Readiness, ReadyType, ServiceSpec
from reconciler.model.units import Nanos, ServiceName, in_seconds, seconds

BUSY_RETRY = seconds(1)
"""After the host refused a start because the slot is not empty."""
LOOK_PAUSE = seconds(0.2)
"""Between two tries to see a host that was lost."""
DEFAULT_READINESS = Readiness()


# --- manifests -------------------------------------------------------------------------------


def manifests_read(ledger: Ledger, event: ManifestsRead) -> None:
    """Settle the manifests, take new services into our care, and guard against mass removal."""
    ledger.desired = settle(event.manifests, ledger.services)
    ledger.manifests_seen = True
    ledger.source_held = ""
    for name, wanted in ledger.desired.services.items():
        known = ledger.services.get(name)
        if wanted.invalid or wanted.spec is None:
            continue
        if known is None:
            ledger.put_service(ServiceMemory(spec=wanted.spec, source=wanted.source))
            ledger.tell(
                "service.registered", service=name, reason=f"defined in {wanted.source.file}"
            )
        elif known.source != wanted.source:
            ledger.put_service(replace(known, source=wanted.source))
    guard_removals(ledger)


def manifests_held(ledger: Ledger, event: ManifestsHeld) -> None:
    """Keep to the last desired state while the manifests cannot be trusted."""
    ledger.source_held = event.because


def guard_removals(ledger: Ledger) -> None:
    """Hold a removal that is too large, or let it go when it no longer is."""
    before = ledger.prune
    hold = guard(ledger.services, ledger.desired.services, ledger.released, before)
    ledger.set_prune(hold)
    if hold is not None and not hold.approved and hold != before:
        ledger.tell(
            "prune.held",
            reason=f"{hold.because}; to agree: weaver prune approve {hold.id}",
            data={"id": hold.id},
        )


# --- answers of the host ---------------------------------------------------------------------


def spawned(ledger: Ledger, event: Spawned, early: tuple[Exit, bool] | None) -> bool:
    """Take a new process into its slot. False: nobody waits for it, so the host must be looked at.

    `early` is its end, if that was heard of before its start was.
    """
    record = ledger.record(event.process.slot)
    if record.process is not None and record.process.run == event.process.run:
        return True
    if record.pending is None or record.pending.serial != event.serial:
        return record.memory.ended == event.process.run
    settle_in(ledger, record, event.process)
    if early is not None:
        end, is_empty = early
        exited(ledger, Exited(slot=event.process.slot, run=event.process.run, exit=end))
        if is_empty:
            tree_emptied(ledger, TreeEmptied(slot=event.process.slot, run=event.process.run))
    return True


def settle_in(ledger: Ledger, record: SlotRecord, process: Process) -> None:
    """Put a started process into its slot and set the clock of its readiness."""
    memory = record.memory
    if memory.tried is not None:
        counted = memory.restarts + (1 if record.cause == "crash" else 0)
        memory = replace(memory, last_restart=process.started, restarts=counted)
    if memory.tried != process.digest:
        memory = replace(memory, trouble=Trouble(), restarts=0, tried=process.digest)
    memory = replace(
        memory,
        done=None,
        done_at=None,
        ready_run=None,
        newest=process.started,
        trouble=replace(memory.trouble, retry_at=None),
    )
    record = ledger.put(
        replace(
            record,
            memory=memory,
            process=process,
            pending=None,
            swept=False,
            killed=False,
            cause="",
            probe_said="",
        )
    )
    await_ready(ledger, record, process.started)


def await_ready(ledger: Ledger, record: SlotRecord, since: Nanos) -> None:
    """Set when a starting process is asked whether it is ready, and until when it may take."""
    spec = ledger.spec(record.memory.slot.service)
    if spec is None:
        return
    if spec.is_oneshot:
        # It is at work from the start; only its end says more.
        limit = None if spec.start_timeout is None else Nanos(since + spec.start_timeout)
        became_ready(ledger, replace(record, deadline=limit))
        return
    readiness = spec.ready or DEFAULT_READINESS
    if readiness.type is ReadyType.DELAY:
        ledger.put(replace(record, next_probe=Nanos(since + readiness.delay), deadline=None))
        return
    limit = Nanos(since + (spec.start_timeout or DEFAULT_START_TIMEOUT))
    ledger.put(replace(record, next_probe=ledger.now, deadline=limit))


def became_ready(ledger: Ledger, record: SlotRecord) -> None:
    """Note that a process proved ready."""
    spec = ledger.spec(record.memory.slot.service)
    process = record.process
    if process is None:
        return
    memory = replace(record.memory, ready_run=process.run)
    deadline = record.deadline if spec is not None and spec.is_oneshot else None
    took = in_seconds(Nanos(max(0, ledger.now - process.started)))
    reason = "at work" if spec is not None and spec.is_oneshot else f"ready after {took:.1f} s"
    record = replace(record, memory=memory, next_probe=None, probing=None, deadline=deadline)
    ledger.move(record, Signal.READY, reason, data={"pid": process.id.pid})


def spawn_failed(ledger: Ledger, event: SpawnFailed) -> None:
    """Count a start that did not come to be as a failure of the service, but for a busy slot."""
    record = ledger.record(event.slot)
    if record.pending is None or record.pending.serial != event.serial:
        return
    record = replace(record, pending=None, cause="")
    if event.is_busy:
        trouble = replace(
            record.memory.trouble, retry_at=Nanos(ledger.now + BUSY_RETRY), because=event.because
        )
    else:
        trouble = _one_more_failure(ledger, record, event.because, uptime=Nanos(0))
    spec = ledger.spec(event.slot.service)
    memory = replace(record.memory, trouble=trouble, tried=spec.digest if spec else None)
    moved = ledger.move(
        replace(record, memory=memory),
        Signal.EXEC_FAILED,
        event.because,
        {"step": event.step, "errno": event.errno},
    )
    _tell_if_given_up(ledger, moved)


def signal_answered(ledger: Ledger, event: SignalAnswered) -> bool:
    """Note that a signal was delivered. False: it was not, so the host must be looked at."""
    record = ledger.record(event.slot)
    if record.pending is None or record.pending.serial != event.serial:
        return True
    ledger.put(replace(record, pending=None))
    return not event.problem


def probe_answered(ledger: Ledger, event: ProbeAnswered) -> None:
    """Take a starting process as ready, or note what it answered and ask again later."""
    record = ledger.record(event.slot)
    process = record.process
    if process is None or process.run != event.run or record.state is not State.STARTING:
        return
    if record.probing != event.serial:
        return
    if event.passed:
        became_ready(ledger, record)
        return
    spec = ledger.spec(event.slot.service)
    interval = (spec.ready if spec and spec.ready else DEFAULT_READINESS).interval
    ledger.put(
        replace(
            record,
            probing=None,
            probe_said=event.detail,
            next_probe=Nanos(ledger.now + interval),
        )
    )


# --- ends ------------------------------------------------------------------------------------


def exited(ledger: Ledger, event: Exited) -> bool:
    """Judge the end of a main process. False: it is not one we know of (yet)."""
    record = ledger.record(event.slot)
    process = record.process
    if process is None or process.run != event.run:
        return record.memory.ended == event.run
    if process.exit is not None:
        return True
    was_heard = record.memory.exited == event.run
    memory = replace(record.memory, last_exit=event.exit, exited=event.run)
    record = replace(
        record,
        memory=memory,
        process=replace(process, exit=event.exit),
        next_probe=None,
        probing=None,
    )
    if was_heard or record.state in (State.STOPPING, State.UNKNOWN):
        ledger.put(record)
        return True
    _died(ledger, replace(record, deadline=None), event.exit)
    return True


def _died(ledger: Ledger, record: SlotRecord, end: Exit) -> None:
    """Follow the restart policy after an end that we did not ask for."""
    spec = ledger.spec(record.memory.slot.service)
    process = record.process
    assert process is not None
    if spec is None:
        ledger.move(record, Signal.DIED, str(end))
        return
    well = ended_well(spec, end)
    was_up = record.state in (State.RUNNING, State.DEGRADED)
    if was_up and well and not wants_restart(spec, well=True):
        _done(ledger, record, spec, end)
        return
    because = str(end) if was_up else f"{end} before it was ready"
    uptime = Nanos(max(0, ledger.now - process.started)) if was_up else Nanos(0)
    trouble = _one_more_failure(ledger, record, because, uptime)
    failed = replace(record, memory=replace(record.memory, trouble=trouble))
    moved = ledger.move(
        failed,
        Signal.DIED,
        because,
        {"code": end.code, "signal": end.signal, "pid": process.id.pid},
    )
    _tell_if_given_up(ledger, moved)


def _done(ledger: Ledger, record: SlotRecord, spec: ServiceSpec, end: Exit) -> None:
    """Note that a process did what it was for, and is not wanted again by itself."""
    assert record.process is not None
    memory = replace(
        record.memory,
        done=record.process.digest,
        done_at=end.at,
        trouble=Trouble(),
    )
    how = f"({end.code})" if end.code is not None else f"({end.signal})"
    reason = (
        f"completed {how}" if spec.is_oneshot else f"ended well {how}, restart is {spec.restart}"
    )
    kind = "service.completed" if spec.is_oneshot else "service.stopped"
    ledger.tell(
        kind, slot=record.memory.slot, reason=reason, data={"code": end.code, "signal": end.signal}
    )
    ledger.move(replace(record, memory=memory), Signal.EXITED_WELL, reason)


def tree_emptied(ledger: Ledger, event: TreeEmptied) -> bool:
    """Note that nothing of a run is left. False: it is not one we know of (yet)."""
    record = ledger.record(event.slot)
    process = record.process
    if process is None or process.run != event.run:
        return record.memory.ended == event.run
    if process.exit is None:
        # Its exit was never told; that the tree is gone is certain, how it ended is not.
        exited(
            ledger,
            Exited(slot=event.slot, run=event.run, exit=Exit(at=ledger.now, unknown=True)),
        )
        record = ledger.record(event.slot)
    end = record.process.exit if record.process else None
    record = replace(
        record,
        memory=replace(record.memory, ended=event.run),
        process=None,
        deadline=None,
        swept=False,
        pending=None,
    )
    if record.after_stop is State.CRASHED and record.state is State.STOPPING:
        trouble = _one_more_failure(ledger, record, record.reason, uptime=Nanos(0))
        memory = replace(record.memory, trouble=trouble)
        record = replace(record, memory=memory, after_stop=State.STOPPED, killed=False)
        moved = ledger.move(record, Signal.TREE_EMPTY_AFTER_TIMEOUT, record.reason)
        _tell_if_given_up(ledger, moved)
        return True
    how = f" ({end})" if end is not None else ""
    reason = f"{record.reason}{how}" if record.state is State.STOPPING else record.reason
    ledger.move(replace(record, killed=False), Signal.TREE_EMPTY, reason)
    return True


def _one_more_failure(ledger: Ledger, record: SlotRecord, because: str, uptime: Nanos) -> Trouble:
    slot = record.memory.slot
    spec = ledger.spec(slot.service)
    if spec is None:
        return Trouble(failures=record.memory.trouble.failures + 1, because=because, gave_up=True)
    known = record.memory.trouble if record.memory.tried == spec.digest else Trouble()
    return after_failure(
        known, spec, slot, because=because, uptime=uptime, now=ledger.now, seed=ledger.seed
    )


def _tell_if_given_up(ledger: Ledger, record: SlotRecord) -> None:
    trouble = record.memory.trouble
    if trouble.gave_up:
        ledger.tell(
            "service.gave-up",
            slot=record.memory.slot,
            reason=trouble.because,
            data={"failures": trouble.failures},
        )


# --- the host as a whole, and what people ask ------------------------------------------------


def host_lost(ledger: Ledger, event: HostLost) -> None:
    """Stop acting until the host was looked at again."""
    if ledger.host_seen or ledger.lost_at is None:
        ledger.lost_at = ledger.now
    ledger.host_seen = False
    ledger.host_lost = event.because
    ledger.looking = None
    ledger.look_not_before = Nanos(ledger.now + LOOK_PAUSE)


def asked(ledger: Ledger, event: Asked) -> None:
    """Take in what a person asked for."""
    operation = event.operation
    match operation.kind:
        case OperationKind.RESTART:
            for name in operation.services:
                _restart(ledger, name, operation)
        case OperationKind.START:
            for name in operation.services:
                _clear_trouble(ledger, name, also_done=True)
        case OperationKind.APPROVE_PRUNE:
            _approve(ledger, operation)
        case OperationKind.SHUTDOWN:
            ledger.shutting_down = True
        case OperationKind.KILL:
            ledger.shutting_down = ledger.hurry = True


def _restart(ledger: Ledger, name: ServiceName, operation: Operation) -> None:
    memory = ledger.services.get(name)
    if memory is None:
        return
    reason = operation.reason or "a restart was asked for"
    ledger.put_service(replace(memory, restart_before=ledger.now, restart_reason=reason))
    _clear_trouble(ledger, name, also_done=False)


def _clear_trouble(ledger: Ledger, name: ServiceName, *, also_done: bool) -> None:
    """Let a service start now, whatever it went through."""
    for record in list(ledger.slots.get(name, {}).values()):
        memory = replace(record.memory, trouble=Trouble())
        if also_done:
            memory = replace(memory, done=None, done_at=None)
        ledger.put(replace(record, memory=memory))


def _approve(ledger: Ledger, operation: Operation) -> None:
    ledger.released.update(operation.services)
    prune = ledger.prune
    if prune is not None and prune.id == operation.prune_id:
        ledger.set_prune(replace(prune, approved=True))
        ledger.tell(
            "prune.approved", reason=prune.because, actor=operation.actor, data={"id": prune.id}
        )
    guard_removals(ledger)
