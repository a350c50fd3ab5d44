"""Count the checks that were made: how long they took, why they failed, how late they were."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container
from dataclasses import dataclass, field

from reconciler.model.health import CheckResult, CheckType
from reconciler.model.units import Nanos, ServiceName, in_seconds

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the classes that a span falls into; the last is unbounded."""


@dataclass(slots=True)
class Spans:
    """Spans of time, by the class that each falls into."""

    classes: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    seconds: float = 0.0
    """In all."""

    def add(self, span: Nanos) -> None:
        """Count one."""
        span_s = in_seconds(span)
        self.classes[bisect_left(BUCKETS_S, span_s)] += 1
        self.seconds += span_s


@dataclass(slots=True)
class Tallies:
    """What became of all checks since the daemon began."""

    durations: dict[tuple[ServiceName, CheckType, bool], Spans] = field(default_factory=dict)
    """What checks took, by how they are made and whether they passed."""
    failures: dict[tuple[ServiceName, CheckType, str], int] = field(default_factory=dict)
    """Checks that failed, by why."""
    lateness: Spans = field(default_factory=Spans)
    """From when checks were due until they began."""

    def begun(self, late: Nanos) -> None:
        """Count a check that begins."""
        self.lateness.add(late)

    def made(self, result: CheckResult) -> None:
        """Count a check that is over."""
        name = result.slot.service
        key = (name, result.type, result.ok)
        spans = self.durations.get(key)
        if spans is None:
            spans = self.durations[key] = Spans()
        spans.add(result.took)
        if not result.ok:
            why = (name, result.type, result.fault.value if result.fault else "error")
            self.failures[why] = self.failures.get(why, 0) + 1

    def keep(self, names: Container[ServiceName]) -> None:
        """Forget all services but these."""
        self.durations = {key: one for key, one in self.durations.items() if key[0] in names}
        self.failures = {key: one for key, one in self.failures.items() if key[0] in names}
