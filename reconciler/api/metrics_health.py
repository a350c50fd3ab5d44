"""The families about health checks: how long they took, and why they failed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from reconciler.api.metrics_text import family, line, pairs
from reconciler.model.health import CheckFault, CheckType
from reconciler.model.units import ServiceName
from reconciler.runtime.tallies import BUCKETS_S, Spans, Tallies

COMMON = (CheckFault.TIMEOUT, CheckFault.REFUSED)
"""Reasons shown from the first check of a service on, so that a rate is right from the first."""

_BOUNDS = (*map(str, BUCKETS_S), "+Inf")


def health_families(tallies: Tallies) -> Iterator[str]:
    """Give the lines of both families."""
    name = "service_health_check_duration_seconds"
    yield from family(name, "histogram", "Time that a health check took, its last try.")
    for (service, check_type, passed), spans in sorted(tallies.durations.items()):
        status = "healthy" if passed else "unhealthy"
        yield from _histogram(name, spans, service=service, check_type=check_type, status=status)
    name = "service_health_check_failures_total"
    yield from family(name, "counter", "Health checks that failed, all of their tries.")
    for (failing, kind, reason), count in sorted(_failures(tallies).items()):
        yield line(name, count, service=failing, check_type=kind, reason=reason)


def _failures(tallies: Tallies) -> dict[tuple[ServiceName, CheckType, str], int]:
    """Count failures; those that are common are there before there is one."""
    known = {(key[0], key[1]) for key in tallies.durations}
    none = {(service, kind, reason.value): 0 for service, kind in known for reason in COMMON}
    return {**none, **tallies.failures}


def _histogram(name: str, spans: Spans, **labels: str) -> Iterator[str]:
    """Give the series of one histogram; each class holds all smaller ones."""
    *_, total = counts = [*accumulate(spans.classes)]
    known = pairs(**labels)
    for bound, count in zip(_BOUNDS, counts, strict=True):
        yield f'{name}_bucket{{{known},le="{bound}"}} {count}'
    yield f"{name}_sum{{{known}}} {round(spans.seconds, 6)}"
    yield f"{name}_count{{{known}}} {total}"
