"""Tell quickly which services are just as wanted, so that idling costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.wishes import has_errands
from reconciler.model.desired import Wanted
from reconciler.model.observed import Role, State
from reconciler.model.plan import Situation
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.spec import DesiredState, OnRestart, ServiceSpec
from reconciler.model.units import Nanos, ServiceName

_NO_SLOTS: Mapping[int, SlotRecord] = {}
_COMING_OR_UP = (State.STARTING, State.RUNNING)


def restless(situation: Situation) -> set[ServiceName]:
    """Give the services of which a plan could have anything to say.

    The others run or come up in all their slots, or rest in all of them, just as wanted: they get
    no action and no hold. This is the one pass over everything that every plan makes, so it is
    written for speed.
    """
    desired, services, slots = situation.desired.services, situation.services, situation.slots
    if situation.shutting_down:
        return {*desired, *services, *slots}
    now = situation.now
    found = (
        {*situation.noisy} | (services.keys() - desired.keys()) | (slots.keys() - desired.keys())
    )
    for name, wanted in desired.items():
        memory = services.get(name)
        if memory is None or not _is_quiet(wanted, memory, slots.get(name, _NO_SLOTS), now):
            found.add(name)
    return found


def _is_quiet(
    wanted: Wanted, memory: ServiceMemory, records: Mapping[int, SlotRecord], now: Nanos
) -> bool:
    spec = wanted.spec
    if spec is None or wanted.invalid or memory.restart_before is not None:
        return False
    if memory.rollout is not None:
        return False
    if memory.reload_before is not None:
        return False
    if spec is not memory.spec and spec != memory.spec:
        return False
    if spec.state is not DesiredState.RUNNING:
        return all(map(_is_at_rest, records.values()))
    for need in spec.needs:
        # A need that restarts may take this service with it: that takes a closer look.
        if need.on_restart is OnRestart.RESTART:
            return False
    return _runs(spec, records, now)


def _runs(spec: ServiceSpec, records: Mapping[int, SlotRecord], now: Nanos) -> bool:
    width = spec.instances
    if len(records) != width:
        return False
    for index, record in records.items():
        if record.state not in _COMING_OR_UP or index >= width:
            return False
        process = record.process
        if process is None:
            if record.memory.occasions:
                return False
            # Just asked to start: the answer is as good as here.
            continue
        if process.digest != spec.digest or process.exit is not None or record.pending is not None:
            return False
        if (
            record.reloading is not None
            or record.memory.occasion(Role.RELOAD) is not None
            or record.memory.reload_failed
            or (spec.loads and record.memory.loaded != spec.loads)
        ):
            return False
        if record.outgrown or record.drift is not None:
            return False
        if _is_over(record.deadline, now) or _is_over(record.watchdog_at, now):
            return False
    return True


def _is_over(at: Nanos | None, now: Nanos) -> bool:
    return at is not None and at <= now


def _is_at_rest(record: SlotRecord) -> bool:
    is_empty = record.process is None and record.pending is None
    return record.state is State.STOPPED and is_empty and not has_errands(record)
