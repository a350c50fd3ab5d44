"""Carry reloads out: send them, take in how they ended, and note what a process has loaded."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.ledger import Data, Ledger
from reconciler.core.occasions import aged, with_occasion, without_occasion
from reconciler.core.reloading import changed_files, has_loaded_since
from reconciler.model.event import Scope, Signal, SignalAnswered
from reconciler.model.observed import Role, State
from reconciler.model.plan import Reload
from reconciler.model.record import ANSWER_OVERDUE, Occasion, Reloading, ServiceMemory, SlotRecord
from reconciler.model.spec import DEFAULT_START_TIMEOUT, ServiceSpec, ServiceType
from reconciler.model.units import Nanos, seconds

MOST_TRIES = 3
"""After which a reload counts as failed, though it is tried on."""
UNDELIVERED_RETRY = seconds(1)
"""After a signal that could not be delivered, before it is sent again."""
ANNOUNCED_WITHIN = seconds(2)
"""A service that speaks sd_notify and has not said by then that it reloads does not tell."""
FAILED_RETRY = seconds(30)
"""... and after so many of them that it was told."""


def begin_reload(ledger: Ledger, action: Reload) -> None:
    """Tell a process to load its configuration anew, or tell it again."""
    record, spec = ledger.record(action.slot), ledger.version(action.slot)
    process = record.process
    if process is None or spec is None or spec.reload is None:
        return
    before = record.reloading
    if before is None:
        data: Data = {"pid": process.id.pid, "cause": _cause(ledger, record)}
        ledger.tell("service.reloading", slot=action.slot, reason=action.because, data=data)
    if spec.reload.command is not None:
        _order_command(ledger, record, action.because)
        return
    if before is not None and before.tries >= MOST_TRIES:
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


def _order_command(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Let the command of a reload be due; what asks for another meanwhile waits for its end."""
    memory = replace(record.memory, reload_failed="")
    fresh = aged(replace(record, memory=memory, reloading=None), Role.RELOAD)
    ledger.put(with_occasion(fresh, Occasion(role=Role.RELOAD, since=ledger.now, because=because)))


def command_ended(ledger: Ledger, record: SlotRecord, occasion: Occasion, problem: str) -> None:
    """Note how the command of a reload ended.

    One that failed is not run again until there is another reason: its service would be
    bothered with the same mistake for ever.
    """
    process, slot = record.process, record.memory.slot
    record = without_occasion(record, Role.RELOAD)
    if process is not None and process.exit is not None:
        ledger.put(record)
        return
    # Of a process that runs since before this daemon, this may be heard first.
    memory = replace(
        record.memory,
        loaded=dict(record.memory.loaded) | dict(occasion.loads),
        reloaded_at=occasion.since,
        reload_failed=f"its command {problem}" if problem else "",
    )
    ledger.put(replace(record, memory=memory))
    data: Data = {"pid": process.id.pid if process is not None else None}
    if not problem:
        ledger.tell("service.reloaded", slot=slot, reason=occasion.because, data=data)
        return
    reason = f"its command {problem} ({occasion.because}); it goes on as it was"
    ledger.tell("service.reload-failed", slot=slot, reason=reason, data=data)


def _cause(ledger: Ledger, record: SlotRecord) -> str:
    """Say in a word why a process is reloaded; the words of `service_reloads_total`."""
    memory = ledger.services.get(record.memory.slot.service)
    asked = (memory.reload_before if memory else None) or Nanos(0)
    if not has_loaded_since(record, asked):
        return "manual"
    spec = ledger.version(record.memory.slot)
    is_changed = spec is not None and changed_files(spec, record)
    return "health" if record.state is State.DEGRADED and not is_changed else "change"


def reload_answered(ledger: Ledger, record: SlotRecord, event: SignalAnswered) -> bool:
    """Take in the answer to the signal of a reload; tell whether it was one."""
    under_way = record.reloading
    if under_way is None or under_way.serial != event.serial:
        return False
    if not event.problem:
        _delivered(ledger, record, under_way)
        return True
    has_failed = under_way.tries >= MOST_TRIES
    if has_failed:
        record = _failed(ledger, record, under_way, event.problem)
    pause = FAILED_RETRY if has_failed else UNDELIVERED_RETRY
    again = replace(under_way, until=Nanos(ledger.now + pause))
    ledger.put(replace(record, reloading=again))
    return True


def _delivered(ledger: Ledger, record: SlotRecord, under_way: Reloading) -> None:
    """Take a reload as done, but for one whose end the process may tell itself."""
    spec = ledger.version(record.memory.slot)
    if spec is None or spec.type is not ServiceType.NOTIFY:
        _reloaded(ledger, record, under_way)
        return
    waiting = replace(under_way, is_delivered=True)
    if not under_way.is_announced:
        waiting = replace(waiting, until=Nanos(ledger.now + ANNOUNCED_WITHIN))
    ledger.put(replace(record, reloading=waiting))


def hear_of_reload(ledger: Ledger, record: SlotRecord) -> None:
    """Take in what a process says of its reload: it began (RELOADING=1), it is over (READY=1)."""
    under_way, process = record.reloading, record.process
    if under_way is None or process is None:
        return
    if process.notice.reloading >= under_way.since:
        spec = ledger.version(record.memory.slot)
        limit = (spec.start_timeout if spec else None) or DEFAULT_START_TIMEOUT
        until = under_way.until if under_way.is_announced else Nanos(ledger.now + limit)
        known = replace(under_way, is_delivered=True, is_announced=True, until=until)
        ledger.put(replace(record, reloading=known))
    elif under_way.is_announced and not process.notice.reloading:
        _reloaded(ledger, record, under_way)


def end_reload(ledger: Ledger, record: SlotRecord) -> None:
    """End a reload whose time is over: one never announced is done, one never finished failed."""
    under_way = record.reloading
    if under_way is None or not under_way.is_delivered or under_way.until > ledger.now:
        return
    if not under_way.is_announced:
        _reloaded(ledger, record, under_way)
        return
    failed = _failed(ledger, record, under_way, "it did not end within its startTimeout")
    memory = replace(
        failed.memory,
        loaded={**failed.memory.loaded, **under_way.loads},
        reloaded_at=under_way.since,
    )
    ledger.put(replace(failed, memory=memory, reloading=None))


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
