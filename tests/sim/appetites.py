"""What must hold of memory: replaced is only what was measured to use too much, and told of once.

Stated against what the daemon was told; what a process uses is not on record, so a new daemon
knows nothing of it until it measures anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.model.event import Event, Happening, Measured
from reconciler.model.observed import Slot
from reconciler.model.spec import MemoryAction, ServiceSpec
from reconciler.model.units import RunId
from tests.sim.machine import Run

BELOW_PERCENT = 90
Version = Callable[[Slot], ServiceSpec | None]


class AppetiteRules:
    """Which processes were measured to use more than they may."""

    def __init__(self) -> None:
        self._told: set[RunId] = set()
        """Told of as above their limit, and not clearly below it since."""
        self._outgrown: set[RunId] = set()
        self._to_tell: dict[str, RunId] = {}
        """What this step may tell of, by slot: above its limit, and not told of as that."""

    def begin(self) -> None:
        """Begin a daemon's life: nothing was measured."""
        self._told.clear()
        self._outgrown.clear()

    def before(self, events: Iterable[Event], runs: dict[RunId, Run], version: Version) -> None:
        """Note what the engine is about to hear."""
        self._to_tell.clear()
        for event in events:
            run = runs.get(event.run) if isinstance(event, Measured) else None
            spec = version(run.slot) if run is not None else None
            if isinstance(event, Measured) and run is not None and spec is not None:
                self._measure(event, run, spec)

    def _measure(self, event: Measured, run: Run, spec: ServiceSpec) -> None:
        limit = spec.max_memory
        if event.memory is None or limit is None or run.digest != spec.digest:
            return
        if event.memory > limit:
            if run.id not in self._told:
                self._to_tell[str(run.slot)] = run.id
            if spec.memory_action is MemoryAction.RESTART:
                self._outgrown.add(run.id)
        elif event.memory * 100 <= limit * BELOW_PERCENT:
            self._told.discard(run.id)

    def has_outgrown(self, run: Run) -> bool:
        """Tell whether a process may be replaced for what it uses."""
        return run.id in self._outgrown

    def told(self, happenings: Iterable[Happening]) -> None:
        """See that only news is told."""
        for told in happenings:
            if told.kind == "service.over-limit":
                run = self._to_tell.pop(str(told.slot), None)
                assert run is not None, f"{told.slot} is said to be above its limit, and is not"
                self._told.add(run)
