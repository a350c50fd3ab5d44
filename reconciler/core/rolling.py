"""Take rollouts on from step to step, and tell of what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.ledger import Ledger
from reconciler.core.rollout import advance, ask, begin, is_over, next_moment, without
from reconciler.model.event import Operation, OperationKind
from reconciler.model.record import Rollout, RolloutPhase, ServiceMemory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName

STEPS = 2
"""From one moment to the next a rollout may fail, and what follows from that begin at once."""
_VERBS = {
    OperationKind.PAUSE_ROLLOUT: ("pause", "rollout.paused"),
    OperationKind.RESUME_ROLLOUT: ("resume", "rollout.resumed"),
    OperationKind.UNDO_ROLLOUT: ("undo", "rollout.undoing"),
}


def roll(ledger: Ledger) -> None:
    """Take every rollout as far as it may go now; a restart of what rolls begins one."""
    if ledger.shutting_down:
        return
    for name in sorted(ledger.to_restart):
        memory = ledger.services[name]
        asked = memory.restart_before or Nanos(0)
        since = memory.rollout.since if memory.rollout else Nanos(0)
        if memory.spec.rolls and since < asked and not _is_kept_away(memory, asked):
            begin_rollout(ledger, memory, memory.spec, anew=True)
    for name in sorted(ledger.rollouts):
        _advance(ledger, ledger.services[name])


def _is_kept_away(memory: ServiceMemory, asked: Nanos) -> bool:
    """Tell whether the version in force failed before, and came after a restart was asked for."""
    rollout = memory.rollout
    is_of_before = rollout is not None and rollout.failed and asked <= rollout.began
    return is_of_before and memory.spec.digest in memory.quarantined


def begin_rollout(
    ledger: Ledger, memory: ServiceMemory, spec: ServiceSpec, *, anew: bool = False
) -> ServiceMemory:
    """Begin the rollout that brings a spec into force, or end one that is of no use any more."""
    name, former = memory.spec.name, memory.rollout
    records = ledger.slots.get(name, {})
    rollout = begin(memory, spec, records, ledger.now, anew=anew)
    memory = replace(memory, spec=spec, rollout=rollout)
    # Somebody wants this very version, or it runs without being put to the proof.
    if anew or rollout is None:
        memory = replace(memory, quarantined=without(memory, spec.digest))
    ledger.put_service(memory)
    if rollout is not None and (former is None or former.began != rollout.began):
        if rollout.failed:
            ledger.tell("rollout.refused", service=name, reason=rollout.because)
        else:
            why = memory.restart_reason if anew else "its manifest changed"
            ledger.tell("rollout.started", service=name, reason=why or "a restart was asked for")
    return memory


def rollout_asked(ledger: Ledger, operation: Operation) -> None:
    """Take in that a person paused, resumed or undid rollouts, if that is what was asked for."""
    verb, kind = _VERBS.get(operation.kind, ("", ""))
    for name in operation.services if verb else ():
        memory = ledger.services.get(name)
        if memory is None:
            continue
        records = ledger.slots.get(name, {})
        after = ask(memory, verb, records, is_seen=ledger.host_seen)
        if after != memory:
            ledger.put_service(after)
            ledger.tell(kind, service=name, reason=operation.reason, actor=operation.actor)


def resume_failed(ledger: Ledger, name: ServiceName) -> None:
    """Try a version again that failed, because somebody asked for the service's start."""
    memory = ledger.services.get(name)
    if memory is not None and memory.rollout is not None and memory.rollout.failed:
        ledger.put_service(ask(memory, "resume", ledger.slots.get(name, {})))


def moments_of_rollouts(ledger: Ledger) -> Iterator[Nanos]:
    """Give when a rollout may go on although nothing happens."""
    for name, rollout in ledger.rollouts.items():
        at = next_moment(rollout, ledger.slots.get(name, {}), ledger.now)
        if at is not None:
            yield at


def _advance(ledger: Ledger, memory: ServiceMemory) -> None:
    name, before = memory.spec.name, memory.rollout
    records = ledger.slots.get(name, {})
    after = memory
    for _ in range(STEPS):
        after = advance(after, records, ledger.now)
    if is_over(after):
        ledger.put_service(replace(after, rollout=None))
        count = after.spec.instances
        ledger.tell("rollout.completed", service=name, reason=f"{count} of {count} are ready")
        return
    if after == memory or before is None or after.rollout is None:
        return
    ledger.put_service(after)
    _tell(ledger, name, before, after.rollout)


def _tell(ledger: Ledger, name: ServiceName, before: Rollout, after: Rollout) -> None:
    if after.failed and not before.failed:
        ledger.tell("rollout.failed", service=name, reason=after.because)
    if after.phase is RolloutPhase.UNDONE and before.phase is not RolloutPhase.UNDONE:
        ledger.tell("rollout.undone", service=name, reason=after.because)
