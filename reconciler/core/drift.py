"""Notice what was done to processes by hand, decide to undo it, and see how that went.

A process that was stopped goes on again, and one that was reniced gets the `nice` of its manifest
back. What is seen is told again and again while it lasts, so nothing here has to be remembered.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.ledger import Ledger
from reconciler.core.wishes import Wish
from reconciler.model.event import SignalAnswered
from reconciler.model.observed import Process, State
from reconciler.model.plan import Hold, HoldCode, Repair
from reconciler.model.put_right import ProcessSeen, PutRight
from reconciler.model.record import ANSWER_OVERDUE, Drift, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, seconds

FAILED_RETRY = seconds(10)
"""After what could not be undone, before that is tried again."""
_ALIVE = (State.STARTING, State.RUNNING, State.DEGRADED)


def process_seen(ledger: Ledger, event: ProcessSeen) -> None:
    """Note what was done to a process, and tell of it once; or that it is as it should be."""
    record, spec = ledger.record(event.slot), ledger.version(event.slot)
    process = record.process
    if process is None or process.run != event.run or process.exit is not None or spec is None:
        return
    before = drift_of(record, spec)
    seen = Drift(run=event.run, is_halted=event.is_halted, nice=event.nice)
    found = drift_of(replace(record, drift=seen), spec)
    if found is None:
        if before is not None:
            _over(ledger, record, before)
        elif record.drift is not None and not (event.is_halted or _is_reniced(seen, process, spec)):
            # It was undone while nobody could say how the process is.
            ledger.put(replace(record, drift=None))
        return
    if before is not None and (before.is_halted, before.nice) == (found.is_halted, found.nice):
        return
    data = {"pid": process.id.pid}
    ledger.tell("drift.found", slot=event.slot, reason=in_words(found, spec), data=data)
    ledger.put(replace(record, drift=found))


def drift_of(record: SlotRecord, spec: ServiceSpec | None) -> Drift | None:
    """Give what was done to the process that a slot has now, and is to be undone."""
    drift, process = record.drift, record.process
    if drift is None or process is None or process.run != drift.run:
        return None
    if spec is None or process.exit is not None or record.state not in _ALIVE:
        return None
    if not _is_reniced(drift, process, spec):
        drift = replace(drift, nice=None)
    return drift if drift.is_halted or drift.nice is not None else None


def _is_reniced(drift: Drift, process: Process, spec: ServiceSpec) -> bool:
    """Tell whether a nice is to be undone: a process of another version goes with its own."""
    return process.digest == spec.digest and spec.nice not in (None, drift.nice)


def in_words(drift: Drift, spec: ServiceSpec) -> str:
    """Say what was done to a process."""
    parts = ["it was stopped by hand (SIGSTOP)"] if drift.is_halted else []
    parts += [f"its nice is {drift.nice}, not {spec.nice}"] if drift.nice is not None else []
    return " and ".join(parts)


def repair_or_wait(wish: Wish, record: SlotRecord, now: Nanos) -> Repair | Hold | None:
    """Undo what was done to a process; or say that this is under way, or why it cannot be."""
    process, spec = record.process, wish.spec
    drift = drift_of(record, spec)
    if drift is None or process is None or spec is None:
        return None
    slot, because = record.memory.slot, in_words(drift, spec)
    if drift.until <= now:
        return Repair(slot=slot, target=process.id, because=because)
    why = f"; cannot put that right: {drift.problem}" if drift.problem else ""
    return Hold(
        service=wish.name,
        slot=slot,
        code=HoldCode.DRIFTED if drift.problem else HoldCode.AWAITING_ANSWER,
        because=because + why,
        until=drift.until,
    )


def begin_repair(ledger: Ledger, action: Repair) -> None:
    """Have a process put right."""
    record, spec = ledger.record(action.slot), ledger.version(action.slot)
    drift, process = drift_of(record, spec), record.process
    if drift is None or process is None or spec is None:
        return
    serial = ledger.next_serial()
    under_way = replace(drift, serial=serial, until=Nanos(ledger.now + ANSWER_OVERDUE))
    ledger.put(replace(record, drift=under_way))
    ledger.commands.append(
        PutRight(
            serial=serial,
            slot=action.slot,
            run=process.run,
            target=process.id,
            resumes=drift.is_halted,
            nice=spec.nice if drift.nice is not None else None,
            because=action.because,
        )
    )


def repair_answered(ledger: Ledger, record: SlotRecord, event: SignalAnswered) -> bool:
    """Take in whether a process was put right; tell whether the answer was about that."""
    drift = drift_of(record, ledger.version(event.slot))
    if drift is None or drift.serial is None or drift.serial != event.serial:
        return False
    if event.problem:
        later = Nanos(ledger.now + FAILED_RETRY)
        ledger.put(replace(record, drift=replace(drift, problem=event.problem, until=later)))
    else:
        _over(ledger, record, drift)
    return True


def _over(ledger: Ledger, record: SlotRecord, drift: Drift) -> None:
    what = ["it goes on"] if drift.is_halted else []
    what += ["it has the nice of its manifest"] if drift.nice is not None else []
    ledger.put(replace(record, drift=None))
    ledger.tell("drift.repaired", slot=record.memory.slot, reason=" and ".join(what))
