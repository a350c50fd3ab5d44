"""Put what all files say together: needs, names, cycles, env files.

Invalid is not deleted: whatever is wrong here freezes the services concerned, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.core.graph import cycle_through, knotted
from reconciler.manifest.codes import Code
from reconciler.manifest.digest import digest
from reconciler.manifest.envfile import EnvFile, read_env_file
from reconciler.manifest.result import FileResult, Reading
from reconciler.manifest.sharing import address_faults
from reconciler.manifest.suggest import did_you_mean
from reconciler.model.desired import Definition, ManifestSet, Revision
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.spec import Condition, Need
from reconciler.model.units import ServiceName

EnvFiles = Mapping[str, bytes | None]
"""Contents by path as manifests name them; None: not there. A path that is not a key could not
be looked at, as in a revision, where ignored files are not: it counts by its name alone."""

Readings = Mapping[ServiceName, Reading]
_NO_REVISION = Revision()


def assemble(
    files: Iterable[FileResult],
    revision: Revision = _NO_REVISION,
    *,
    env_files: EnvFiles | None = None,
    also: Iterable[Diagnostic] = (),
) -> ManifestSet:
    """Give the manifests of one revision; `also` are diagnostics of no manifest in particular."""
    results = sorted(files, key=lambda result: result.file)
    contents = env_files or {}
    readings, faults = _by_name(results)
    single = {name: found[0] for name, found in readings.items() if len(found) == 1}
    faults += _needs_faults(single, set(readings).union(_unread(results)), results)
    in_cycles, known_of = _cycle_faults(single)
    faults += in_cycles
    faults += _env_faults(single, contents)
    faults += address_faults(single)
    errors = [one for one in faults if not one[1].is_warning]
    invalid = _invalid(results, readings, [*errors, *known_of])
    broken = {result.file: result.faults for result in results if result.is_broken}
    found = {*also, *(fault for _, fault in faults)}
    found.update(diagnostic for result in results for diagnostic in result.diagnostics)
    return ManifestSet(
        revision=revision,
        definitions={
            name: _with_digest(reading.definition, contents)
            for name, reading in sorted(single.items())
            if name not in invalid
        },
        invalid=invalid,
        broken_files=broken,
        diagnostics=tuple(sorted(found)),
        files=tuple(result.file for result in results),
    )


Faults = list[tuple[ServiceName, Diagnostic]]


def _by_name(results: list[FileResult]) -> tuple[dict[ServiceName, list[Reading]], Faults]:
    """Collect the readings of each service, and name both places where there are two."""
    readings: dict[ServiceName, list[Reading]] = {}
    faults: Faults = []
    for result in results:
        for reading in result.readings:
            readings.setdefault(reading.definition.spec.name, []).append(reading)
    wrong = {name: result.file for result in results for name in result.invalid}
    for name, found in readings.items():
        places = [reading.definition.source for reading in found]
        for place in places:
            others = [str(other) for other in places if other != place]
            if name in wrong:
                others.append(wrong[name])
            if others:
                message = f"`{name}` is defined twice: here and in {' and '.join(others)}"
                mend = "give one of them another name, or delete it"
                faults.append((name, _fault(place, Code.DUPLICATE_NAME, message, mend)))
    return readings, faults


def _unread(results: list[FileResult]) -> Iterator[ServiceName]:
    """Give the services that are defined, but not well or not readably."""
    for result in results:
        yield from result.invalid
        yield from result.seeming


def _invalid(
    results: list[FileResult], readings: Mapping[ServiceName, list[Reading]], faults: Faults
) -> dict[ServiceName, tuple[Diagnostic, ...]]:
    """Give every service that cannot be used as written, with all that is wrong with it."""
    invalid: dict[ServiceName, list[Diagnostic]] = {}
    for result in results:
        for name, own in result.invalid.items():
            invalid.setdefault(name, []).extend(own)
        for name in result.seeming:
            if name not in readings:
                invalid.setdefault(name, []).extend(result.faults)
    for name, fault in faults:
        invalid.setdefault(name, []).append(fault)
    return {name: tuple(sorted(set(found))) for name, found in sorted(invalid.items())}


def _needs_faults(readings: Readings, known: set[ServiceName], results: list[FileResult]) -> Faults:
    unread = next((result.file for result in results if result.is_broken), "")
    faults: Faults = []
    for name, reading in sorted(readings.items()):
        for need in reading.definition.spec.needs:
            fault = _need_fault(name, reading, need, known, unread)
            if fault is None and need.condition is Condition.COMPLETED:
                fault = _never_completes(reading, readings.get(need.service))
            if fault is None and need.condition is Condition.HEALTHY:
                fault = _never_healthy(reading, readings.get(need.service))
            if fault is not None:
                faults.append((name, fault))
    return faults


def _need_fault(
    name: ServiceName, reading: Reading, need: Need, known: set[ServiceName], unread: str
) -> Diagnostic | None:
    """Say what is wrong with the name of a need; one that is not required may be missing."""
    place = _place(reading, f"dependsOn.{need.service}")
    if need.service == name:
        return _fault(place, Code.NEEDS_ITSELF, f"`{name}` needs itself", "remove it")
    if need.service in known:
        return None
    mend = did_you_mean(need.service, known - {name})
    if unread:
        mend = mend or f"if {unread} defines it, mend that file first"
    mend = mend or f"add a manifest with `name: {need.service}`, or remove the need"
    message = f"`{name}` needs `{need.service}`, which no manifest defines"
    if need.required:
        return _fault(place, Code.UNKNOWN_NEED, message, mend)
    message = f"{message}; it is not required, so `{name}` starts without it"
    return replace(_fault(place, Code.UNKNOWN_NEED, message, mend), is_warning=True)


def _never_completes(reading: Reading, need: Reading | None) -> Diagnostic | None:
    if need is None or need.definition.spec.is_oneshot:
        return None
    name = need.definition.spec.name
    message = f"`{name}` is no oneshot, so it never completes"
    mend = f"write `condition: ready`, or `type: oneshot` in {need.definition.source.file}"
    return _fault(_place(reading, f"dependsOn.{name}"), Code.NEVER_COMPLETES, message, mend)


def _never_healthy(reading: Reading, need: Reading | None) -> Diagnostic | None:
    """Refuse to wait for the check of what is not checked."""
    if need is None or need.definition.spec.health is not None:
        return None
    spec, file = need.definition.spec, need.definition.source.file
    message = f"`{spec.name}` has no healthCheck, so it never counts as healthy"
    mend = f"write `condition: ready`, or add `healthCheck:` in {file}"
    if spec.is_oneshot:
        message = f"`{spec.name}` is a oneshot, so it completes and is not healthy"
        mend = "write `condition: completed`"
    return _fault(_place(reading, f"dependsOn.{spec.name}"), Code.NEVER_HEALTHY, message, mend)


_CYCLES_NAMED = 20


def _cycle_faults(readings: Readings) -> tuple[Faults, Faults]:
    """Freeze every member of a cycle: the first is told of, the others know how it runs from them.

    One cycle is one thing to mend, wherever somebody begins to read it.
    """
    needs = {
        name: [need.service for need in reading.definition.spec.needs if need.service != name]
        for name, reading in readings.items()
    }
    left = knotted(needs)
    inner = {name: [need for need in needs[name] if need in left] for name in left}
    told: Faults = []
    known: Faults = []
    # Finding a cycle may take a walk through all of them.
    for _ in range(_CYCLES_NAMED if left else 0):
        path = cycle_through(inner, min(left))
        for at, name in enumerate(path):
            if name in left:
                fault = _cycle_fault(readings, (*path[at:], *path[:at], name))
                (known if at else told).append((name, fault))
        left -= set(path)
        if not left:
            break
    for name in sorted(left):
        place = readings[name].definition.source
        message = f"`{name}` is part of a cycle of needs, of which there are many"
        mend = "mend the cycles that are named first"
        told.append((name, _fault(place, Code.CYCLE, message, mend)))
    return told, known


def _cycle_fault(readings: Readings, way: tuple[ServiceName, ...]) -> Diagnostic:
    place = _place(readings[way[0]], f"dependsOn.{way[1]}")
    message = f"services need each other: {_way(way)}"
    return _fault(place, Code.CYCLE, message, "remove one of these needs")


_SHOWN_STEPS = 12


def _way(path: tuple[ServiceName, ...]) -> str:
    """Spell a path, its middle left out where it is long."""
    if len(path) <= _SHOWN_STEPS:
        return " -> ".join(path)
    skipped = len(path) - _SHOWN_STEPS
    shown = (*path[: _SHOWN_STEPS - 2], f"({skipped} more)", *path[-2:])
    return " -> ".join(shown)


def _env_faults(readings: Readings, contents: EnvFiles) -> Faults:
    faults: Faults = []
    read: dict[str, EnvFile] = {}
    for name, reading in sorted(readings.items()):
        for path in reading.definition.spec.env_file:
            if path not in contents:
                continue
            content = contents[path]
            place = _place(reading, f"envFile.{path}")
            if content is None:
                message = f"the env file {path} is not there, or cannot be read"
                mend = "create it; its path is relative to the repository"
                faults.append((name, _fault(place, Code.NO_ENV_FILE, message, mend)))
                continue
            found = read[path] = read.get(path) or read_env_file(content)
            if found.problem:
                message = f"the env file {path} cannot be used: line {found.line}: {found.problem}"
                mend = "write KEY=value lines; quotes must be closed"
                faults.append((name, _fault(place, Code.NO_ENV_FILE, message, mend)))
    return faults


def _with_digest(definition: Definition, contents: EnvFiles) -> Definition:
    spec = definition.spec
    return replace(definition, spec=replace(spec, digest=digest(spec, contents)))


def _place(reading: Reading, key: str) -> Source:
    """Give where a need or a file is named; a default of weaver.yaml has the service's place."""
    return reading.places.get(key, reading.definition.source)


def _fault(place: Source, code: Code, message: str, mend: str) -> Diagnostic:
    return Diagnostic(source=place, code=code, message=message, mend=mend)
