"""Situations that hypothesis makes up: what is wanted, was in force, and is found in slots."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from reconciler.core.settle import settle
from reconciler.model.observed import Exit, Process, ProcessId, State
from reconciler.model.plan import Situation
from reconciler.model.record import (
    Pending,
    PruneHold,
    ServiceMemory,
    SlotMemory,
    SlotRecord,
    Trouble,
)
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, Serial, ServiceName, seconds
from tests.core.building import manifests, place, slot
from tests.core.strategies import manifest_sets, some_of

NOW = seconds(1000)
EARLIER, LATER = seconds(900), seconds(1100)
TIMES = (EARLIER, LATER)


def memory_of(spec: ServiceSpec, restart_before: Nanos | None = None) -> ServiceMemory:
    return ServiceMemory(spec=spec, source=place(spec), restart_before=restart_before)


def process_in(
    spec: ServiceSpec,
    index: int,
    digest: Digest | None = None,
    *,
    started: Nanos = EARLIER,
    end: Exit | None = None,
) -> Process:
    number = 100 + sum(map(ord, spec.name)) * 10 + index
    return Process(
        slot=slot(spec.name, index),
        id=ProcessId(boot="boot", pid=number, born=number),
        run=RunId(f"run-{number}"),
        digest=digest or spec.digest,
        started=started,
        exit=end,
    )


@st.composite
def empty_records(draw: st.DrawFn, spec: ServiceSpec, index: int) -> SlotRecord:
    """Give a slot in which nothing runs: never used, done, backing off, given up, or asked for."""
    tried = draw(st.sampled_from((None, spec.digest, Digest("an older one"))))
    memory = SlotMemory(slot=slot(spec.name, index), tried=tried)
    kind = draw(st.sampled_from(("unused", "done", "backing off", "gave up", "asked for")))
    match kind:
        case "done":
            done = replace(memory, done=tried, done_at=draw(st.sampled_from((seconds(920), NOW))))
            return SlotRecord(memory=done, reason="completed (0)")
        case "backing off":
            trouble = Trouble(failures=2, retry_at=draw(st.sampled_from(TIMES)), because="it died")
            return SlotRecord(memory=replace(memory, trouble=trouble), state=State.CRASHED)
        case "gave up":
            trouble = Trouble(failures=3, gave_up=True, because="it died")
            return SlotRecord(memory=replace(memory, trouble=trouble), state=State.CRASHED)
        case "asked for":
            return SlotRecord(memory=memory, state=State.STARTING, pending=_pending())
        case _:
            return SlotRecord(memory=memory)


def _pending() -> Pending:
    return Pending(serial=Serial(7), overdue_at=LATER)


@st.composite
def live_records(draw: st.DrawFn, spec: ServiceSpec, index: int) -> SlotRecord:
    """Give a slot in which something runs: coming up, up, going, or left over."""
    digest = draw(st.sampled_from((spec.digest, spec.digest, Digest("an older one"))))
    started = draw(st.sampled_from((EARLIER, seconds(960))))
    process = process_in(spec, index, digest, started=started)
    restarted = draw(st.sampled_from((None, seconds(930))))
    memory = SlotMemory(slot=process.slot, tried=digest, newest=started, last_restart=restarted)
    record = SlotRecord(memory=memory, process=process)
    dead = replace(process, exit=Exit(at=seconds(990), code=1))
    deadline = draw(st.sampled_from(TIMES))
    kind = draw(
        st.sampled_from(("starting", "running", "running", "stopping", "left over", "unknown"))
    )
    match kind:
        case "starting":
            return replace(record, state=State.STARTING, deadline=deadline)
        case "stopping":
            return replace(
                record,
                state=State.STOPPING,
                deadline=deadline,
                process=draw(st.sampled_from((process, dead))),
                killed=draw(st.booleans()),
                pending=draw(st.sampled_from((None, None, _pending()))),
            )
        case "left over":
            swept = draw(st.booleans())
            state = draw(st.sampled_from((State.STOPPED, State.CRASHED)))
            limit = deadline if swept else None
            return replace(record, state=state, process=dead, swept=swept, deadline=limit)
        case "unknown":
            return replace(record, state=State.UNKNOWN, killed=True)
        case _:
            return replace(record, state=State.RUNNING)


def records(spec: ServiceSpec, index: int) -> st.SearchStrategy[SlotRecord]:
    return st.one_of(empty_records(spec, index), live_records(spec, index))


@st.composite
def slots_of(draw: st.DrawFn, spec: ServiceSpec) -> dict[int, SlotRecord]:
    indexes = draw(some_of(range(spec.instances + 1)))
    return {index: draw(records(spec, index)) for index in indexes}


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Give any situation whose parts agree with each other, be it reachable or not."""
    found, owned = draw(manifest_sets()), draw(manifest_sets())
    services = {
        spec.name: memory_of(spec, draw(st.sampled_from((None, None, seconds(950)))))
        for spec in owned
    }
    broken = draw(st.sampled_from((None, None, "a", "c")))
    good = [spec for spec in found if spec.name != broken]
    desired = settle(manifests(*good, invalid=[broken] if broken else []), services)
    for name, wanted in desired.services.items():
        if wanted.spec is not None and name not in services:
            services[name] = memory_of(wanted.spec)
    slots = {name: draw(slots_of(memory.spec)) for name, memory in services.items()}
    gone = tuple(sorted(services.keys() - desired.services.keys()))
    prune = PruneHold(
        id="abc", services=gone, because="all would be removed", approved=draw(st.booleans())
    )
    is_held = bool(gone) and draw(st.booleans())
    shutting_down = draw(st.sampled_from((False, False, False, True)))
    return Situation(
        now=NOW,
        desired=desired,
        services=services,
        slots={name: kept for name, kept in slots.items() if kept},
        prune=prune if is_held else None,
        shutting_down=shutting_down,
        hurry=shutting_down and draw(st.booleans()),
    )


def converged(*specs: ServiceSpec) -> Situation:
    """Give the situation in which these services run as wanted, or have done their work."""
    desired = settle(manifests(*specs), {})
    slots: dict[ServiceName, dict[int, SlotRecord]] = {}
    for spec in specs:
        width = spec.instances if spec.wants_to_run else 0
        for index in range(width):
            slots.setdefault(spec.name, {})[index] = as_wanted(spec, index)
    services = {spec.name: memory_of(spec) for spec in specs}
    return Situation(now=NOW, desired=desired, services=services, slots=slots)


def as_wanted(spec: ServiceSpec, index: int, *, started: Nanos = EARLIER) -> SlotRecord:
    """Give a slot that is just as its spec wants it."""
    memory = SlotMemory(slot=slot(spec.name, index), tried=spec.digest, newest=started)
    if spec.is_oneshot:
        return SlotRecord(memory=replace(memory, done=spec.digest, done_at=started))
    process = process_in(spec, index, started=started)
    return SlotRecord(memory=memory, state=State.RUNNING, process=process)
