"""What a few trees use just now, for limits that nothing else enforces."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.adapters.usage import processes
from reconciler.adapters.usage.processes import Sighting
from reconciler.model.observed import ProcessId
from reconciler.model.units import SECOND, Nanos
from reconciler.model.weight import Load, Weight
from reconciler.ports import Clock


class TreeScale:
    """Weighs trees of processes on a thread; one weighing at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent: dict[ProcessId, tuple[int, Nanos]] = {}

    async def weigh(self, loads: Mapping[str, Load]) -> Mapping[str, Weight]:
        """Give what each tree uses; those that are gone are left out."""
        return await asyncio.to_thread(self._weigh, loads, self._clock.now())

    def _weigh(self, loads: Mapping[str, Load], now: Nanos) -> dict[str, Weight]:
        census = processes.take_census()
        weights, spent = {}, {}
        for key, load in loads.items():
            tree = census.tree(load.process.pid, load.process.born)
            ticks = sum(each.ticks for each in tree)
            before = self._spent.get(load.process)
            if tree:
                spent[load.process] = (ticks, now)
                cpu = None if before is None else _cores(ticks - before[0], now - before[1])
                weights[key] = Weight(memory=_memory(tree, load.limit), cpu=cpu)
        self._spent = spent
        return weights


def _cores(ticks: int, span: int) -> float:
    """Give the cores that were busy; who ended meanwhile may have taken its ticks along."""
    return max(0, ticks) / processes.TICKS_PER_SECOND * SECOND / max(1, span)


def _memory(tree: Sequence[Sighting], limit: int | None) -> int:
    """Give the bytes of a tree; pages that it shares count once where that may matter."""
    resident = sum(each.rss for each in tree)
    if limit is None or resident <= limit:
        return resident
    return sum(_proportional(each) for each in tree)


def _proportional(each: Sighting) -> int:
    try:
        lines = Path(f"{processes.PROC}/{each.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return each.rss
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), each.rss
    )
