"""Settle what was read against what was wanted before: invalid is not deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.graph import cycle_through, knotted
from reconciler.model.desired import Definition, Desired, ManifestSet, Wanted
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.record import ServiceMemory
from reconciler.model.units import ServiceName

CYCLE = "W303"
"""The code of a cycle in the manifests' table of faults."""

Owned = Mapping[ServiceName, ServiceMemory]


def settle(manifests: ManifestSet, owned: Owned) -> Desired:
    """Give the desired state: valid manifests as read, broken ones at their last good spec.

    A service that no file defines, and whose last file is readable, is wanted no more.
    """
    services: dict[ServiceName, Wanted] = {}
    for name, definition in manifests.definitions.items():
        services[name] = _good(owned.get(name), definition)
    for name, faults in manifests.invalid.items():
        services[name] = _frozen(owned.get(name), faults)
    for name, memory in owned.items():
        broken = manifests.broken_files.get(memory.source.file)
        if broken and name not in services:
            services[name] = _frozen(memory, broken)
    diagnostics = manifests.diagnostics
    if manifests.invalid or manifests.broken_files:
        diagnostics = tuple(sorted({*diagnostics, *_untie(services, owned)}))
    return Desired(
        revision=manifests.revision,
        services={name: services[name] for name in sorted(services)},
        diagnostics=diagnostics,
        broken_files=tuple(sorted(manifests.broken_files)),
    )


def _good(memory: ServiceMemory | None, definition: Definition) -> Wanted:
    """Want a valid spec; one that is in force already is the same object, quick to compare."""
    spec = definition.spec
    if memory is not None and memory.spec.protect and spec.protect is None:
        # Who deletes the line has not said that the service may go.
        spec = replace(spec, protect=True)
    if memory is not None and (memory.spec == spec or (spec.awaits_port and memory.spec.port)):
        # A version without a port is none yet: what runs goes on until one is picked.
        spec = memory.spec
    return Wanted(spec=spec, source=definition.source, left_out=definition.left_out)


def _frozen(memory: ServiceMemory | None, faults: tuple[Diagnostic, ...]) -> Wanted:
    """Keep the last good spec and its place; where there is none, point at the fault."""
    if memory is None:
        place = faults[0].source if faults else Source(file="")
        return Wanted(spec=None, source=place, invalid=faults)
    return Wanted(spec=memory.spec, source=memory.source, invalid=faults)


def _untie(services: dict[ServiceName, Wanted], owned: Owned) -> list[Diagnostic]:
    """Freeze what would need itself through a service that is frozen at an older version.

    What is in force has no cycle, so each round freezes a new version, or there is no cycle left.
    """
    found: list[Diagnostic] = []
    while True:
        needs = {
            name: [need.service for need in wanted.spec.needs] if wanted.spec else []
            for name, wanted in services.items()
        }
        fresh = sorted(name for name in knotted(needs) if not services[name].invalid)
        if not fresh:
            return found
        while fresh:
            way = cycle_through(needs, fresh[0])
            for at, name in enumerate(way):
                if name in fresh:
                    fault = _cycle_fault(services[name].source, (*way[at:], *way[:at], name))
                    services[name] = _frozen(owned.get(name), (fault,))
                    fresh.remove(name)
                    # One cycle is one thing to mend.
                    found += () if at else (fault,)


def _cycle_fault(place: Source, way: tuple[ServiceName, ...]) -> Diagnostic:
    text = f"services need each other: {' -> '.join(way)}"
    mend = "mend the manifests of the others that are invalid, or remove one of these needs"
    return Diagnostic(source=place, code=CYCLE, message=text, mend=mend)
