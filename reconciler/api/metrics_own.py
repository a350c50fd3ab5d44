"""What the daemon counts about itself, and how Prometheus gets it.

Counting is adding to numbers. The library, five megabytes of it, is loaded by the first scrape;
a daemon that nobody scrapes does without.
"""

from __future__ import annotations

import platform
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.api.webhooks import Outcome
from reconciler.model.event import (
    Command,
    Decision,
    Event,
    LookAtHost,
    NextTime,
    Probe,
    Signal,
    Spawn,
)
from reconciler.model.listening import CloseSockets
from reconciler.model.plan import Situation
from reconciler.model.put_right import PutRight
from reconciler.model.status import Picture
from reconciler.model.units import Nanos, ServiceName
from reconciler.runtime import tallies
from reconciler.runtime.control import Scene
from reconciler.runtime.world import Decider

if TYPE_CHECKING:
    from prometheus_client.core import Metric

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the classes that the duration of a step falls into; the last is unbounded."""

NO_RESTART = "start"
"""The cause of a start that takes no one's place."""


@dataclass(slots=True)
class Counts:
    """What has happened since the daemon began."""

    actions: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    restarts: dict[ServiceName, Counter[str]] = field(default_factory=dict)
    reloads: dict[ServiceName, Counter[str]] = field(default_factory=dict)
    steps: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    """Steps of the engine by the class of their duration."""
    step_seconds: float = 0.0
    webhooks: Counter[str] = field(default_factory=Counter)
    """Requests to the port of webhooks, by their `Outcome`."""

    def add(self, decision: Decision, span_s: float) -> None:
        """Count one step of the engine and what it decided."""
        self.steps[bisect_left(BUCKETS_S, span_s)] += 1
        self.step_seconds += span_s
        self.actions.update(_word(command) for command in decision.commands)
        for happening in decision.happenings:
            self.events[happening.kind] += 1
            cause = happening.data.get("cause")
            if happening.kind == "service.reloading" and happening.service is not None:
                self.reloads.setdefault(happening.service, Counter())[str(cause)] += 1
            is_restart = happening.kind == "service.starting" and cause != NO_RESTART
            if is_restart and isinstance(cause, str) and happening.service is not None:
                self.restarts.setdefault(happening.service, Counter())[cause] += 1
        for name, memory in decision.remembered.services.items():
            if memory is None:
                self.restarts.pop(name, None)
                self.reloads.pop(name, None)


class CountingDecider:
    """An engine whose steps are counted and timed."""

    def __init__(self, engine: Decider, counts: Counts) -> None:
        self._engine = engine
        self._counts = counts

    def step(self, events: Iterable[Event], now: Nanos) -> Decision:
        """Let the engine decide, and count that."""
        began = time.perf_counter()
        decision = self._engine.step(events, now)
        self._counts.add(decision, time.perf_counter() - began)
        return decision

    def situation(self, now: Nanos) -> Situation:
        """Give all that a plan depends on."""
        return self._engine.situation(now)

    def picture(self, now: Nanos) -> Picture:
        """Give what people are shown."""
        return self._engine.picture(now)


def own_families(scene: Scene, counts: Counts) -> bytes:
    """Give the daemon's own families as text."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    registry.register(_Own(scene, counts))
    ProcessCollector(namespace="weaver", registry=registry)
    return generate_latest(registry)


class _Own:
    """A collector, as the library wants it, of one moment."""

    def __init__(self, scene: Scene, counts: Counts) -> None:
        self._scene = scene
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Give all families."""
        yield from self._now()
        yield from self._so_far()

    def _now(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        scene, picture = self._scene, self._scene.picture
        build = GaugeMetricFamily(
            "weaver_build_info", "Which Weaver runs, always 1.", labels=["version", "python"]
        )
        build.add_metric([scene.daemon.version, platform.python_version()], 1)
        yield build
        yield _gauge("weaver_uptime_seconds", "Time since the daemon started.", scene.daemon.uptime)
        yield _gauges(
            "weaver_services",
            "Services by state.",
            "state",
            Counter(service.state.value for service in picture.services.values()),
        )
        yield _gauges(
            "weaver_holds",
            "Things deliberately left alone, by reason.",
            "code",
            Counter(hold.code.value for hold in picture.holds),
        )
        errors = sum(not diagnostic.is_warning for diagnostic in picture.diagnostics)
        yield _gauge("weaver_manifest_errors", "Errors in today's manifests.", errors)
        invalid = sum(bool(service.invalid) for service in picture.services.values())
        yield _gauge(
            "weaver_services_invalid", "Services frozen by errors in their manifests.", invalid
        )
        yield _gauge(
            "weaver_converged", "Whether nothing is left to be done.", int(picture.converged)
        )
        is_followed = int(not (picture.source_held or picture.host_unseen))
        yield _gauge("weaver_following", "Whether manifests and host can be seen.", is_followed)
        yield _gauge(
            "weaver_troubles", "Things wrong with Weaver itself.", len(scene.daemon.troubles)
        )
        held = len(picture.prune.services) if picture.prune and not picture.prune.approved else 0
        yield _gauge("weaver_prune_held", "Services whose removal waits for somebody's yes.", held)
        push = scene.daemon.push
        if push is not None:
            yield _gauge(
                "weaver_unpushed_commits",
                "Commits of Weaver's that the branch elsewhere has not yet (`git.push`).",
                push.waiting,
            )
        source = scene.daemon.source
        if source is not None and source.seen_at is not None:
            yield _gauge(
                "weaver_last_successful_fetch_timestamp_seconds",
                "When the branch that is followed was last seen, in seconds since 1970.",
                scene.wall_at(source.seen_at),
            )

    def _so_far(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        told = [
            ("weaver_actions", "Commands given to the host.", "action", self._counts.actions),
            ("weaver_events", "Events by kind.", "kind", self._counts.events),
        ]
        if self._scene.daemon.source is not None:
            webhooks: Counter[str] = Counter(dict.fromkeys(Outcome, 0))
            webhooks.update(self._counts.webhooks)
            meaning = "Requests to the port of webhooks, by what became of them."
            told.append(("weaver_webhooks", meaning, "outcome", webhooks))
        for name, meaning, label, counts in told:
            family = CounterMetricFamily(name, meaning, labels=[label])
            for word, count in sorted(counts.items()):
                family.add_metric([word], count)
            yield family
        steps = HistogramMetricFamily(
            "weaver_reconcile_duration_seconds", "Time the engine took to decide, per step."
        )
        steps.add_metric([], _cumulated(self._counts.steps, BUCKETS_S), self._counts.step_seconds)
        yield steps
        lateness = HistogramMetricFamily(
            "weaver_health_check_lateness_seconds",
            "Time from when checks were due until they began.",
        )
        spans = self._scene.charts.tallies.lateness
        lateness.add_metric([], _cumulated(spans.classes, tallies.BUCKETS_S), spans.seconds)
        yield lateness


def _word(command: Command) -> str:
    match command:
        case Spawn():
            return "start" if command.errand is None else "hook"
        case Signal():
            return "signal"
        case PutRight():
            return "repair"
        case Probe():
            return "probe"
        case LookAtHost():
            return "look"
        case NextTime():
            return "time"
        case CloseSockets():
            return "close"


def _cumulated(classes: list[int], bounds_s: Sequence[float]) -> list[tuple[str, float]]:
    """Give histogram classes as Prometheus counts them: each holds all smaller ones."""
    bounds = [*map(str, bounds_s), "+Inf"]
    return [(bound, sum(classes[: place + 1])) for place, bound in enumerate(bounds)]


def _gauge(name: str, meaning: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, meaning, value=value)


def _gauges(name: str, meaning: str, label: str, counts: Counter[str]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, meaning, labels=[label])
    for word, count in sorted(counts.items()):
        family.add_metric([word], count)
    return family
