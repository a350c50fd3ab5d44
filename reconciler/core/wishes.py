"""Say of every service what is wanted of it, so that no rule has to ask twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.graph import reverse, topological
from reconciler.model.observed import Slot, State
from reconciler.model.plan import Situation
from reconciler.model.record import SlotMemory, SlotRecord
from reconciler.model.spec import Need, ServiceSpec
from reconciler.model.units import Nanos, ServiceName

_UP = (State.RUNNING, State.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of one service, after guards and shutdown were taken into account."""

    name: ServiceName
    spec: ServiceSpec | None
    """The spec to run, or the one that ran; None: nothing is known of it."""
    runs: bool
    """Whether processes are wanted."""
    is_gone: bool = False
    """Wanted no more, and nobody holds its removal."""
    is_invalid: bool = False
    prune_held: str = ""
    """Why its removal waits for a yes; it runs on meanwhile."""

    @property
    def instances(self) -> int:
        """Give the number of slots wanted."""
        return self.spec.instances if self.runs and self.spec else 0

    @property
    def needs(self) -> tuple[Need, ...]:
        """Give the needs of the spec."""
        return self.spec.needs if self.spec else ()


def wishes(situation: Situation) -> dict[ServiceName, Wish]:
    """Give every service's wish: of the manifests, of what we own, of what is found."""
    desired = situation.desired.services
    found = {name: wish_of(situation, name) for name in desired}
    for name in sorted(set(situation.services).union(situation.slots).difference(desired)):
        found[name] = wish_of(situation, name)
    return found


def wish_of(situation: Situation, name: ServiceName) -> Wish:
    """Give one service's wish."""
    may_run = not situation.shutting_down
    wanted = situation.desired.services.get(name)
    if wanted is not None:
        spec = wanted.spec
        runs = may_run and spec is not None and spec.wants_to_run
        return Wish(name=name, spec=spec, runs=runs, is_invalid=bool(wanted.invalid))
    memory = situation.services.get(name)
    spec = memory.spec if memory else None
    prune = situation.prune
    if prune is not None and not prune.approved and name in prune.services and spec is not None:
        runs = may_run and spec.wants_to_run
        return Wish(name=name, spec=spec, runs=runs, prune_held=prune.because)
    return Wish(name=name, spec=spec, runs=False, is_gone=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The situation, arranged for deciding: wishes in order, and who needs whom."""

    situation: Situation
    wishes: Mapping[ServiceName, Wish]
    order: tuple[ServiceName, ...]
    """Needs before dependents."""
    place: Mapping[ServiceName, int]
    dependents: Mapping[ServiceName, list[ServiceName]]

    def slots(self, name: ServiceName) -> Mapping[int, SlotRecord]:
        """Give a service's slots by index."""
        return self.situation.slots.get(name, {})

    def record(self, name: ServiceName, index: int) -> SlotRecord:
        """Give a slot's record; one that was never used is stopped."""
        found = self.slots(name).get(index)
        return found if found is not None else unused(Slot(service=name, index=index))

    def wanted_records(self, wish: Wish) -> list[SlotRecord]:
        """Give the records of the slots a service is wanted to have."""
        return [self.record(wish.name, index) for index in range(wish.instances)]

    def restart_before(self, name: ServiceName) -> Nanos:
        """Give the moment before which started processes are to be replaced; 0 for none."""
        memory = self.situation.services.get(name)
        return (memory.restart_before if memory else None) or Nanos(0)


def unused(slot: Slot) -> SlotRecord:
    """Give the record of a slot that was never used."""
    return SlotRecord(memory=SlotMemory(slot=slot))


def arrange(situation: Situation) -> Board:
    """Arrange a situation for deciding."""
    found = wishes(situation)
    needs = {name: [need.service for need in wish.needs] for name, wish in found.items()}
    order = tuple(topological(needs))
    return Board(
        situation=situation,
        wishes=found,
        order=order,
        place={name: place for place, name in enumerate(order)},
        dependents=reverse(needs),
    )


def is_live(record: SlotRecord) -> bool:
    """Tell whether something of a slot's process tree still runs, or may be about to."""
    return record.process is not None or record.pending is not None


def is_up(record: SlotRecord) -> bool:
    """Tell whether a slot serves: running, be it degraded."""
    return record.state in _UP and record.process is not None


def is_done(record: SlotRecord, spec: ServiceSpec, restart_before: Nanos) -> bool:
    """Tell whether a slot ended well with this very spec and need not run again."""
    memory = record.memory
    if memory.done != spec.digest or memory.done_at is None:
        return False
    return memory.done_at >= restart_before
