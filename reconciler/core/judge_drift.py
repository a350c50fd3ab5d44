"""State the rules of what may be put right a second time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.model.observed import Slot, State
from reconciler.model.plan import Repair, Situation
from reconciler.model.spec import ServiceSpec

_ALIVE = (State.STARTING, State.RUNNING, State.DEGRADED)


def against_repair(
    action: Repair, situation: Situation, version: Callable[[Slot], ServiceSpec | None]
) -> Iterator[str]:
    """Only what was done to a process that is to go on is undone, and nothing twice at a time."""
    slot, spec = action.slot, version(action.slot)
    record = situation.slots.get(slot.service, {}).get(slot.index)
    if record is None or record.process is None or record.process.id != action.target:
        yield "its target is not what runs there"
        return
    if record.process.exit is not None or record.state not in _ALIVE:
        yield f"it is {record.state}"
    if record.pending is not None:
        yield "an earlier command was not answered"
    drift = record.drift
    if drift is None or drift.run != record.process.run:
        yield "nothing was done to it"
        return
    if drift.until > situation.now:
        yield "it was just tried"
    if not drift.is_halted and (spec is None or spec.nice in (None, drift.nice)):
        yield "its manifest does not ask for another nice"
