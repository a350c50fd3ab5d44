"""What a step changes in the memory that outlives the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.observed import Slot
from reconciler.model.overlay import Overlay
from reconciler.model.record import PruneHold, ServiceMemory, SlotMemory
from reconciler.model.units import Nanos, ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What changed in the memory that outlives the daemon; written before anything is done."""

    services: Mapping[ServiceName, ServiceMemory | None] = field(default_factory=dict)
    """None: the service is forgotten."""
    slots: Mapping[Slot, SlotMemory | None] = field(default_factory=dict)
    prune: PruneHold | None = None
    prune_changed: bool = False
    overlays: tuple[Overlay, ...] | None = None
    """All there are, where that changed."""
    removed: Mapping[ServiceName, Nanos] | None = None
    """All that counts, where that changed."""

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        is_settled = self.overlays is None and self.removed is None and not self.prune_changed
        return is_settled and not (self.services or self.slots)
