"""Say how a service stands, as people take it: as wanted, on its way, or in need of an eye."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from reconciler.model.health import Verdict
from reconciler.model.observed import State
from reconciler.model.status import Health, Picture, ServiceStatus, SlotStatus, Sync
from reconciler.model.units import Nanos, in_seconds
from reconciler.ports import Usage
from reconciler.runtime.checked import SlotHealth
from reconciler.runtime.control import Scene

VERDICT_WORDS = {
    Verdict.UNKNOWN: None,
    Verdict.HEALTHY: "healthy",
    Verdict.FAILING: "unhealthy",
    Verdict.DEGRADED: "degraded",
}
"""How scripts are told what checks come to."""


def is_as_wanted(service: ServiceStatus) -> bool:
    """Tell whether nothing about a service asks for attention or patience."""
    return service.sync is Sync.SYNCED and service.health in {Health.HEALTHY, Health.STOPPED}


def troubled_first(services: Iterable[ServiceStatus]) -> list[ServiceStatus]:
    """Order services for people: trouble, then what is on its way, then the rest, as given."""
    return sorted(services, key=_rank)


def ago(moment: Nanos, scene: Scene) -> float:
    """Give the seconds that have passed since a point of the boot clock."""
    return max(0.0, in_seconds(Nanos(scene.picture.now - moment)))


def uptime(slot: SlotStatus, scene: Scene) -> float | None:
    """Give the seconds that a slot's process has run; None where its main process is gone."""
    if slot.process is None or slot.process.exit is not None:
        return None
    return ago(slot.process.started, scene)


def chart_of(slot: SlotStatus, scene: Scene) -> SlotHealth | None:
    """Give what is known of how a slot's process is; None where it is not checked."""
    chart = scene.charts.slots.get(slot.slot)
    is_its = chart is not None and slot.process is not None and chart.run == slot.process.run
    return chart if is_its else None


def health_word(slot: SlotStatus, scene: Scene, *, is_checked: bool) -> str | None:
    """Say how a slot is: `healthy`, `degraded` or `unhealthy`; None where nobody knows."""
    if slot.state in (State.CRASHED, State.DEGRADED):
        return "unhealthy" if slot.state is State.CRASHED else "degraded"
    chart = chart_of(slot, scene)
    if chart is not None and slot.state is State.RUNNING:
        return VERDICT_WORDS[chart.verdict]
    is_fine = slot.state is State.RUNNING and slot.ready and not is_checked
    return "healthy" if is_fine else None


def own_words(slot: SlotStatus) -> str:
    """Give what a live process says of itself, with the error that it named."""
    notice = slot.notice
    error = f"error {notice.errno} ({os.strerror(notice.errno)})" if notice.errno else ""
    return "; ".join(filter(None, (notice.status, error)))


def own_slots(service: ServiceStatus) -> Sequence[SlotStatus]:
    """Give the slots that a service has by itself; all that are left of one that is gone."""
    if service.spec is None or service.desired is None:
        return service.slots
    return [slot for slot in service.slots if slot.slot.index < service.spec.instances]


def running(slots: Iterable[SlotStatus]) -> int:
    """Count the slots that run."""
    return sum(slot.state in {State.RUNNING, State.DEGRADED} for slot in slots)


def usage_of(service: ServiceStatus, scene: Scene) -> list[Usage]:
    """Give what the service's slots use, those that were measured."""
    found: list[Usage] = []
    for status in service.slots:
        measured = scene.usage.get(status.slot)
        if measured is not None:
            found.append(measured)
    return found


def listening(measured: Iterable[Usage]) -> list[str]:
    """Give the addresses that something listens on, each once, in the order found."""
    return list(dict.fromkeys(address for usage in measured for address in usage.listening))


def several(services: Iterable[ServiceStatus]) -> frozenset[str]:
    """Name the services that have more than one slot."""
    return frozenset(service.name for service in services if len(service.slots) > 1)


def troubles(scene: Scene) -> list[str]:
    """Say what is wrong that no single service shows, a sentence each."""
    picture = scene.picture
    said = []
    if picture.source_held:
        said.append(f"the manifests are not followed just now: {picture.source_held}")
    if picture.host_unseen:
        said.append(f"the host cannot be seen just now: {picture.host_unseen}")
    if picture.prune is not None and not picture.prune.approved:
        said.append(f"{picture.prune.because}: `weaver prune approve {picture.prune.id}`")
    return [*said, *scene.daemon.troubles]


def faults(picture: Picture) -> list[str]:
    """Give the manifests' errors, one line each, by place."""
    return [
        f"{fault.source}: {fault.code} {fault.message}"
        for fault in sorted(picture.diagnostics)
        if not fault.is_warning
    ]


def _rank(service: ServiceStatus) -> int:
    """Give a service's place in line: 0 for trouble, 3 for what is wanted stopped and is."""
    if is_as_wanted(service):
        return 3 if service.health is Health.STOPPED else 2
    calm = service.health in {Health.PROGRESSING, Health.HEALTHY, Health.STOPPED}
    return 1 if calm and service.sync is not Sync.INVALID else 0
