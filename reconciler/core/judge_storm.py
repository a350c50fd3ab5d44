"""State the rule of storms a second time: how many restarts a host bears in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.core.breaches import Fault
from reconciler.model.observed import State
from reconciler.model.plan import Plan, Situation, Start
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import SECOND, ServiceName

RESTARTS_A_SECOND = 20


def against_storm(
    plan: Plan, situation: Situation, spec_of: Callable[[ServiceName], ServiceSpec | None]
) -> Iterator[Fault]:
    """Refuse more restarts after crashes than a host can bear in a second."""
    since = situation.now - SECOND
    room = RESTARTS_A_SECOND - sum(at > since for at in situation.crash_restarts)
    for action in plan.actions:
        if not isinstance(action, Start) or action.after:
            continue
        name = action.slot.service
        record, spec = situation.slots.get(name, {}).get(action.slot.index), spec_of(name)
        if record is None or spec is None or record.state is not State.CRASHED:
            continue
        if record.memory.trouble.failures and record.memory.tried == spec.digest:
            room -= 1
            if room < 0:
                yield Fault(service=name, text=f"start {action.slot}: one too many at once")
