"""Work a request out: what to write, for which services, and whether that is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from reconciler.manifest.intent import Intent, PutService
from reconciler.model.spec import DesiredState
from reconciler.model.units import ServiceName
from reconciler.ports import ConflictError, Drafts, ManifestError
from reconciler.runtime import guards, intents
from reconciler.runtime.guards import Services
from reconciler.runtime.requests import (
    Apply,
    Change,
    PutManifest,
    Restore,
    Scale,
    SetValues,
    StartServices,
    StopServices,
    UndoLast,
    Unregister,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A request, worked out: what to write, for which services, in which words."""

    op: str
    what: str
    """For the commit's subject: `set env.PORT=8001`."""
    services: tuple[ServiceName, ...]
    intents: tuple[Intent, ...] = ()
    released: tuple[ServiceName, ...] = ()
    """Services whose removal was asked for by name."""
    retried: tuple[ServiceName, ...] = ()
    """Services that are wanted already, to be started now."""
    hurried: tuple[ServiceName, ...] = ()
    """Services that are to be stopped at once."""
    notes: tuple[str, ...] = ()
    """Sentences for the person, told before anything is written."""
    id: str = ""
    """What `Weaver-Op-Id` says of it."""


async def work_out(request: Change, services: Services, drafts: Drafts) -> Task:
    """Give what a request comes to. Raises WeaverError where it is wrong or a guard forbids it."""
    task = await _worked_out(request, services, drafts)
    is_brief = isinstance(request, Apply | StopServices) and request.lasts > 0
    # A manifest that is written anew is there again; nothing else can be changed without one.
    without = [one.service for one in task.intents if is_brief or not isinstance(one, PutService)]
    guards.is_still_defined(task.op, dict.fromkeys(without), services)
    return task


async def _worked_out(  # noqa: C901 - one arm for each request
    request: Change, services: Services, drafts: Drafts
) -> Task:
    match request:
        case Apply():
            documents = await _documents(request, drafts)
            names = tuple(name for name, _ in documents)
            return Task(op="apply", what="apply", services=names, intents=intents.put(documents))
        case SetValues(service=name, assignments=assignments):
            guards.known((name,), services)
            return Task(
                op="set",
                what=intents.told(assignments),
                services=(name,),
                intents=intents.assign(name, assignments),
            )
        case Scale(counts=counts):
            return _scale(counts, services)
        case PutManifest():
            return await _put(request, services, drafts)
        case Restore(service=name, text=text, commit=commit):
            guards.known((name,), services)
            return Task(
                op="rollback",
                what=f"go back to {commit[:7]}, a new version failed",
                services=(name,),
                intents=intents.put(((name, text),), verbatim=True),
            )
        case Unregister(services=names, cascade=cascade):
            guards.known(names, services)
            if not cascade:
                guards.may_remove(names, services)
            everyone = (*guards.dependents(names, services), *names)
            guards.is_still_defined("unregister", everyone, services)
            guards.may_go("unregister", everyone, services)
            return Task(
                op="unregister",
                what="unregister",
                services=everyone,
                intents=intents.remove(everyone),
                released=everyone,
            )
        case StartServices(services=names):
            guards.known(names, services)
            return _start(names, services)
        case StopServices():
            return _stop(request, services)
        case UndoLast():
            return Task(op="undo", what="undo", services=())
        case _:
            assert_never(request)


async def _documents(request: Apply, drafts: Drafts) -> list[tuple[ServiceName, str]]:
    found: list[tuple[ServiceName, str]] = []
    for document in request.documents:
        found += await drafts.documents(document.text, document.path)
    names = [name for name, _ in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(
            f"cannot apply: {', '.join(twice)} is defined more than once in what was given",
            mend="give each service once",
        )
    if not found:
        raise ManifestError("cannot apply: no service is defined in what was given")
    return found


def _scale(counts: tuple[tuple[ServiceName, int], ...], services: Services) -> Task:
    """Write the number where it is another one; what is stopped gets it too, and stays stopped."""
    names = tuple(name for name, _ in counts)
    guards.may_scale(counts, services)
    specs = {name: services[name].spec for name in names}
    changed = [
        (name, count)
        for name, count in counts
        if (spec := specs[name]) is None or spec.instances != count or services[name].invalid
    ]
    stopped = [name for name, spec in specs.items() if spec is not None and not spec.wants_to_run]
    return Task(
        op="scale",
        what=intents.scaled(counts),
        services=names,
        intents=intents.number(changed),
        notes=tuple(f"{name} is not started: {services[name].why_stopped}" for name in stopped),
    )


async def _put(request: PutManifest, services: Services, drafts: Drafts) -> Task:
    name = request.service
    if request.create and name in services:
        raise ConflictError(
            f"cannot register {name}: it exists already ({services[name].source})",
            mend=f"weaver edit {name} changes it",
        )
    if not request.create:
        guards.known((name,), services)
    documents = await drafts.documents(request.text, f"{name}.yaml")
    if [found for found, _ in documents] != [name]:
        raise ManifestError(
            f"cannot write {name}: the text defines "
            f"{', '.join(found for found, _ in documents) or 'no service'}",
            mend=f"give one document with `name: {name}`",
        )
    op = "register" if request.create else "edit"
    asked = intents.put(documents, verbatim=not request.create)
    return Task(op=op, what=op, services=(name,), intents=asked)


def _start(names: tuple[ServiceName, ...], services: Services) -> Task:
    """Change what is not wanted to run; what is, and does not, is tried again."""
    is_wanted = {name: services[name].desired is DesiredState.RUNNING for name in names}
    return Task(
        op="start",
        what="start",
        services=names,
        intents=intents.want([name for name in names if not is_wanted[name]], "running"),
        retried=tuple(name for name in names if is_wanted[name]),
    )


def _stop(request: StopServices, services: Services) -> Task:
    names = request.services
    guards.known(names, services)
    if request.with_dependents:
        names = (*guards.dependents(names, services), *names)
    elif not request.only:
        guards.may_stop(names, services)
    return Task(
        op="stop",
        what="stop",
        services=names,
        intents=intents.want(names, "stopped"),
        hurried=names if request.now else (),
    )
