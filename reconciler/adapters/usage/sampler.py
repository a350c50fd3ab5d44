"""The `Sampler` port: figures of whole trees, taken on a thread, when they are asked for.

Nobody asks, nothing is measured. Whoever asks gets what is known at once or waits a few
milliseconds, never for a host with ten thousand processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.adapters.usage import listeners, processes
from reconciler.adapters.usage.processes import Sighting
from reconciler.model.observed import ProcessId
from reconciler.model.units import SECOND, Nanos, seconds
from reconciler.ports import Clock, Usage

log = logging.getLogger(__name__)

FRESH = seconds(5)
"""Younger figures are not measured again."""
STALE = seconds(30)
"""Older figures are shown to nobody."""
NEWCOMERS_AFTER = seconds(0.5)
"""A tree that was never measured makes the others be measured again this early."""

PSS_EVERY = seconds(60)
PSS_AT_ONCE = 50
"""Processes whose pages are counted in one measurement; the others have their turn later."""

_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Spent:
    """CPU time of a tree at a moment."""

    id: ProcessId
    ticks: int
    at: Nanos


@dataclass(frozen=True, slots=True)
class _Shared:
    """Proportional and swapped memory of a process, which cost too much to read each time."""

    pss: int
    swap: int
    at: Nanos


class TreeSampler:
    """Measures trees of processes and keeps the figures for a few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: Mapping[str, tuple[ProcessId, Usage]] = {}
        self._asked: frozenset[tuple[str, ProcessId]] = frozenset()
        self._at: Nanos | None = None
        self._meter = Meter()
        self._measuring: asyncio.Future[None] | None = None

    def sample(self, targets: Mapping[str, ProcessId]) -> Mapping[str, Usage]:
        """Give each target's tree as last measured, at once; measure anew behind the scenes."""
        self._refresh(targets)
        return self._figures(targets)

    async def fresh(
        self, targets: Mapping[str, ProcessId], *, within_s: float = 0.05
    ) -> Mapping[str, Usage]:
        """Give figures of the last seconds, measuring now where needed, for at most so long."""
        measuring = self._refresh(targets)
        if measuring is not None:
            await asyncio.wait([measuring], timeout=within_s)
        return self._figures(targets)

    def _refresh(self, targets: Mapping[str, ProcessId]) -> asyncio.Future[None] | None:
        """Begin to measure where that is due; give what is under way."""
        if self._measuring is None and self._is_due(targets):
            self._measuring = asyncio.ensure_future(self._measure(dict(targets)))
        return self._measuring

    def _is_due(self, targets: Mapping[str, ProcessId]) -> bool:
        if not targets:
            return False
        if self._at is None:
            return True
        age = self._clock.now() - self._at
        return age >= FRESH or (age >= NEWCOMERS_AFTER and not self._asked >= targets.items())

    async def _measure(self, targets: Mapping[str, ProcessId]) -> None:
        try:
            found = await asyncio.to_thread(self._meter.measure, targets, self._clock.now())
            self._known = {key: (targets[key], usage) for key, usage in found.items()}
        except (OSError, ValueError) as error:
            log.warning("cannot measure what services use: %s", error)
        finally:
            self._asked, self._at = frozenset(targets.items()), self._clock.now()
            self._measuring = None

    def _figures(self, targets: Mapping[str, ProcessId]) -> Mapping[str, Usage]:
        if self._at is None or self._clock.now() - self._at > STALE:
            return {}
        return {
            key: self._known[key][1]
            for key, target in targets.items()
            if key in self._known and self._known[key][0] == target
        }


class Meter:
    """Takes measurements, each with the help of the one before. One thread at a time."""

    def __init__(self) -> None:
        self._spent: dict[str, _Spent] = {}
        self._shared: dict[_Identity, _Shared] = {}

    def measure(self, targets: Mapping[str, ProcessId], now: Nanos) -> Mapping[str, Usage]:
        """Measure each target's tree; those that are gone are left out."""
        census = processes.take_census()
        trees = {
            key: tree
            for key, target in targets.items()
            if (tree := census.tree(target.pid, target.born))
        }
        self._count_pages([each for tree in trees.values() for each in tree], now)
        sockets = listeners.listening_sockets()
        usages = {
            key: self._usage(key, targets[key], tree, sockets, now) for key, tree in trees.items()
        }
        self._spent = {key: spent for key, spent in self._spent.items() if key in usages}
        return usages

    def _usage(
        self,
        key: str,
        target: ProcessId,
        tree: Sequence[Sighting],
        sockets: dict[int, str],
        now: Nanos,
    ) -> Usage:
        shared = [self._shared.get((each.pid, each.born)) for each in tree]
        counted = [each for each in shared if each is not None]
        is_counted = len(counted) == len(tree)
        return Usage(
            cpu_percent=self._cpu_percent(key, target, sum(each.ticks for each in tree), now),
            rss=sum(each.rss for each in tree),
            pss=sum(each.pss for each in counted) if is_counted else None,
            swap=sum(each.swap for each in counted) if is_counted else None,
            file_descriptors=sum(processes.descriptors(each.pid) for each in tree),
            listening=listeners.addresses((each.pid for each in tree), sockets),
        )

    def _cpu_percent(self, key: str, target: ProcessId, ticks: int, now: Nanos) -> float:
        """Give the share of a core since the measurement before, or since the process began."""
        before = self._spent.get(key)
        if before is None or before.id != target:
            born = Nanos(target.born * SECOND // processes.TICKS_PER_SECOND)
            before = _Spent(target, 0, born)
        self._spent[key] = _Spent(target, ticks, now)
        span = now - before.at
        if span <= 0:
            return 0.0
        # A process that ended takes its time with it when its parent is not of the tree.
        spent = max(0, ticks - before.ticks) / processes.TICKS_PER_SECOND
        return round(100 * spent * SECOND / span, 1)

    def _count_pages(self, sightings: Sequence[Sighting], now: Nanos) -> None:
        """Read the costly figures of those that waited longest for it."""
        alive = {(each.pid, each.born) for each in sightings}
        self._shared = {key: kept for key, kept in self._shared.items() if key in alive}
        due = sorted(
            (self._shared[key].at if key in self._shared else Nanos(0), key) for key in alive
        )
        for at, key in due[:PSS_AT_ONCE]:
            if at and now - at < PSS_EVERY:
                break
            found = processes.shared_memory(key[0])
            if found is not None:
                self._shared[key] = _Shared(*found, at=now)
