"""Say what is wanted of each service and slot, read a second time from the situation alone."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.observed import Slot
from reconciler.model.plan import Situation
from reconciler.model.record import SlotMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules of a plan go by."""

    situation: Situation

    def spec(self, name: ServiceName) -> ServiceSpec | None:
        """Give the spec a service is to run: today's, else the one in force while held."""
        wanted = self.situation.desired.services.get(name)
        if wanted is not None:
            return wanted.spec
        memory = self.situation.services.get(name)
        return memory.spec if memory is not None and self.is_removal_held(name) else None

    def is_removal_held(self, name: ServiceName) -> bool:
        """Tell whether a service that no manifest defines any more runs on for a hold."""
        held = self.situation.prune
        return held is not None and not held.approved and name in held.services

    def width(self, name: ServiceName) -> int:
        """Give how many slots a service should have."""
        spec = self.spec(name)
        if spec is None or self.situation.shutting_down or not spec.wants_to_run:
            return 0
        memory = self.situation.services.get(name)
        return spec.instances + (memory.rollout.surge if memory and memory.rollout else 0)

    def version(self, slot: Slot) -> ServiceSpec | None:
        """Give the spec that a slot is to run."""
        spec, memory = self.spec(slot.service), self.situation.services.get(slot.service)
        if spec is None or memory is None or memory.rollout is None:
            return spec
        return memory.rollout.version(slot.index)

    def record(self, slot: Slot) -> SlotRecord:
        """Give what is known of a slot; of one that was never seen, nothing."""
        found = self.situation.slots.get(slot.service, {}).get(slot.index)
        return found or SlotRecord(memory=SlotMemory(slot=slot))

    def is_haunted(self, slot: Slot) -> bool:
        """Tell whether a process lives in a slot besides the one that is known as its own."""
        return any(stray.slot == slot and stray.is_live for stray in self.situation.strays)

    def restart_asked(self, name: ServiceName) -> Nanos:
        """Give when a restart was asked for: what started before is to be replaced; 0: never."""
        memory = self.situation.services.get(name)
        return Nanos(0) if memory is None else memory.restart_before or Nanos(0)
