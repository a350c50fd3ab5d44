"""Have a plan's actions take their effect at once, as an ideal host would."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.planner import plan
from reconciler.model.observed import State
from reconciler.model.plan import (
    Action,
    Forget,
    Kill,
    Plan,
    Restart,
    Situation,
    Start,
    Stop,
    Update,
)
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.units import Nanos, ServiceName, seconds
from tests.core.situations import as_wanted

A_WHILE = seconds(200)
Slots = dict[ServiceName, dict[int, SlotRecord]]


def perform(plan: Plan, situation: Situation) -> Situation:
    """Give the situation after everything that may be done now was done, and some time passed."""
    slots: Slots = {
        name: {
            index: _come_to_pass(record, situation.services.get(name))
            for index, record in records.items()
        }
        for name, records in situation.slots.items()
    }
    services = dict(situation.services)
    now = Nanos(situation.now + A_WHILE)
    for action in plan.actions:
        match action:
            case Update():
                spec = situation.desired.services[action.service].spec
                assert spec is not None
                services[action.service] = replace(services[action.service], spec=spec)
            case Forget():
                del services[action.service]
                slots.pop(action.service, None)
            case _ if not action.after:
                _touch(action, slots, situation, now)
            case _:
                pass
    return replace(situation, slots=slots, services=services, now=now)


def _come_to_pass(record: SlotRecord, memory: ServiceMemory | None) -> SlotRecord:
    """Let what is under way in a slot come to its end, be it good or bad."""
    process, is_up = record.process, record.state in (State.STARTING, State.RUNNING)
    if process is not None and is_up and memory is not None and memory.spec.is_oneshot:
        done = replace(record.memory, done=process.digest, done_at=process.started)
        return SlotRecord(memory=done)
    if record.state is State.STARTING and process is not None:
        return replace(record, state=State.RUNNING, pending=None, deadline=None)
    is_going = record.state is State.STOPPING or record.swept
    if is_going or (record.pending is not None and process is None):
        return SlotRecord(memory=record.memory)
    return record


def _touch(action: Action, slots: Slots, situation: Situation, now: Nanos) -> None:
    assert isinstance(action, Start | Stop | Restart | Kill)
    name, index = action.slot.service, action.slot.index
    if isinstance(action, Start):
        wanted = situation.desired.services.get(name)
        spec = wanted.spec if wanted else situation.services[name].spec
        assert spec is not None
        slots.setdefault(name, {})[index] = as_wanted(spec, index, started=now)
        return
    record = slots[name][index]
    memory = record.memory
    if isinstance(action, Restart):
        memory = replace(memory, last_restart=now)
    slots[name][index] = SlotRecord(memory=memory)


def in_rounds(first: Situation, limit: int) -> tuple[list[Plan], Situation]:
    """Plan and perform until there is nothing to do; give all plans but the last, empty one."""
    plans: list[Plan] = []
    situation = first
    while (made := plan(situation)).actions:
        assert len(plans) < limit, f"still something to do after {limit} rounds: {made.actions}"
        plans.append(made)
        situation = perform(made, situation)
    return plans, situation
