"""Carry reloads out: send them, take in how they ended, and note what a process has loaded."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.ledger import ANSWER_OVERDUE, Data, Ledger
from reconciler.core.reloading import has_loaded_since
from reconciler.model.event import Scope, Signal, SignalAnswered
from reconciler.model.plan import Reload
from reconciler.model.record import Reloading, ServiceMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, seconds

MOST_TRIES = 3
"""After which a reload counts as failed, though it is tried on."""
UNDELIVERED_RETRY = seconds(1)
"""After a signal that could not be delivered, before it is sent again."""
FAILED_RETRY = seconds(30)
"""... and after so many of them that it was told."""


def begin_reload(ledger: Ledger, action: Reload) -> None:
    """Tell a process to load its configuration anew, or tell it again."""
    record, spec = ledger.record(action.slot), ledger.spec(action.slot.service)
    process = record.process
    if process is None or spec is None or spec.reload is None:
        return
    before = record.reloading
    if before is None:
        data: Data = {"pid": process.id.pid, "cause": _cause(ledger, record)}
        ledger.tell("service.reloading", slot=action.slot, reason=action.because, data=data)
    elif before.tries >= MOST_TRIES:
        record = _failed(ledger, record, before, "the host did not say that the signal arrived")
    serial = ledger.next_serial()
    under_way = Reloading(
        serial=serial,
        since=ledger.now,
        until=Nanos(ledger.now + ANSWER_OVERDUE),
        loads=spec.loads,
        because=action.because,
        tries=before.tries + 1 if before else 1,
    )
    ledger.put(replace(record, reloading=under_way))
    ledger.commands.append(
        Signal(
            serial=serial,
            slot=action.slot,
            run=process.run,
            target=process.id,
            signal=spec.reload.signal,
            scope=Scope.MAIN,
            because=action.because,
        )
    )


def _cause(ledger: Ledger, record: SlotRecord) -> str:
    """Say in a word why a process is reloaded; the words of `service_reloads_total`."""
    memory = ledger.services.get(record.memory.slot.service)
    asked = (memory.reload_before if memory else None) or Nanos(0)
    return "change" if has_loaded_since(record, asked) else "manual"


def reload_answered(ledger: Ledger, record: SlotRecord, event: SignalAnswered) -> bool:
    """Take in the answer to the signal of a reload; tell whether it was one."""
    under_way = record.reloading
    if under_way is None or under_way.serial != event.serial:
        return False
    if not event.problem:
        _reloaded(ledger, record, under_way)
        return True
    has_failed = under_way.tries >= MOST_TRIES
    if has_failed:
        record = _failed(ledger, record, under_way, event.problem)
    pause = FAILED_RETRY if has_failed else UNDELIVERED_RETRY
    again = replace(under_way, until=Nanos(ledger.now + pause))
    ledger.put(replace(record, reloading=again))
    return True


def _reloaded(ledger: Ledger, record: SlotRecord, under_way: Reloading) -> None:
    """Note what a process has now."""
    process = record.process
    memory = replace(
        record.memory,
        loaded={**record.memory.loaded, **under_way.loads},
        reloaded_at=under_way.since,
        reload_failed="",
    )
    ledger.put(replace(record, memory=memory, reloading=None))
    data: Data = {"pid": process.id.pid if process else None}
    slot = record.memory.slot
    ledger.tell("service.reloaded", slot=slot, reason=under_way.because, data=data)


def _failed(ledger: Ledger, record: SlotRecord, under_way: Reloading, problem: str) -> SlotRecord:
    """Note, and tell once, that a reload failed; the process goes on as it was."""
    if not record.memory.reload_failed:
        reason = f"{problem} ({under_way.because}); it goes on as it was"
        ledger.tell("service.reload-failed", slot=record.memory.slot, reason=reason)
    return replace(record, memory=replace(record.memory, reload_failed=problem))


def at_start(spec: ServiceSpec) -> dict[str, str]:
    """Give what a process has that starts now: nothing, of a file that is not there."""
    return {path: spec.loads.get(path, "") for path in spec.reload_on}


def note_loaded(ledger: Ledger, record: SlotRecord) -> None:
    """Take a file that is named anew for loaded as it is now, and drop those named no more."""
    name = record.memory.slot.service
    wanted = ledger.desired.services.get(name)
    spec = (wanted and wanted.spec) or ledger.spec(name)
    if spec is None or record.process is None:
        return
    known = record.memory.loaded
    noted = {path: text for path, text in known.items() if path in spec.reload_on}
    noted |= {path: text for path, text in at_start(spec).items() if path not in noted}
    if noted != known:
        ledger.put(replace(record, memory=replace(record.memory, loaded=noted)))


def are_reloads_over(ledger: Ledger, memory: ServiceMemory) -> bool:
    """Tell whether all that runs of a service was started or reloaded since somebody asked."""
    if memory.spec.reload is None:
        return True
    asked = memory.reload_before or Nanos(0)
    records = ledger.slots.get(memory.spec.name, {}).values()
    is_under_way = any(record.pending is not None for record in records)
    return not is_under_way and all(has_loaded_since(record, asked) for record in records)
