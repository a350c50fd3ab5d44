"""What a daemon makes of the manifests it read: those it was told to run, and what they load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.manifest.codes import Code
from reconciler.model.desired import Definition, ManifestSet
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.spec import DesiredState
from reconciler.model.units import ServiceName


def _left_out(found: Definition) -> Definition:
    if not found.spec.wants_to_run:
        return found
    return replace(found, spec=replace(found.spec, state=DesiredState.STOPPED), left_out=True)


def chosen(manifests: ManifestSet, only: frozenset[ServiceName]) -> ManifestSet:
    """Let all services but these and what they need count as stopped; none named: all run."""
    if not only:
        return manifests
    wanted: set[ServiceName] = set()
    waiting = [name for name in only if name in manifests.definitions]
    while waiting:
        name = waiting.pop()
        if name not in wanted and name in manifests.definitions:
            wanted.add(name)
            waiting += [need.service for need in manifests.definitions[name].spec.needs]
    definitions = {
        name: found if name in wanted else _left_out(found)
        for name, found in manifests.definitions.items()
    }
    return replace(manifests, definitions=definitions)


def loaded_files(manifests: ManifestSet) -> frozenset[str]:
    """Give the files that any service loads (`reloadOn`)."""
    specs = (found.spec for found in manifests.definitions.values())
    return frozenset(path for spec in specs for path in spec.reload_on)


def with_contents(
    manifests: ManifestSet, hashes: Mapping[str, str], problems: Mapping[str, str]
) -> ManifestSet:
    """Note in each spec what the files hold that it loads, and warn of those not to be had."""
    definitions = dict(manifests.definitions)
    warnings = []
    for name, found in manifests.definitions.items():
        paths = found.spec.reload_on
        if paths:
            loads = {path: hashes[path] for path in paths if path in hashes}
            definitions[name] = replace(found, spec=replace(found.spec, loads=loads))
            warnings += [_unloadable(found.source, p, problems[p]) for p in paths if p in problems]
    diagnostics = tuple(sorted((*manifests.diagnostics, *warnings)))
    return replace(manifests, definitions=definitions, diagnostics=diagnostics)


def _unloadable(source: Source, path: str, problem: str) -> Diagnostic:
    return Diagnostic(
        source=source,
        code=Code.NO_RELOAD_FILE,
        message=f"a change of {path} (reloadOn) cannot be seen: {problem}",
        mend="bring the file back, or name another; a folder is named file by file",
        is_warning=True,
    )
