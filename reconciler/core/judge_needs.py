"""State a second time when a service may start beside what it needs."""

from __future__ import annotations

from reconciler.core import judge_health
from reconciler.core.judge_ends import is_good_end
from reconciler.core.judge_facts import Facts
from reconciler.model.observed import Slot, State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import Condition, Need, RestartPolicy, ServiceSpec
from reconciler.model.units import ServiceName

_SERVING = (Condition.READY, Condition.HEALTHY)


def is_met(facts: Facts, need: Need) -> bool:
    """Tell whether a need holds now of all its slots, or is optional and will not come."""
    if _is_there(facts, need):
        return True
    return not need.required and _is_out_of_reach(facts, need, frozenset())


def is_done(facts: Facts, spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether a slot's work is over for good, and nobody asked for it again."""
    memory = record.memory
    if memory.done != spec.digest or memory.done_at is None:
        return False
    is_again = spec.restart is RestartPolicy.ALWAYS and not spec.is_oneshot
    if is_again or not is_good_end(spec, memory.last_exit):
        return False
    return memory.newest >= facts.restart_asked(spec.name)


def _is_there(facts: Facts, need: Need) -> bool:
    spec = facts.spec(need.service)
    slots = _slots(facts, need.service)
    if spec is None or not slots:
        return False
    found = [_slot_meets(facts, need.condition, spec, one) for one in slots]
    memory = facts.situation.services.get(need.service)
    # While one slot after the other is replaced, the others serve.
    is_rolling = memory is not None and memory.rollout is not None
    return any(found) if is_rolling else all(found)


def _is_out_of_reach(facts: Facts, need: Need, above: frozenset[ServiceName]) -> bool:
    """Tell whether a need comes no more by itself; `above` are those that led here."""
    spec = facts.spec(need.service)
    slots = _slots(facts, need.service)
    if spec is None or not slots:
        return True
    if any(_is_over(facts, need.condition, spec, one) for one in slots):
        return True
    above |= {need.service}
    # It waits in vain itself.
    return any(one.process is None for one in slots) and any(
        further.required
        and further.service not in above
        and not _is_there(facts, further)
        and _is_out_of_reach(facts, further, above)
        for further in spec.needs
    )


def _slots(facts: Facts, name: ServiceName) -> list[SlotRecord]:
    return [facts.record(Slot(service=name, index=at)) for at in range(facts.width(name))]


def _is_over(facts: Facts, condition: Condition, spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether a slot was given up, or has served and will not serve again."""
    gave_up = record.memory.trouble.gave_up and record.memory.tried == spec.digest
    is_ill = condition is Condition.HEALTHY and judge_health.is_beyond_help(spec, record)
    return gave_up or is_ill or (condition in _SERVING and is_done(facts, spec, record))


def _slot_meets(facts: Facts, condition: Condition, spec: ServiceSpec, record: SlotRecord) -> bool:
    done = is_done(facts, spec, record)
    if condition is Condition.COMPLETED or (condition in _SERVING and spec.is_oneshot):
        return done
    if condition is Condition.HEALTHY:
        return judge_health.has_proved_well(spec, record)
    up = record.process is not None and record.state in (State.RUNNING, State.DEGRADED)
    if condition is Condition.READY:
        return up
    alive = record.process is not None and record.process.exit is None
    return done or (alive and record.state not in (State.STOPPING, State.UNKNOWN))
