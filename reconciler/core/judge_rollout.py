"""The judge's rules of rollouts: enough serve, no more run than may, and what failed stays away."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core import judge_health
from reconciler.core.breaches import Fault, service_of
from reconciler.model.observed import State
from reconciler.model.plan import Plan, Restart, Situation, Start, Stop
from reconciler.model.record import Rollout, ServiceMemory, SlotRecord
from reconciler.model.spec import OnRestart, ServiceSpec


def against_rollout(plan: Plan, situation: Situation) -> Iterator[Fault]:
    """Give every breach of the promises that a rollout makes."""
    for name in situation.rollouts:
        memory, wanted = situation.services.get(name), situation.desired.services.get(name)
        spec = wanted.spec if wanted is not None else None
        if memory is None or memory.rollout is None or situation.shutting_down:
            continue
        if spec is None or not spec.wants_to_run:
            continue
        yield from _too_few(plan, situation, spec, memory.rollout)
    for action in plan.actions:
        memory = situation.services.get(service_of(action))
        if isinstance(action, Start) and memory is not None:
            yield from _against_start(action, situation, memory)


def _too_few(
    plan: Plan, situation: Situation, spec: ServiceSpec, rollout: Rollout
) -> Iterator[Fault]:
    """No process that serves is ended unless enough of the others do."""
    name = spec.name
    records = situation.slots.get(name, {})
    serving = {index for index, one in records.items() if _serves(situation, one, rollout)}
    needs = (*rollout.to.needs, *rollout.base.needs)
    if any(need.on_restart is OnRestart.RESTART for need in needs):
        return
    # Who asks for fewer instances takes them away, and not the rollout.
    most = spec.instances + rollout.surge
    ended = {
        action.slot.index
        for action in plan.actions
        if isinstance(action, Restart) or (isinstance(action, Stop) and not _fails(action))
        if action.slot.service == name and action.slot.index < most
        if action.slot.index in serving and not _is_past_use(rollout, records[action.slot.index])
    }
    # How many are wanted may be news to the rollout.
    least = min(spec.instances, rollout.to.instances) - rollout.to.unavailable
    if ended and len(serving - ended) < least:
        yield Fault(service=name, text=f"roll {name}: only {len(serving - ended)} would serve")


def _fails(stop: Stop) -> bool:
    return stop.aborts or stop.start_failed


def _is_past_use(rollout: Rollout, record: SlotRecord) -> bool:
    """Tell whether a process is replaced for its own sake."""
    own = rollout.version(record.memory.slot.index)
    return bool(record.outgrown) or judge_health.may_be_replaced(own, record)


def _serves(situation: Situation, record: SlotRecord, rollout: Rollout) -> bool:
    process = record.process
    is_up = record.state in (State.RUNNING, State.DEGRADED)
    if not is_up or process is None or process.exit is not None:
        return False
    is_new = record.memory.slot.index in rollout.rolled
    is_failed = rollout.failed and process.digest == rollout.to.digest != rollout.base.digest
    if is_failed and not is_new and record.memory.slot.index < rollout.to.instances:
        return False  # its version never counted
    is_settled = situation.now - record.since >= rollout.to.update.min_ready
    # One that was degraded lately was ready for long enough before.
    return not is_new or is_settled or record.memory.slot.index in rollout.proven


def _against_start(action: Start, situation: Situation, memory: ServiceMemory) -> Iterator[Fault]:
    """Nothing starts beyond the slots that a rollout may have, nor as a version that failed."""
    name, rollout = action.slot.service, memory.rollout
    if rollout is not None:
        wanted = situation.desired.services.get(name)
        # More may be wanted by now than when it began: the service was scaled in between.
        newest = wanted.spec if wanted is not None and wanted.spec is not None else rollout.to
        most = max(newest.instances, rollout.to.instances) + rollout.to.surge
        if action.slot.index >= most:
            yield Fault(service=name, text=f"start {action.slot}: {most} may run at most")
    version = memory.version(action.slot.index)
    if version.digest in memory.quarantined:
        yield Fault(service=name, text=f"start {action.slot}: its version is quarantined")
