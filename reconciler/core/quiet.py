"""Tell quickly which services are just as wanted, so that idling costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.desired import Wanted
from reconciler.model.observed import State
from reconciler.model.plan import Situation
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.spec import OnRestart, ServiceSpec
from reconciler.model.units import ServiceName

_NO_SLOTS: Mapping[int, SlotRecord] = {}


def restless(situation: Situation) -> set[ServiceName]:
    """Give the services of which a plan could have anything to say.

    The others run in all their slots, or rest in all of them, just as wanted: they get no action
    and no hold. This is the one pass over everything that every plan makes.
    """
    desired, services, slots = situation.desired.services, situation.services, situation.slots
    if situation.shutting_down:
        return {*desired, *services, *slots}
    found = (services.keys() - desired.keys()) | (slots.keys() - desired.keys())
    for name, wanted in desired.items():
        memory = services.get(name)
        if memory is None or not _is_quiet(wanted, memory, slots.get(name, _NO_SLOTS)):
            found.add(name)
    return found


def _is_quiet(wanted: Wanted, memory: ServiceMemory, records: Mapping[int, SlotRecord]) -> bool:
    spec = wanted.spec
    if spec is None or wanted.invalid or memory.restart_before is not None:
        return False
    if spec is not memory.spec and spec != memory.spec:
        return False
    if not spec.wants_to_run:
        return all(map(_is_at_rest, records.values()))
    # A need that restarts may take this service with it: that takes a closer look.
    if any(need.on_restart is OnRestart.RESTART for need in spec.needs):
        return False
    return _runs(spec, records)


def _runs(spec: ServiceSpec, records: Mapping[int, SlotRecord]) -> bool:
    if len(records) != spec.instances:
        return False
    digest, width = spec.digest, spec.instances
    for index, record in records.items():
        process = record.process
        if record.state is not State.RUNNING or process is None or index >= width:
            return False
        if process.digest != digest or process.exit is not None:
            return False
        if record.pending is not None or record.deadline is not None:
            return False
    return True


def _is_at_rest(record: SlotRecord) -> bool:
    return record.state is State.STOPPED and record.process is None and record.pending is None
