"""Say which rule a plan breaks; what is decided by them is in judge.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reconciler.model.observed import ProcessId, Slot
from reconciler.model.plan import Forget, Kill, Plan, SlotAction, Start, Update
from reconciler.model.units import ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One breach of one rule."""

    service: ServiceName
    text: str


def without_faults(plan: Plan, faults: Iterable[Fault]) -> Plan:
    """Give the plan less everything that concerns a service at fault."""
    guilty = {fault.service for fault in faults}
    if not guilty:
        return plan
    kept = tuple(action for action in plan.actions if service_of(action) not in guilty)
    return replace(plan, actions=kept)


def service_of(action: SlotAction | Update | Forget) -> ServiceName:
    """Give the service that an action is about."""
    return action.service if isinstance(action, Update | Forget) else action.slot.service


def fault_of(action: SlotAction, texts: Iterable[str]) -> list[Fault]:
    """Give a fault for each thing that is to be said against an action."""
    verb = type(action).__name__.lower()
    return [
        Fault(service=action.slot.service, text=f"{verb} {action.slot}: {text}") for text in texts
    ]


def one_action_a_slot(plan: Plan) -> Iterator[Fault]:
    """See that a slot has one action at most, besides kills of what else lives in it."""
    seen: set[tuple[Slot, ProcessId | None]] = set()
    busy: set[Slot] = set()
    for action in plan.actions:
        if isinstance(action, Update | Forget):
            continue
        target = None if isinstance(action, Start) else action.target
        if (action.slot, target) in seen or (action.slot in busy and not isinstance(action, Kill)):
            yield Fault(service=action.slot.service, text=f"two actions for {action.slot}")
        seen.add((action.slot, target))
        busy.add(action.slot)
