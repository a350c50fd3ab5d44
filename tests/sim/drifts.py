"""What must hold of processes that somebody stopped or reniced: only that is undone, and told once.

Stated against what the daemon was told, which it is again and again while it is so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from reconciler.model.event import Event, Happening, SignalAnswered
from reconciler.model.observed import Slot
from reconciler.model.put_right import ProcessSeen, PutRight
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import RunId
from tests.sim.machine import Run

Version = Callable[[Slot], ServiceSpec | None]


class DriftRules:
    """How each process was last found."""

    def __init__(self) -> None:
        self._seen: dict[RunId, ProcessSeen] = {}
        self._news: dict[str, ProcessSeen] = {}
        """What was seen in this step, by slot."""
        self._told: dict[RunId, tuple[bool, int]] = {}
        """What was told of a process, and may not have changed since."""
        self._orders: dict[int, RunId] = {}

    def begin(self) -> None:
        """Begin a daemon's life: nothing was seen."""
        self._seen.clear()
        self._told.clear()
        self._orders.clear()

    def before(self, events: Iterable[Event]) -> None:
        """Note what the engine is about to hear."""
        self._news.clear()
        for event in events:
            if isinstance(event, ProcessSeen):
                self._seen[event.run] = self._news[str(event.slot)] = event
                if self._told.get(event.run) != (event.is_halted, event.nice):
                    self._told.pop(event.run, None)
            elif isinstance(event, SignalAnswered) and not event.problem:
                run = self._orders.pop(event.serial, None)
                if run is not None:
                    self._told.pop(run, None)

    def may_put_right(self, order: PutRight, run: Run, spec: ServiceSpec | None) -> None:
        """See that just what was done to a process is undone."""
        seen, self._orders[order.serial] = self._seen.get(order.run), order.run
        assert seen is not None, f"{run.slot} is put right, and nothing was done to it"
        assert order.target == run.identity, f"{run.slot}: another process is put right"
        assert order.resumes == seen.is_halted, f"{run.slot} is let go on, and never stood still"
        if order.nice is None:
            assert order.resumes, f"{run.slot} is put right, and nothing is done"
            return
        assert spec is not None, f"{run.slot} is reniced, and nobody knows to what"
        assert order.nice == spec.nice != seen.nice, f"{run.slot} is reniced to {order.nice}"
        assert run.digest == spec.digest, f"{run.slot} is reniced as another version is"

    def told(self, happenings: Iterable[Happening]) -> None:
        """See that only news is told."""
        for told in happenings:
            if told.kind == "drift.found":
                seen = self._news.pop(str(told.slot), None)
                assert seen is not None, f"{told.slot} drifts, and nothing was seen"
                assert seen.run not in self._told, f"{told.slot} is told to drift once more"
                self._told[seen.run] = (seen.is_halted, seen.nice)

    def halted(self) -> Iterator[RunId]:
        """Give the processes that were last found stopped."""
        return (run for run, seen in self._seen.items() if seen.is_halted)

    def reniced(self, version: Version, runs: dict[RunId, Run]) -> Iterator[RunId]:
        """Give the processes that were last found with another nice than their manifest's."""
        for run, seen in self._seen.items():
            spec = version(seen.slot)
            is_its = spec is not None and runs[run].digest == spec.digest
            if is_its and spec is not None and spec.nice not in (None, seen.nice):
                yield run
