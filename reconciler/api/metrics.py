"""What Prometheus reads: each service's figures, and the daemon's own.

The families of services are written by hand, which for a thousand services takes a tenth of the
library's time and no memory between two scrapes; the daemon's own go through the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from reconciler.api.metrics_health import health_families
from reconciler.api.metrics_own import Counts, own_families
from reconciler.api.metrics_text import family, line
from reconciler.api.standing import uptime
from reconciler.model.observed import State
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, ServiceStatus, SlotStatus
from reconciler.ports import Usage
from reconciler.runtime.control import Control, Scene

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

RESTART_REASONS = (
    "crash",
    "health",
    "manual",
    "change",
    "dependency",
    "memory",
    "watchdog",
    "schedule",
)
"""Shown from the first scrape on, so that a rate is right from the first restart."""

RELOAD_REASONS = ("manual", "change")

_ALIVE = (State.RUNNING, State.DEGRADED)


class Exposition:
    """Gives the page that Prometheus reads."""

    def __init__(self, control: Control, counts: Counts) -> None:
        self._control = control
        self._counts = counts

    async def __call__(self) -> tuple[bytes, str]:
        """Give the page and its media type; it is written on a thread, beside the loop."""
        scene = await self._control.scene()
        return await asyncio.to_thread(page, scene, self._counts), MEDIA_TYPE


def page(scene: Scene, counts: Counts) -> bytes:
    """Give the whole page for one moment."""
    text = "".join(f"{row}\n" for row in service_families(scene, counts))
    return text.encode("utf-8", "replace") + own_families(scene, counts)


def service_families(scene: Scene, counts: Counts) -> Iterator[str]:
    """Give the lines of the families that have a series for each service."""
    services = list(scene.picture.services.values())
    yield from family("service_up", "gauge", "Whether every wanted slot of a service runs.")
    for service in services:
        version = service.spec.version if service.spec else ""
        yield line("service_up", int(is_up(service)), service=service.name, version=version)
    yield from family("service_uptime_seconds", "gauge", "Time since the youngest slot started.")
    for service in services:
        spans = [span for slot in service.slots if (span := uptime(slot, scene)) is not None]
        if spans:
            yield line("service_uptime_seconds", round(min(spans), 3), service=service.name)
    yield from family("service_restarts_total", "counter", "Starts in place of a former process.")
    for service in services:
        for reason, count in sorted(_restarts(service, counts).items()):
            yield line("service_restarts_total", count, service=service.name, reason=reason)
    name = "service_reloads_total"
    yield from family(name, "counter", "Reloads of a configuration by the process that runs.")
    for service in services:
        if service.spec is not None and service.spec.reload is not None:
            for reason, count in sorted(_reloads(service, counts).items()):
                yield line(name, count, service=service.name, reason=reason)
    yield from _usage_families([*_measured(services, scene)])
    yield from health_families(scene.charts.tallies)


def is_up(service: ServiceStatus) -> bool:
    """Tell whether every wanted slot runs; a oneshot that is done has done what was wanted."""
    if service.spec is None or service.desired is not DesiredState.RUNNING:
        return False
    if service.spec.is_oneshot and service.state is State.STOPPED:
        return service.health is Health.HEALTHY
    wanted = [slot for slot in service.slots if slot.slot.index < service.spec.instances]
    return len(wanted) == service.spec.instances and all(slot.state in _ALIVE for slot in wanted)


def _restarts(service: ServiceStatus, counts: Counts) -> dict[str, int]:
    return {**dict.fromkeys(RESTART_REASONS, 0), **counts.restarts.get(service.name, {})}


def _reloads(service: ServiceStatus, counts: Counts) -> dict[str, int]:
    return {**dict.fromkeys(RELOAD_REASONS, 0), **counts.reloads.get(service.name, {})}


def _measured(
    services: Iterable[ServiceStatus], scene: Scene
) -> Iterator[tuple[SlotStatus, str, Usage]]:
    """Give each slot that was measured, with its pid."""
    for service in services:
        for slot in service.slots:
            usage = scene.usage.get(slot.slot)
            if usage is not None and slot.process is not None:
                yield slot, str(slot.process.id.pid), usage


def _usage_families(measured: list[tuple[SlotStatus, str, Usage]]) -> Iterator[str]:
    name = "service_cpu_usage_percent"
    yield from family(name, "gauge", "CPU time of a slot's process tree, in percent of a core.")
    for slot, pid, usage in measured:
        yield line(name, usage.cpu_percent, service=slot.slot.service, pid=pid)
    name = "service_memory_bytes"
    yield from family(name, "gauge", "Memory of a slot's process tree.")
    for slot, pid, usage in measured:
        for kind, size in (("rss", usage.rss), ("pss", usage.pss), ("swap", usage.swap)):
            if size is not None:
                yield line(name, size, service=slot.slot.service, pid=pid, type=kind)
    name = "service_file_descriptors"
    yield from family(name, "gauge", "Open files of a slot's process tree.")
    for slot, pid, usage in measured:
        yield line(name, usage.file_descriptors, service=slot.slot.service, pid=pid)
