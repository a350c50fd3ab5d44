"""Put events and decisions into words, for transcripts and for the messages of failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from reconciler.model.event import (
    Asked,
    Command,
    Decision,
    Errand,
    Event,
    Exited,
    FilesChanged,
    HealthTold,
    HostLooked,
    HostLost,
    LookAtHost,
    ManifestsHeld,
    ManifestsRead,
    Measured,
    NextTime,
    Notified,
    Probe,
    ProbeAnswered,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TimeTold,
    TreeEmptied,
)
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.observed import Notice, Process, Role, Slot
from reconciler.model.overlay import LayOver, TakeAway
from reconciler.model.put_right import ProcessSeen, PutRight
from reconciler.model.units import Nanos, amount, in_seconds, seconds

ZERO = seconds(100)
"""When the small worlds begin."""
_SILENT = {
    "service.reloading",
    "service.starting",
    "service.ready",
    "service.stopping",
    "service.stopped",
}
"""Happenings that the transition beside them tells as well."""


def in_words(events: Iterable[Event], decision: Decision, now: Nanos) -> Iterator[str]:
    """Tell one step: what came in, what changed, what is told, what is to be done."""
    time = f"{in_seconds(now):8.3f}"
    for event in events:
        yield f"{time}  < {_event(event)}"
    for transition in decision.transitions:
        change = f"{transition.before} -> {transition.after}"
        yield f"{time}    {transition.slot}: {change} ({transition.reason})"
    for happening in decision.happenings:
        if happening.kind not in _SILENT:
            subject = happening.slot or happening.service
            what = f"{happening.kind} {subject}" if subject else happening.kind
            yield f"{time}    * {what}: {happening.reason}"
    for command in decision.commands:
        yield f"{time}  > {_command(command)}"
    if decision.finished:
        yield f"{time}    finished"


def _event(event: Event) -> str:  # noqa: C901, PLR0912 - one arm for each event
    match event:
        case ManifestsRead(manifests=found):
            parts = [", ".join(sorted(found.definitions)) or "none"]
            parts += [f"{name} is invalid" for name in sorted(found.invalid)]
            parts += [f"{file} cannot be read" for file in sorted(found.broken_files)]
            return f"manifests: {'; '.join(parts)}"
        case ManifestsHeld(because=why):
            return f"manifests held: {why}"
        case HostLooked(look=look):
            return f"looked: {', '.join(map(_process, look.processes)) or 'nothing'}"
        case HostLost(because=why):
            return f"host lost: {why}"
        case Spawned(process=process):
            return f"spawned {_process(process)}"
        case SpawnFailed(slot=slot, because=why, is_busy=busy, is_short=short, is_taken=taken):
            what = "no room for" if short else "no address for" if taken else "cannot start"
            return f"{'busy' if busy else what} {slot}: {why}"
        case Exited(run=run, slot=slot, exit=end, role=role):
            return f"{place(slot, role)} ({run}) {end}"
        case TreeEmptied(run=run, slot=slot, role=role):
            return f"{place(slot, role)} ({run}) is gone"
        case Notified(slot=slot, run=run, notice=notice):
            return f"{slot} ({run}) says {_said(notice)}"
        case SignalAnswered(slot=slot, problem=problem):
            return f"signalled {slot}" + (f": {problem}" if problem else "")
        case ProbeAnswered(slot=slot, passed=passed, detail=detail):
            return f"probed {slot}: {'passed' if passed else detail}"
        case SocketsClosed(service=name, problem=problem):
            return f"closed sockets of {name}" + (f": {problem}" if problem else "")
        case TimeTold(service=name, passed=passed, label=label, problem=problem):
            said = problem or (f"{passed} passed, the last {label}" if passed else "none passed")
            return f"times of {name}: {said}"
        case Measured(slot=slot, memory=memory, cpu=cpu):
            used = [f"{amount(memory)}"] if memory is not None else []
            used += [f"{cpu:g} cores"] if cpu is not None else []
            return f"{slot} uses {', '.join(used)}"
        case HealthTold(slot=slot, run=run, verdict=verdict, reason=why):
            return f"checks of {slot} ({run}): {verdict}" + (f": {why}" if why else "")
        case ProcessSeen(slot=slot, is_halted=is_halted, nice=nice):
            return f"{slot} is {'stopped' if is_halted else 'not stopped'}, with nice {nice}"
        case FilesChanged(service=name, files=files):
            return f"{', '.join(files)} of {name} changed"
        case LayOver(overlays=overlays):
            return f"for a while: {', '.join(one.name for one in overlays)}"
        case TakeAway(services=names):
            return f"no more: {' '.join(names)}"
        case Asked(operation=operation):
            return f"asked: {operation.kind} {' '.join(operation.services)}".rstrip()
        case _:
            assert_never(event)


def _said(notice: Notice) -> str:
    """Tell the whole state that a run gives of itself."""
    parts = [
        *(["ready"] if notice.ready else []),
        *(["reloading"] if notice.reloading else []),
        *(["stopping"] if notice.stopping else []),
        *(["failed"] if notice.failed else []),
        *([f"alive at {in_seconds(Nanos(notice.pinged - ZERO)):g}"] if notice.pinged else []),
        *([f"until {in_seconds(Nanos(notice.extended - ZERO)):g}"] if notice.extended else []),
        *([f'"{notice.status}"'] if notice.status else []),
    ]
    return ", ".join(parts) or "nothing"


def _process(process: Process) -> str:
    name = place(process.slot, process.role)
    if process.exit is None:
        return f"{name} ({process.run})"
    rest = "" if process.tree_empty else ", children left"
    return f"{name} ({process.run}, {process.exit}{rest})"


def place(slot: Slot, role: Role = Role.MAIN) -> str:
    """Name a slot, or the place of its hooks."""
    return str(slot) if role is Role.MAIN else f"the {role.in_words} of {slot}"


def _command(command: Command) -> str:
    match command:
        case Spawn(slot=slot, because=why, errand=errand):
            return f"start {slot}: {why}" if errand is None else _errand(slot, errand)
        case Signal(slot=slot, run=run, signal=name, scope=scope, because=why):
            return f"{name} to the {scope} of {slot} ({run}): {why}"
        case PutRight(slot=slot, run=run, resumes=resumes, nice=nice, because=why):
            what = ["let it go on"] if resumes else []
            what += [f"renice it to {nice}"] if nice is not None else []
            return f"put {slot} ({run}) right: {', '.join(what)} ({why})"
        case Probe(slot=slot, run=run):
            return f"probe {slot} ({run})"
        case LookAtHost():
            return "look"
        case CloseSockets(service=name, addresses=addresses):
            return f"close {', '.join(addresses)} of {name}"
        case NextTime(service=name):
            return f"ask the clock for {name}"
        case _:
            assert_never(command)


def _errand(slot: Slot, errand: Errand) -> str:
    told = [f"{key}={value}" for key, value in errand.env.items() if value]
    words = " ".join([*errand.hook.command, *(["with", *told] if told else [])])
    return f"run the {errand.role.in_words} of {slot}: {words}"
