"""The health document: what checks said of each instance, last and before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.api import standing
from reconciler.api.wire.base import Document, Wire, timestamp
from reconciler.model.status import ServiceStatus, SlotStatus
from reconciler.model.units import Nanos, in_seconds
from reconciler.runtime.checked import Checked, SlotHealth
from reconciler.runtime.control import Scene


class CheckedKeys(Wire, frozen=True, kw_only=True):
    """One check that was made."""

    timestamp: str
    status: str | None
    """`healthy`; `unhealthy`: it failed; `degraded`: checks fail beyond the threshold; null: it
    failed in `startPeriod`, which says nothing."""
    passed: bool
    response_time: float
    error: str | None
    """Why it failed."""
    late: float
    """Seconds from when it was due until it began."""


class HealthKeys(Wire, frozen=True, kw_only=True):
    """How one instance is; what is null is not known before its first check."""

    service: str
    instance: str
    timestamp: str | None
    status: str | None
    response_time: float | None
    """Seconds."""
    check_type: str
    passed: bool | None
    error: str | None
    metadata: dict[str, str | int | float | bool]
    """What else the last check saw: the status of an answer, the exit code of a command ..."""
    consecutive_failures: int
    consecutive_successes: int
    next_check: str | None
    """Null where it does not run, and so is not checked."""
    history: list[CheckedKeys]
    """The last checks, newest first."""


class HealthDocument(Document, frozen=True, kw_only=True):
    """What checks say."""

    checks: list[HealthKeys]
    """One for each instance of each service that has a `healthCheck`."""


def health_document(
    scene: Scene, services: Sequence[ServiceStatus], exit_code: int = 0
) -> HealthDocument:
    """Write what checks say of the chosen services."""
    checks = [keys for service in services for keys in _instances(service, scene)]
    return HealthDocument(exit_code=exit_code, checks=checks)


def _instances(service: ServiceStatus, scene: Scene) -> Iterator[HealthKeys]:
    health = service.spec.health if service.spec else None
    if health is not None:
        for slot in service.slots:
            chart = standing.chart_of(slot, scene)
            yield _instance(slot, chart, scene, chart.health.type if chart else health.type)


def _instance(
    slot: SlotStatus, chart: SlotHealth | None, scene: Scene, check_type: str
) -> HealthKeys:
    last = chart.last if chart else None
    return HealthKeys(
        service=slot.slot.service,
        instance=str(slot.slot),
        timestamp=_at(last.at, scene) if last else None,
        status=standing.health_word(slot, scene, is_checked=True),
        response_time=_span(last.took) if last else None,
        check_type=check_type,
        passed=last.ok if last else None,
        error=last.detail if last and not last.ok else None,
        metadata={**last.facts, "tries": last.tries} if last else {},
        consecutive_failures=chart.failures if chart else 0,
        consecutive_successes=chart.successes if chart else 0,
        next_check=_at(chart.due, scene) if chart else None,
        history=[_checked(one, scene) for one in chart.history] if chart else [],
    )


def _checked(one: Checked, scene: Scene) -> CheckedKeys:
    return CheckedKeys(
        timestamp=_at(one.at, scene),
        status=standing.VERDICT_WORDS[one.verdict],
        passed=one.ok,
        response_time=_span(one.took),
        error=None if one.ok else one.detail,
        late=_span(one.late),
    )


def _at(moment: Nanos, scene: Scene) -> str:
    return timestamp(scene.wall_at(moment))


def _span(span: Nanos) -> float:
    return round(in_seconds(span), 6)
