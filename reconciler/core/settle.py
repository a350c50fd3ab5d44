"""Settle what was read against what was wanted before: invalid is not deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.model.desired import Desired, ManifestSet, Wanted
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.record import ServiceMemory
from reconciler.model.units import ServiceName


def settle(manifests: ManifestSet, owned: Mapping[ServiceName, ServiceMemory]) -> Desired:
    """Give the desired state: valid manifests as read, broken ones at their last good spec.

    A service that no file defines, and whose last file is readable, is wanted no more.
    """
    services: dict[ServiceName, Wanted] = {}
    for name, definition in manifests.definitions.items():
        services[name] = Wanted(spec=definition.spec, source=definition.source)
    for name, faults in manifests.invalid.items():
        services[name] = _frozen(owned.get(name), faults)
    for name, memory in owned.items():
        broken = manifests.broken_files.get(memory.source.file)
        if broken and name not in services:
            services[name] = _frozen(memory, broken)
    return Desired(
        revision=manifests.revision,
        services={name: services[name] for name in sorted(services)},
        diagnostics=manifests.diagnostics,
    )


def _frozen(memory: ServiceMemory | None, faults: tuple[Diagnostic, ...]) -> Wanted:
    """Keep the last good spec, pointing at the fault rather than at the old definition."""
    place = faults[0].source if faults else Source(file="")
    if memory is None:
        return Wanted(spec=None, source=place, invalid=faults)
    return Wanted(spec=memory.spec, source=replace(memory.source), invalid=faults)
