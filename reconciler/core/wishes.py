"""Say of every service what is wanted of it, so that no rule has to ask twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.core.backoff import ended_well, wants_restart
from reconciler.core.graph import reverse, topological
from reconciler.model.desired import Desired, why_stopped
from reconciler.model.observed import Process, ProcessId, Role, Slot, State
from reconciler.model.plan import Situation
from reconciler.model.record import PruneHold, Rollout, SlotMemory, SlotRecord
from reconciler.model.spec import Need, ServiceSpec
from reconciler.model.units import Nanos, ServiceName

_WAITED_FOR = (Role.PRE_START, Role.PRE_STOP, Role.POST_STOP)
NO_PROCESS = ProcessId(boot="", pid=0, born=0)
"""The target of a stop where only hooks run: the service's own process is not there yet."""
UP = (State.RUNNING, State.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of one service, after guards and shutdown were taken into account."""

    name: ServiceName
    spec: ServiceSpec | None
    """The spec to run, or the one that ran; None: nothing is known of it."""
    runs: bool
    """Whether processes are wanted."""
    is_gone: bool = False
    """Wanted no more, and nobody holds its removal."""
    is_invalid: bool = False
    left_out: bool = False
    """Stopped because the daemon runs others only."""
    prune_held: str = ""
    """Why its removal waits for a yes; it runs on meanwhile."""
    spared: str = ""
    """Why what runs of it is left alone, though no good manifest says that it should run."""

    rollout: Rollout | None = None

    @property
    def why_stopped(self) -> str:
        """Say why its manifest, if it is followed, asks for no processes."""
        return why_stopped(left_out=self.left_out)

    @property
    def instances(self) -> int:
        """Give the number of slots wanted, those of a rollout included."""
        surge = self.rollout.surge if self.rollout else 0
        return self.spec.instances + surge if self.runs and self.spec else 0

    def of(self, index: int) -> Wish:
        """Give what is wanted of one slot: the version that it has to run."""
        spec = self.spec if self.rollout is None else self.rollout.version(index)
        return self if spec is self.spec else replace(self, spec=spec)

    @property
    def needs(self) -> tuple[Need, ...]:
        """Give the needs of the spec."""
        return self.spec.needs if self.spec else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is wanted, in order: all of a board that stays the same from plan to plan."""

    desired: Desired
    prune: PruneHold | None
    shutting_down: bool
    rollouts: Mapping[ServiceName, Rollout]
    extras: Mapping[ServiceName, ServiceSpec | None]
    """Services that are not desired, but owned or found; with the spec that ran."""
    wishes: Mapping[ServiceName, Wish]
    order: tuple[ServiceName, ...]
    """Needs before dependents."""
    place: Mapping[ServiceName, int]
    dependents: Mapping[ServiceName, list[ServiceName]]


def lay_out(situation: Situation, last: Layout | None = None) -> Layout:
    """Arrange what is wanted; the `last` layout is given again where it still holds."""
    desired, prune = situation.desired, situation.prune
    extras = _extras(situation)
    if (
        last is not None
        and last.desired is desired
        and last.prune == prune
        and last.shutting_down == situation.shutting_down
        and last.rollouts == situation.rollouts
        and last.extras == extras
    ):
        return last
    found = wishes(situation, extras)
    needs = {name: [need.service for need in wish.needs] for name, wish in found.items()}
    order = tuple(topological(needs))
    return Layout(
        desired=desired,
        prune=prune,
        shutting_down=situation.shutting_down,
        rollouts=dict(situation.rollouts),
        extras=extras,
        wishes=found,
        order=order,
        place={name: place for place, name in enumerate(order)},
        dependents=reverse(needs),
    )


def _extras(situation: Situation) -> dict[ServiceName, ServiceSpec | None]:
    desired, services = situation.desired.services, situation.services
    names = (services.keys() - desired.keys()) | (situation.slots.keys() - desired.keys())
    return {name: services[name].spec if name in services else None for name in sorted(names)}


def wishes(
    situation: Situation, extras: Mapping[ServiceName, ServiceSpec | None]
) -> dict[ServiceName, Wish]:
    """Give every service's wish: of the manifests, of what we own, of what is found."""
    may_run = not situation.shutting_down
    found = {}
    for name, wanted in situation.desired.services.items():
        spec = wanted.spec
        found[name] = Wish(
            name=name,
            spec=spec,
            runs=may_run and spec is not None and spec.wants_to_run,
            is_invalid=bool(wanted.invalid),
            left_out=wanted.left_out,
            spared="no good version of its manifest is known" if may_run and not spec else "",
            rollout=situation.rollouts.get(name),
        )
    doubt = _doubt(situation.desired) if may_run else ""
    for name, spec in extras.items():
        found[name] = _unwanted(situation, name, spec, doubt)
    return found


def _unwanted(
    situation: Situation, name: ServiceName, spec: ServiceSpec | None, doubt: str
) -> Wish:
    """Give the wish of a service that no manifest defines."""
    prune = situation.prune
    if prune is not None and not prune.approved and name in prune.services and spec is not None:
        runs = not situation.shutting_down and spec.wants_to_run
        rollout = situation.rollouts.get(name)
        return Wish(name=name, spec=spec, runs=runs, prune_held=prune.because, rollout=rollout)
    spared = doubt if spec is None else ""
    return Wish(name=name, spec=spec, runs=False, is_gone=True, spared=spared)


def _doubt(desired: Desired) -> str:
    """Say why a process of a service we know nothing of may be wanted all the same.

    Its memory may be lost, and its manifest be the one that cannot be read.
    """
    faults = [fault for fault in desired.diagnostics if not fault.is_warning]
    return f"it may be defined in {faults[0].source.file}, which is invalid" if faults else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The situation, arranged for deciding: wishes in order, and who needs whom."""

    situation: Situation
    layout: Layout

    @property
    def wishes(self) -> Mapping[ServiceName, Wish]:
        """Give what is wanted of each service."""
        return self.layout.wishes

    def slots(self, name: ServiceName) -> Mapping[int, SlotRecord]:
        """Give a service's slots by index."""
        return self.situation.slots.get(name, {})

    def record(self, name: ServiceName, index: int) -> SlotRecord:
        """Give a slot's record; one that was never used is stopped."""
        found = self.slots(name).get(index)
        return found if found is not None else unused(Slot(service=name, index=index))

    def wanted_records(self, wish: Wish) -> list[SlotRecord]:
        """Give the records of the slots a service is wanted to have."""
        return [self.record(wish.name, index) for index in range(wish.instances)]

    def is_haunted(self, slot: Slot) -> bool:
        """Tell whether a second process lives in a slot, which has to end first."""
        return any(stray.slot == slot for stray in self.live_strays)

    @property
    def live_strays(self) -> list[Process]:
        """Give the second processes that live in slots."""
        return [stray for stray in self.situation.strays if stray.is_live]

    def is_empty(self, name: ServiceName) -> bool:
        """Tell whether nothing of a service lives any more."""
        is_haunted = any(stray.slot.service == name for stray in self.live_strays)
        return not is_haunted and not any(map(is_live, self.slots(name).values()))

    def restart_before(self, name: ServiceName) -> Nanos:
        """Give the moment before which started processes are to be replaced; 0 for none."""
        memory = self.situation.services.get(name)
        return (memory.restart_before if memory else None) or Nanos(0)


def unused(slot: Slot) -> SlotRecord:
    """Give the record of a slot that was never used."""
    return SlotRecord(memory=SlotMemory(slot=slot))


def arrange(situation: Situation, last: Layout | None = None) -> Board:
    """Arrange a situation for deciding."""
    return Board(situation=situation, layout=lay_out(situation, last))


def is_live(record: SlotRecord) -> bool:
    """Tell whether something of a slot's process tree still runs, or may be about to."""
    is_there = record.process is not None or record.pending is not None
    is_between = record.state in (State.STARTING, State.STOPPING)
    return is_there or is_between or has_errands(record)


def has_errands(record: SlotRecord) -> bool:
    """Tell whether something runs beside the main process, or is still to run after its end."""
    if any(not side.stuck for side in record.sides):
        return True
    return any(one.role in (Role.POST_STOP, Role.ON_FAILURE) for one in record.memory.occasions)


def errand_in_words(record: SlotRecord) -> str:
    """Say which hook of a slot runs, where it is what the slot waits for; empty for none."""
    for side in record.sides:
        if side.stuck:
            return f"its {side.role.in_words} does not end, not even by SIGKILL"
        if side.role in _WAITED_FOR and not side.unwanted:
            return f"running its {side.role.in_words}"
    return ""


def is_prepared(record: SlotRecord, spec: ServiceSpec) -> bool:
    """Tell whether every preStart hook of a start is done, so that the service itself may come."""
    occasion = record.memory.occasion(Role.PRE_START)
    is_over = occasion is not None and occasion.done >= len(spec.hooks.pre_start)
    return is_over and record.side(Role.PRE_START) is None


def is_clearing(record: SlotRecord) -> bool:
    """Tell whether a slot without a process is not free yet: what belongs to its last one runs."""
    if record.process is not None:
        return False
    is_over = record.memory.occasion(Role.POST_STOP) is None
    return not is_over or any(
        side.role is not Role.ON_FAILURE and not side.stuck for side in record.sides
    )


def is_up(record: SlotRecord) -> bool:
    """Tell whether a slot serves: running, be it degraded."""
    return record.state in UP and record.process is not None


def left_behind(record: SlotRecord) -> str:
    """Say that something outlives a main process which ended by itself; empty when not so."""
    process = record.process
    is_left = process is not None and process.exit is not None
    if not is_left or record.state not in (State.STOPPED, State.CRASHED):
        return ""
    fate = "was killed" if record.killed else "must end first"
    return f"{record.reason or 'ended'}; what it left behind {fate}"


def is_done(record: SlotRecord, spec: ServiceSpec, restart_before: Nanos) -> bool:
    """Tell whether a slot ended well with this very spec and need not run again.

    What counts as well, and whether it then runs again, is for today's policy to say.
    """
    memory, end = record.memory, record.memory.last_exit
    if memory.done != spec.digest or memory.done_at is None:
        return False
    if wants_restart(spec, well=end is None or ended_well(spec, end)):
        return False
    return memory.newest >= restart_before


def is_tried_again(record: SlotRecord, spec: ServiceSpec) -> bool:
    """Tell whether what a slot was started for failed, and is still to be tried again."""
    trouble = record.memory.trouble
    is_failing = trouble.failures > 0 and not trouble.gave_up
    return is_failing and record.memory.tried == spec.digest


def is_crash_restart(record: SlotRecord, spec: ServiceSpec) -> bool:
    """Tell whether a start of a slot would be one more try after a crash."""
    return record.state is State.CRASHED and is_tried_again(record, spec)


def is_between_runs(record: SlotRecord, spec: ServiceSpec, restart_before: Nanos) -> bool:
    """Tell whether a slot waits for the next time of its schedule."""
    is_served = record.memory.newest >= restart_before
    return spec.schedule is not None and is_served and not is_tried_again(record, spec)


def has_given_up(record: SlotRecord, spec: ServiceSpec) -> bool:
    """Tell whether a slot is not started any more, until somebody changes something."""
    return record.memory.trouble.gave_up and record.memory.tried == spec.digest
