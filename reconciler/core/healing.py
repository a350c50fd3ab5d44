"""Take in what the checks of processes come to: degraded, recovered, and what is done about it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.ledger import Data, Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.remedies import due_at, is_spent
from reconciler.model.event import HealthTold
from reconciler.model.health import OnUnhealthy, Verdict
from reconciler.model.observed import State
from reconciler.model.record import Illness, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, in_seconds, minutes

QUIET_FOR = minutes(1)
"""Of single failures of one slot: so often they are told at most."""
_BETWEEN = (State.STARTING, State.STOPPING)


def health_told(ledger: Ledger, event: HealthTold) -> None:
    """Note what the checks of a run come to, unless another one has taken its place."""
    record, spec = ledger.record(event.slot), ledger.version(event.slot)
    process = record.process
    if process is None or process.exit is not None or process.run != event.run:
        return
    if spec is None or spec.health is None:
        return
    before, memory = record.verdict, record.memory
    if event.verdict is Verdict.HEALTHY:
        remedy = memory.remedy
        if remedy.well_since is None and memory.ill is None:
            remedy = replace(remedy, well_since=ledger.now)
        if memory.proven != process.run:
            ledger.proved[event.slot.service] = None
        memory = replace(memory, proven=process.run, remedy=remedy)
    told = replace(record, memory=memory, verdict=event.verdict, check_said=event.reason)
    _tell_of_failure(ledger, ledger.put(told), before)


def _tell_of_failure(ledger: Ledger, record: SlotRecord, before: Verdict) -> None:
    """Tell of a check that failed, and of its passing again, where that degrades nobody."""
    slot, data = record.memory.slot, _data(record)
    last = record.check_told
    if record.state is not State.RUNNING:
        return
    if record.verdict is Verdict.FAILING and before is not Verdict.FAILING:
        if last is None or ledger.now - last >= QUIET_FOR:
            ledger.tell("health.failed", slot=slot, reason=record.check_said, data=data)
            ledger.put(replace(record, check_told=ledger.now, is_check_bad=True))
    elif record.verdict is Verdict.HEALTHY and before is Verdict.FAILING and record.is_check_bad:
        ledger.tell("health.ok", slot=slot, reason="its check passes again", data=data)
        ledger.put(replace(record, is_check_bad=False))


def heal(ledger: Ledger, record: SlotRecord) -> None:
    """Bring a slot to the state that its checks call for, and do about it what is due."""
    spec = ledger.version(record.memory.slot)
    if spec is None or not is_astray(record, spec):
        _act_if_due(ledger, record, spec)
    elif record.state is State.RUNNING:
        _act_if_due(ledger, _fall_ill(ledger, record, spec), spec)
    else:
        _recover(ledger, record, spec)


def is_astray(record: SlotRecord, spec: ServiceSpec | None) -> bool:
    """Tell whether a slot is in another state than its checks call for."""
    process = record.process
    if process is None or process.exit is not None or record.pending is not None:
        return False
    if record.state is State.DEGRADED:
        return record.verdict is Verdict.HEALTHY or spec is None or spec.health is None
    is_called_for = record.state is State.RUNNING and record.verdict is Verdict.DEGRADED
    # A process that says that it ends fails its checks as a matter of course.
    is_checked = spec is not None and spec.health is not None
    return is_called_for and is_checked and not process.notice.stopping


def _fall_ill(ledger: Ledger, record: SlotRecord, spec: ServiceSpec) -> SlotRecord:
    assert record.process is not None
    because, remedy = record.check_said or "its check fails", record.memory.remedy
    since = remedy.well_since
    was_well = since is not None and ledger.now - since >= spec.backoff.reset_after
    remedy = replace(remedy, gave_up=False, well_since=None, times=0 if was_well else remedy.times)
    ill = Illness(run=record.process.run, since=ledger.now, because=because)
    ill_record = replace(record, memory=replace(record.memory, ill=ill, remedy=remedy))
    ill_record = replace(ill_record, is_check_bad=False)
    return ledger.move(ill_record, Signal.CHECK_FAILING, because, _data(record))


def _recover(ledger: Ledger, record: SlotRecord, spec: ServiceSpec | None) -> None:
    ill = record.memory.ill
    took = in_seconds(Nanos(ledger.now - ill.since)) if ill is not None else 0.0
    reason = f"its check passes again after {took:.1f} s"
    if spec is None or spec.health is None:
        reason = "its manifest has no healthCheck any more"
        record = replace(record, verdict=Verdict.UNKNOWN)
    remedy = replace(record.memory.remedy, well_since=ledger.now)
    well = replace(record, memory=replace(record.memory, ill=None, remedy=remedy), check_said="")
    data: Data = {**_data(record), "after": round(took, 3)}
    ledger.move(well, Signal.CHECK_RECOVERED, reason, data)


def _act_if_due(ledger: Ledger, record: SlotRecord, spec: ServiceSpec | None) -> None:
    """Do what `onUnhealthy` says, once in an episode; of several slots one after the other."""
    process = record.process
    if spec is None or record.state is not State.DEGRADED or process is None:
        return
    at = due_at(spec, record.memory)
    if at is None or at > ledger.now or process.exit is not None or process.notice.stopping:
        return
    if spec.on_unhealthy is OnUnhealthy.RESTART and _is_another_coming(ledger, record, spec):
        return
    remedy, slot = record.memory.remedy, record.memory.slot
    because = record.memory.ill.because if record.memory.ill is not None else ""
    if is_spent(spec, record.memory):
        left = replace(remedy, at=ledger.now, gave_up=True)
        ledger.put(replace(record, memory=replace(record.memory, remedy=left)))
        reason = f"{because}; it runs on, {remedy.times} restarts in a row did not help"
        ledger.tell("health.gave-up", slot=slot, reason=reason, data=_data(record))
        return
    done = replace(remedy, times=remedy.times + 1, at=ledger.now)
    ledger.put(replace(record, memory=replace(record.memory, remedy=done)))
    if spec.on_unhealthy is OnUnhealthy.ALERT:
        ledger.tell("health.alert", slot=slot, reason=because, data=_data(record))


def _is_another_coming(ledger: Ledger, record: SlotRecord, spec: ServiceSpec) -> bool:
    """Tell whether another slot of a service is on its way down or up: this one serves on."""
    slots = ledger.slots.get(record.memory.slot.service, {})
    others = [one for one in slots.values() if one.memory.slot != record.memory.slot]
    return any(_is_coming(one, spec) or _is_meant(one) for one in others)


def _is_coming(record: SlotRecord, spec: ServiceSpec) -> bool:
    if record.state in _BETWEEN or record.pending is not None:
        return True
    memory = record.memory
    is_down = record.state in (State.STOPPED, State.CRASHED)
    is_for_good = memory.trouble.gave_up or memory.done is not None
    return is_down and not is_for_good and memory.slot.index < spec.instances


def _is_meant(record: SlotRecord) -> bool:
    """Tell whether a slot is about to be restarted for its checks."""
    ill, at = record.memory.ill, record.memory.remedy.at
    if record.state is not State.DEGRADED or ill is None or at is None:
        return False
    return at >= ill.since and not record.memory.remedy.gave_up


def _data(record: SlotRecord) -> Data:
    process = record.process
    return {"pid": process.id.pid, "run": process.run} if process is not None else {}
