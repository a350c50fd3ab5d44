"""Turn the actions of a plan into commands for the host, and note that they are under way."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal as Sign
from reconciler.model.event import Scope, Signal, Spawn
from reconciler.model.observed import Process, Slot, State
from reconciler.model.plan import Action, Forget, Kill, Restart, Start, Stop, Update
from reconciler.model.record import SlotRecord, Trouble
from reconciler.model.units import Nanos, seconds

UNKILLABLE_AFTER = seconds(5)
"""A tree that outlives SIGKILL this long is not ours to end: it is shown, never doubled."""


def issue(ledger: Ledger, action: Action) -> None:
    """Put an action whose waits are over into effect."""
    match action:
        case Start():
            _spawn(ledger, action)
        case Stop():
            _stop(ledger, action.slot, action.because, start_failed=action.start_failed)
        case Restart():
            _restart(ledger, action)
        case Kill():
            _kill(ledger, action)
        case Update():
            _update(ledger, action)
        case Forget():
            ledger.tell("service.unregistered", service=action.service, reason=action.because)
            ledger.drop_service(action.service)
        case _:
            assert_never(action)


def _spawn(ledger: Ledger, action: Start) -> None:
    spec = ledger.spec(action.slot.service)
    if spec is None:
        return
    record = ledger.record(action.slot)
    serial = ledger.next_serial()
    cause = record.cause or _cause(ledger, record)
    started = replace(
        record,
        pending=ledger.pending(serial),
        touched=serial,
        cause=cause,
        after_stop=State.STOPPED,
    )
    ledger.move(started, Sign.START, action.because, {"cause": cause})
    ledger.commands.append(
        Spawn(serial=serial, slot=action.slot, spec=spec, because=action.because)
    )


def _cause(ledger: Ledger, record: SlotRecord) -> str:
    """Say in a word why a process is started; the words of `service_restarts_total`."""
    memory = record.memory
    spec = ledger.spec(memory.slot.service)
    if memory.tried is None:
        return "start"
    if spec is not None and memory.tried != spec.digest:
        return "change"
    return "crash" if record.state is State.CRASHED and memory.trouble.failures else "manual"


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
    else:
        cause = "manual" if process.started < asked else "dependency"
    ledger.put(replace(record, cause=cause))
    _stop(ledger, action.slot, action.because, start_failed=False)


def _stop(ledger: Ledger, slot: Slot, because: str, *, start_failed: bool) -> None:
    """Ask a process to end, or what its main process left behind."""
    record = ledger.record(slot)
    spec = ledger.spec(slot.service)
    process = record.process
    if process is None:
        return
    name = spec.stop_signal if spec else "SIGTERM"
    grace = spec.stop_timeout if spec else seconds(10)
    is_sweep = process.exit is not None
    is_group = is_sweep or (spec is not None and spec.shell)
    record = replace(
        record,
        deadline=Nanos(ledger.now + grace),
        next_probe=None,
        probing=None,
        killed=False,
        swept=is_sweep,
        after_stop=State.CRASHED if start_failed else State.STOPPED,
    )
    record = _send(ledger, record, process, name, Scope.TREE if is_group else Scope.MAIN, because)
    if is_sweep:
        ledger.put(record)
        return
    sign = Sign.START_TIMED_OUT if start_failed else Sign.STOP
    ledger.move(record, sign, because, data={"pid": process.id.pid})


def sweep(ledger: Ledger, record: SlotRecord) -> None:
    """Ask what outlived a stopping main process to end within the rest of its time."""
    spec = ledger.spec(record.memory.slot.service)
    process = record.process
    if process is None:
        return
    name = spec.stop_signal if spec else "SIGTERM"
    swept = replace(record, swept=True)
    ledger.put(_send(ledger, swept, process, name, Scope.TREE, "it outlived its main process"))


def _kill(ledger: Ledger, action: Kill) -> None:
    stray = next((stray for stray in ledger.strays if stray.id == action.target), None)
    record = ledger.record(action.slot)
    if stray is not None:
        serial = ledger.next_serial()
        ledger.put(replace(record, touched=serial))
        ledger.commands.append(_signal(stray, serial, "SIGKILL", Scope.TREE, action.because))
        ledger.strays = tuple(other for other in ledger.strays if other.id != action.target)
        return
    process = record.process
    if process is None:
        return
    record = replace(record, killed=True, deadline=Nanos(ledger.now + UNKILLABLE_AFTER))
    record = _send(ledger, record, process, "SIGKILL", Scope.TREE, action.because)
    ledger.tell(
        "service.killed", slot=action.slot, reason=action.because, data={"pid": process.id.pid}
    )
    # In a hurry a slot is killed that was never asked to stop.
    ledger.move(record, Sign.STOP, action.because)


def _send(
    ledger: Ledger, record: SlotRecord, process: Process, name: str, scope: Scope, because: str
) -> SlotRecord:
    serial = ledger.next_serial()
    ledger.commands.append(_signal(process, serial, name, scope, because))
    return replace(record, pending=ledger.pending(serial), touched=serial)


def _signal(process: Process, serial: int, name: str, scope: Scope, because: str) -> Signal:
    return Signal(
        serial=serial,  # type: ignore[arg-type]
        slot=process.slot,
        run=process.run,
        target=process.id,
        signal=name,
        scope=scope,
        because=because,
    )


def _update(ledger: Ledger, action: Update) -> None:
    """Put a new version of a manifest into force."""
    wanted = ledger.desired.services.get(action.service)
    memory = ledger.services.get(action.service)
    if wanted is None or wanted.spec is None or memory is None:
        return
    ledger.put_service(replace(memory, spec=wanted.spec, source=wanted.source))
    ledger.tell(
        "config.changed",
        service=action.service,
        reason=action.because,
        data={"fields": ",".join(action.fields)},
    )
    if set(action.fields) - {"description", "display_name", "version", "labels", "annotations"}:
        for record in list(ledger.slots.get(action.service, {}).values()):
            ledger.put(replace(record, memory=replace(record.memory, trouble=Trouble())))
