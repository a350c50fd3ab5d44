"""Show one service on a page of its own: how it is, why, and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.api import rollout_text
from reconciler.api.health_text import last_check
from reconciler.api.human import (
    NOTHING,
    clip,
    clock,
    commit,
    count,
    listing,
    percent,
    plain,
    size,
    span,
    span_in_words,
    uncoloured,
)
from reconciler.api.page import Column, Page, Paint, paint, table, wrap
from reconciler.api.standing import ago, chart_of, listening, own_words, uptime, usage_of
from reconciler.api.status_text import PAINTS, state_text
from reconciler.core.pointers import Pointers
from reconciler.manifest import durations
from reconciler.model.log import LogLine
from reconciler.model.observed import Exit, Process, Slot
from reconciler.model.spec import CatchUp, Need, Overlap, Schedule, ServiceSpec
from reconciler.model.status import ServiceStatus, SlotStatus
from reconciler.model.units import amount
from reconciler.ports import LogEntry
from reconciler.runtime.control import Scene
from reconciler.runtime.measuring import in_force
from reconciler.runtime.reasons import spoken

LABEL_WIDTH = 12
LAST_LINES = 5
MOST_EXITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What the page adds to the status: where the manifest comes from, what the service said."""

    commit: LogEntry | None = None
    """The last commit that touched the manifest."""
    log: Sequence[LogLine] = ()
    pointers: Pointers | None = None
    """How far it has come along its history."""


def details_text(scene: Scene, service: ServiceStatus, background: Background, page: Page) -> str:
    """Give the page of one service."""
    blocks = [
        _head(service, page),
        [
            line
            for label, text in _facts(scene, service, background)
            for line in _fact(label, text, page)
        ],
        _instances(scene, service, page) if service.slots else [],
        _log(scene, service, background, page),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(service: ServiceStatus, page: Page) -> list[str]:
    """Give the name, the state in three words, and what the manifest says it is."""
    colour = PAINTS[service.health]
    words = f"{state_text(service)}, {service.health}, {service.sync}"
    lines = [f"{paint(plain(service.name), Paint.BOLD, page)}  {paint(words, colour, page)}"]
    spec = service.spec
    if spec is not None:
        about = [spec.display_name, spec.version, spec.description]
        lines += wrap(" - ".join(plain(text) for text in about if text), page, indent="  ")
    return lines


def _facts(
    scene: Scene, service: ServiceStatus, background: Background
) -> Iterator[tuple[str, str]]:
    """Give what is known, each fact with its label; what there is nothing to say of is left out."""
    yield from _reasons(scene, service)
    for slot in service.slots:
        which = f"{slot.slot}: " if len(service.slots) > 1 else ""
        for label, text in _slot_facts(scene, slot):
            yield label, which + text
    if service.spec is not None:
        yield from _wishes(service.spec)
        if limits := _limits(service.spec, scene):
            yield "limits", limits
        if way := scene.ways.get("main"):
            yield "held in", way.text if way.version else f"a session with a mark ({way.text})"
    if service.needed_by:
        yield "needed by", listing(service.needed_by)
    for slot in _last_to_end(service.slots):
        which = f"{slot.slot}: " if len(service.slots) > 1 else ""
        yield "last exit", which + exit_text(slot.last_exit, scene)
    if addresses := listening(usage_of(service, scene)):
        yield "listens on", ", ".join(addresses)
    yield from _origin(scene, service, background)


def _slot_facts(scene: Scene, slot: SlotStatus) -> Iterator[tuple[str, str]]:
    """Give what a slot says, what runs beside it, and what its check says."""
    if words := own_words(slot):
        yield "says", words
    for hook in slot.errands:
        yield "runs", _errand(hook, scene)
    if chart := chart_of(slot, scene):
        yield "check", last_check(chart, scene)


def _errand(process: Process, scene: Scene) -> str:
    """Say which hook runs, and since when."""
    for_how_long = span_in_words(ago(process.started, scene))
    return f"its {process.role.in_words} (pid {process.id.pid}), for {for_how_long}"


def _reasons(scene: Scene, service: ServiceStatus) -> Iterator[tuple[str, str]]:
    """Say why the service is as it is, and what is wanted of it."""
    if why := spoken(service, scene.picture.now):
        yield "why", why
    for wait in service.waiting_for:
        since = service.waiting_since
        for_how_long = f", for {span_in_words(ago(since, scene))}" if since is not None else ""
        yield "waits for", f"{wait.service} to be {wait.condition or 'stopped'}{for_how_long}"
    for fault in service.invalid:
        mend = f"; mend: {fault.mend}" if fault.mend else ""
        yield "invalid", f"{fault.source}: {fault.code} {fault.message}{mend}"
    unwanted = "not known yet: see what is invalid" if service.invalid else "no more: no manifest"
    if (overlay := service.overlay) is not None:
        why = f": {overlay.reason}" if overlay.reason else ""
        until = clock(scene.wall_at(overlay.ends_at))
        yield "ephemeral", f"until {until}, by {overlay.actor}{why}; weaver revert {service.name}"
    for woe in _own_troubles(scene, service):
        yield "trouble", woe
    yield "wanted", service.desired or unwanted
    yield from rollout_text.summary(service)


def _own_troubles(scene: Scene, service: ServiceStatus) -> list[str]:
    """Give the troubles of the daemon that are about this service's instances."""
    own = tuple(f"{slot.slot} " for slot in service.slots)
    return [woe for woe in scene.daemon.troubles if woe.startswith(own)]


def _wishes(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    """Say what the manifest asks for."""
    if spec.command:
        yield "command", " ".join([*spec.interpreter, *spec.command, *spec.args])
    if spec.needs:
        yield "needs", ", ".join(map(_need, spec.needs))
    if spec.schedule is not None:
        yield "schedule", _schedule(spec.schedule)
    if spec.labels:
        yield "labels", ", ".join(f"{key}={value}" for key, value in sorted(spec.labels.items()))


def _schedule(schedule: Schedule) -> str:
    """Say when a oneshot runs, and what is done beyond the plainest."""
    zone = f" ({schedule.timezone})" if schedule.timezone else ""
    every = "" if schedule.every is None else f"every {durations.write(schedule.every)}"
    overlap = "" if schedule.overlap is Overlap.SKIP else f", overlap: {schedule.overlap}"
    catch_up = "" if schedule.catch_up is CatchUp.NONE else f", catchUp: {schedule.catch_up}"
    return f"{every or schedule.cron}{zone}{overlap}{catch_up}"


def _limits(spec: ServiceSpec, scene: Scene) -> str:
    """Give each limit, and who sees to it."""
    shown = {
        "memory": f"maxMemory {amount(spec.max_memory or 0)}",
        "cpu": f"maxCpu {spec.max_cpu or 0:g}",
        "pids": f"pidsMax {spec.pids_max}",
    }
    keepers = in_force(spec, scene.ways) if scene.ways else []
    return ", ".join(f"{shown[purpose]} ({keeper})" for purpose, keeper in keepers)


def _last_to_end(slots: Sequence[SlotStatus]) -> list[SlotStatus]:
    """Give the slots whose processes ended last, the latest first."""
    ended = [slot for slot in slots if slot.last_exit is not None]
    ended.sort(key=lambda slot: slot.last_exit.at if slot.last_exit else 0, reverse=True)
    return ended[:MOST_EXITS]


def _origin(
    scene: Scene, service: ServiceStatus, background: Background
) -> Iterator[tuple[str, str]]:
    """Say which file, whose commit."""
    if service.source.file:
        yield "defined in", f"{service.source.file}:{service.source.line}"
    if background.commit is not None:
        yield "revision", _commit(background.commit, scene)
    if service.source.file in scene.picture.revision.dirty:
        yield "", "and saved changes that are not committed yet"
    if behind := _behind(scene, background.pointers):
        yield "commits", behind


def _behind(scene: Scene, found: Pointers | None) -> str:
    """Say which commits are tried, applied and healthy, where one of them is not the head."""
    head = scene.picture.revision.commit
    if found is None or not head or {found.attempted, found.applied, found.healthy} == {head}:
        return ""
    steps = {
        "followed": head,
        "tried": found.attempted,
        "applied": found.applied,
        "healthy": found.healthy,
    }
    return ", ".join(f"{word} {commit(at) if at else NOTHING}" for word, at in steps.items())


def _need(need: Need) -> str:
    """Give a need with the condition that it must meet."""
    return f"{need.service} ({need.condition}{'' if need.required else ', not required'})"


def _commit(entry: LogEntry, scene: Scene) -> str:
    """Give a commit as people refer to it: short name, author, age, subject."""
    age = span_in_words(max(0.0, scene.wall - entry.at))
    return f"{commit(entry.commit)} by {entry.author} {age} ago: {entry.subject}"


def _fact(label: str, text: str, page: Page) -> list[str]:
    """Give one fact; long ones run on under their beginning."""
    indent = " " * (LABEL_WIDTH + 2)
    lines = wrap(plain(text), page, indent)
    if lines:
        lines[0] = f"  {paint(f'{label:<{LABEL_WIDTH}}', Paint.DIM, page)}{lines[0][len(indent) :]}"
    return lines


def _instances(scene: Scene, service: ServiceStatus, page: Page) -> list[str]:
    """Give a table of the slots."""
    slots = service.slots
    ups = [uptime(slot, scene) for slot in slots]
    columns = [
        Column(title="INSTANCE", texts=[plain(str(slot.slot)) for slot in slots], floor=8),
        Column(title="STATE", texts=[slot.state for slot in slots]),
        Column(title="PID", texts=[_pid(slot) for slot in slots], right=True),
        Column(title="UP", texts=[NOTHING if u is None else span(u) for u in ups], right=True),
        Column(title="RESTARTS", texts=[str(s.restarts) for s in slots], right=True, expendable=1),
        Column(title="CPU", texts=[_cpu(s.slot, scene) for s in slots], right=True, expendable=3),
        Column(
            title="MEM", texts=[_memory(s.slot, scene) for s in slots], right=True, expendable=2
        ),
    ]
    inner = Page(width=page.width - 2, colour=page.colour)
    return [f"  {line}" for line in table(columns, inner)]


def exit_text(ended: Exit | None, scene: Scene) -> str:
    """Say how a process ended and how long ago."""
    if ended is None:
        return NOTHING
    return f"{plain(str(ended))}, {span_in_words(ago(ended.at, scene))} ago"


def _pid(slot: SlotStatus) -> str:
    return NOTHING if slot.process is None else str(slot.process.id.pid)


def _cpu(slot: Slot, scene: Scene) -> str:
    measured = scene.usage.get(slot)
    return NOTHING if measured is None else percent(measured.cpu_percent)


def _memory(slot: Slot, scene: Scene) -> str:
    measured = scene.usage.get(slot)
    return NOTHING if measured is None else size(measured.rss)


def _log(scene: Scene, service: ServiceStatus, background: Background, page: Page) -> list[str]:
    """Give the last lines of the log, and where the rest is."""
    lines = background.log[-LAST_LINES:]
    if not lines and any(" its log" in woe for woe in _own_troubles(scene, service)):
        # It did say something; the trouble tells where that is.
        return []
    if not lines:
        return [f"  nothing logged yet: `weaver logs {plain(service.name)} -f` waits for it"]
    title = f"  last {count(len(lines), 'line')} (`weaver logs {plain(service.name)}` shows more)"
    room = max(1, page.width - 4)
    shown = [clip(uncoloured(line.raw or line.message).rstrip(), room) for line in lines]
    return [paint(clip(title, page.width), Paint.DIM, page), *(f"    {line}" for line in shown)]
