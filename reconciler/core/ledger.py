"""What the engine knows, and what one step of it has to tell.

The one mutable thing of the core. Every change of a slot goes through `put` or `move`, so that
nothing is changed without being remembered, recorded and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.core.lifecycle import TOLD, Signal, follow
from reconciler.core.overlay import Overlays
from reconciler.core.recall import is_scheduled, is_timed, recall
from reconciler.core.wishes import unused
from reconciler.model.desired import Desired, ManifestSet, Wanted
from reconciler.model.event import Command, Happening, Notified, Transition
from reconciler.model.observed import Exit, Look, Process, Role, Slot, State
from reconciler.model.plan import NextRun
from reconciler.model.record import (
    ANSWER_OVERDUE,
    Echoes,
    Memory,
    Pending,
    PruneHold,
    Rollout,
    ServiceMemory,
    SlotMemory,
    SlotRecord,
)
from reconciler.model.remembered import Remembered
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, RunId, Serial, ServiceName

EARLY_ENDS_KEPT = 1000
"""Ends heard of before the answer to their start; more at once would be a broken host."""

Data = Mapping[str, str | int | float | bool | None]
NOTHING: Data = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyEnd:
    """An end that was heard of before the answer to the start of its run."""

    slot: Slot
    exit: Exit | None
    is_empty: bool
    role: Role = Role.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """A stray that was killed."""

    pending: Pending | None
    """SIGKILL, while nobody knows whether it arrived."""
    until: Nanos
    """How long its end may take from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """What the wall clock last said of one schedule. Forgotten with the daemon."""

    asked: Pending | None = None
    """The question under way."""
    told_at: Nanos | None = None
    next_run: NextRun = field(default_factory=NextRun)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """All knowledge of the engine, and the outcome of the present step."""

    seed: int
    now: Nanos = Nanos(0)
    serial: Serial = Serial(0)
    manifests: ManifestSet | None = None
    """As last read, which is what overlays lie above."""
    overlays: Overlays = field(default_factory=dict)
    desired: Desired = field(default_factory=Desired)
    manifests_seen: bool = False
    source_held: str = ""
    services: dict[ServiceName, ServiceMemory] = field(default_factory=dict)
    slots: dict[ServiceName, dict[int, SlotRecord]] = field(default_factory=dict)
    remembered_slots: dict[Slot, SlotMemory] = field(default_factory=dict)
    """Memories of slots that have no record yet, waiting for the first look."""
    prune: PruneHold | None = None
    removed: Mapping[ServiceName, Nanos] = field(default_factory=dict)
    """What went unasked, and when; as old as the last time that somebody counted."""
    released: set[ServiceName] = field(default_factory=set)
    """Services whose removal was asked for by name."""
    strays: tuple[Process, ...] = ()
    condemned: dict[RunId, Condemned] = field(default_factory=dict)
    """Strays that were killed and not seen gone yet."""
    host_seen: bool = False
    host_lost: str = "the host was not looked at yet"
    lost_at: Nanos | None = None
    looking: Pending | None = None
    look_again: bool = False
    """Something happened that the look under way may be too old for."""
    look_not_before: Nanos = Nanos(0)
    look_pause: Nanos = Nanos(0)
    """Between two tries to see a host that is lost; longer each time."""
    looked_at: Nanos | None = None
    newest_look: Serial = Serial(0)
    """A look that is not newer than this one comes too late."""
    unclaimed: Look | None = None
    """A look that shows services which the manifests, not read yet, may define."""
    dropped: dict[Slot, Serial] = field(default_factory=dict)
    """Slots just forgotten, and the last command by then: an older look may still show them."""
    forgotten: dict[Slot, Nanos] = field(default_factory=dict)
    """Since when runs of a forgotten slot are news; the host may still tell of older ones."""
    early: dict[RunId, EarlyEnd] = field(default_factory=dict)
    early_notices: dict[RunId, Notified] = field(default_factory=dict)
    """What runs said before the answer to their start."""
    had: dict[ServiceName, frozenset[ServiceName]] = field(default_factory=dict)
    """What running services had of what they need, when that was last looked at."""
    missing: dict[ServiceName, frozenset[ServiceName]] = field(default_factory=dict)
    """What running services were told to be without."""
    shutting_down: bool = False
    hurry: bool = False
    hurried: set[ServiceName] = field(default_factory=set)
    """Services of which whatever is not to run is killed at once, until nothing of it is left."""
    slept_at: Nanos = Nanos(0)
    """When a sleep of the host was last made up for."""
    stepped_at: Nanos = Nanos(0)
    """When the last step was made."""
    wake_at: Nanos | None = None
    """When the last step asked to be followed by another."""
    is_unsettled: bool = False
    """Whether a slot changed after this step had planned, so that another must follow at once."""

    crash_restarts: tuple[Nanos, ...] = ()
    """When slots were last started again after a crash: what counts against a storm."""
    timed: dict[Slot, None] = field(default_factory=dict)
    """Slots of which something becomes due by itself."""
    stirred: dict[Slot, None] = field(default_factory=dict)
    """Slots that were changed since they were last tidied."""
    is_rearranged: bool = True
    """Whether what is wanted changed since slots were last tidied."""
    to_restart: set[ServiceName] = field(default_factory=set)
    """Services with a restart that somebody asked for."""
    rollouts: dict[ServiceName, Rollout] = field(default_factory=dict)
    """New versions on their way through the slots of services."""
    scheduled: dict[ServiceName, None] = field(default_factory=dict)
    """Services that run on a schedule, or did until now."""
    dials: dict[ServiceName, Dial] = field(default_factory=dict)
    """What the wall clock said of their times."""
    echoes: dict[ServiceName, Echoes] = field(default_factory=dict)
    """What changes of their watched files led services to."""
    noisy: dict[ServiceName, str] = field(default_factory=dict)
    """Those that change these files themselves, each in a sentence."""
    proved: dict[ServiceName, None] = field(default_factory=dict)
    """Services of which a check has passed for the first time in this step."""
    sockets: dict[ServiceName, dict[str, bool]] = field(default_factory=dict)
    sockets_touched: Serial = Serial(0)
    """Where the host listens for services; False: at most a process does. Older looks tell not."""
    to_reload: set[ServiceName] = field(default_factory=set)
    """Services with a reload that somebody asked for."""

    commands: list[Command] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    changed_services: dict[ServiceName, ServiceMemory | None] = field(default_factory=dict)
    changed_slots: dict[Slot, SlotMemory | None] = field(default_factory=dict)
    prune_changed: bool = False
    overlays_changed: bool = False
    removed_changed: bool = False

    @classmethod
    def of(cls, memory: Memory, seed: int) -> Ledger:
        """Begin with what an earlier daemon remembered; it is wanted until manifests are read."""
        wanted = {
            name: Wanted(spec=kept.spec, source=kept.source)
            for name, kept in memory.services.items()
        }
        return cls(
            seed=seed,
            desired=Desired(services=wanted),
            services=dict(memory.services),
            remembered_slots=dict(memory.slots),
            prune=memory.prune,
            removed=memory.removed,
            overlays={one.name: one for one in memory.overlays},
            # Written anew: after a reboot their ends are by another clock than in the record.
            overlays_changed=bool(memory.overlays),
            to_restart={n for n, m in memory.services.items() if m.restart_before is not None},
            rollouts={n: m.rollout for n, m in memory.services.items() if m.rollout is not None},
            scheduled={n: None for n, m in memory.services.items() if is_scheduled(m)},
            to_reload={n for n, m in memory.services.items() if m.reload_before is not None},
        )

    # --- reading ---------------------------------------------------------------------------

    def record(self, slot: Slot) -> SlotRecord:
        """Give a slot's record, begun from what was remembered of it."""
        found = self.slots.get(slot.service, {}).get(slot.index)
        if found is not None:
            return found
        memory = self.remembered_slots.get(slot)
        if memory is not None:
            return recall(memory, self.version(slot))
        fresh = replace(unused(slot), touched=self.dropped.get(slot, Serial(0)))
        newest = self.forgotten.get(slot)
        return (
            fresh if newest is None else replace(fresh, memory=replace(fresh.memory, newest=newest))
        )

    def records(self) -> list[SlotRecord]:
        """Give every record, in the order in which their slots came."""
        return [record for slots in self.slots.values() for record in slots.values()]

    def timed_records(self) -> list[SlotRecord]:
        """Give the records of which something becomes due by itself."""
        return [self.slots[slot.service][slot.index] for slot in self.timed]

    def stirred_records(self) -> list[SlotRecord]:
        """Give the records to tidy, and begin anew."""
        stirred, self.stirred = self.stirred, {}
        if self.is_rearranged:
            self.is_rearranged = False
            return self.records()
        found = [self.slots.get(slot.service, {}).get(slot.index) for slot in stirred]
        return [record for record in found if record is not None]

    def version(self, slot: Slot) -> ServiceSpec | None:
        """Give the spec that a slot is to run, or runs: another one than its service's at times."""
        memory = self.services.get(slot.service)
        return self.spec(slot.service) if memory is None else memory.version(slot.index)

    def surge(self, name: ServiceName) -> int:
        """Give how many slots a service has above its own, for a rollout."""
        rollout = self.rollouts.get(name)
        return rollout.surge if rollout is not None else 0

    def spec(self, name: ServiceName) -> ServiceSpec | None:
        """Give the spec in force of a service."""
        memory = self.services.get(name)
        if memory is not None:
            return memory.spec
        wanted = self.desired.services.get(name)
        return wanted.spec if wanted else None

    # --- changing --------------------------------------------------------------------------

    def next_serial(self) -> Serial:
        """Give the next number for a command."""
        self.serial = Serial(self.serial + 1)
        return self.serial

    def pending(self, serial: Serial) -> Pending:
        """Note that a command waits for its answer."""
        return Pending(serial=serial, overdue_at=Nanos(self.now + ANSWER_OVERDUE))

    def waited(self, pending: Pending) -> Nanos:
        """Give how long a command has been waiting for its answer."""
        return Nanos(self.now - (pending.overdue_at - pending.patience))

    def put(self, record: SlotRecord) -> SlotRecord:
        """Keep a slot's record; remember what must outlive the daemon."""
        slot = record.memory.slot
        if self.record(slot).memory != record.memory:
            self.changed_slots[slot] = record.memory
        self.slots.setdefault(slot.service, {})[slot.index] = record
        self.remembered_slots.pop(slot, None)
        self.stirred[slot] = None
        if is_timed(record):
            self.timed[slot] = None
        else:
            self.timed.pop(slot, None)
        return record

    def move(
        self, record: SlotRecord, signal: Signal, reason: str, data: Data | None = NOTHING
    ) -> SlotRecord:
        """Take a slot through the lifecycle table, and tell of it; no data: history only has it."""
        after = follow(record.state, signal)
        if after is record.state:
            return self.put(record)
        if signal is Signal.START and record.put_off:
            return self.put(replace(record, state=after, trying=reason))
        if signal is Signal.REFUSED and record.trying:
            return self.put(replace(record, state=after, trying="", reason=reason))
        record = self.tell_start(record)
        self._tell_move(record, record.state, after, signal, reason, data)
        is_put_off = record.put_off and signal is Signal.REFUSED
        moved = replace(record, state=after, since=self.now, reason=reason, put_off=is_put_off)
        return self.put(moved)

    def tell_start(self, record: SlotRecord) -> SlotRecord:
        """Tell of a start that was put off before and is more than one more try by now."""
        if not record.trying:
            return record
        why, data = record.trying, {"cause": record.cause}
        self._tell_move(record, State.STOPPED, State.STARTING, Signal.START, why, data)
        return self.put(replace(record, since=self.now, reason=why, put_off=False, trying=""))

    def _tell_move(
        self,
        record: SlotRecord,
        before: State,
        after: State,
        signal: Signal,
        reason: str,
        data: Data | None,
    ) -> None:
        slot = record.memory.slot
        digest = record.process.digest if record.process else record.memory.tried
        self.transitions.append(
            Transition(slot=slot, before=before, after=after, reason=reason, digest=digest)
        )
        if signal in TOLD and data is not None:
            self.tell(TOLD[signal], slot=slot, reason=reason, data=data)

    def drop(self, slot: Slot) -> None:
        """Forget a slot that is wanted no more and empty."""
        records = self.slots.get(slot.service, {})
        record = records.pop(slot.index, None)
        if record is not None and record.memory.newest:
            self.forgotten[slot] = Nanos(record.memory.newest + 1)
        if not records:
            self.slots.pop(slot.service, None)
        self.remembered_slots.pop(slot, None)
        self.timed.pop(slot, None)
        self.dropped[slot] = self.serial
        self.changed_slots[slot] = None

    def put_service(self, memory: ServiceMemory) -> None:
        """Keep what is in force of a service."""
        name = memory.spec.name
        self.services[name] = memory
        self.changed_services[name] = memory
        self.is_rearranged = True
        (self.to_restart.discard if memory.restart_before is None else self.to_restart.add)(name)
        if memory.rollout is not None:
            self.rollouts[name] = memory.rollout
        else:
            self.rollouts.pop(name, None)
        if is_scheduled(memory):
            self.scheduled[name] = None
        else:
            self.scheduled.pop(name, None)
        (self.to_reload.discard if memory.reload_before is None else self.to_reload.add)(name)

    def drop_version(self, name: ServiceName) -> None:
        """Forget which version of a service is in force, and all that was about it."""
        self.changed_services[name] = None
        known = (self.services, self.had, self.missing, self.echoes, self.noisy)
        for found in (*known, self.rollouts, self.scheduled, self.dials):
            found.pop(name, None)
        for names in (self.released, self.to_restart, self.to_reload):
            names.discard(name)

    def drop_service(self, name: ServiceName) -> None:
        """Forget a service and its slots."""
        self.drop_version(name)
        for index in list(self.slots.get(name, {})):
            self.drop(Slot(service=name, index=index))
        for slot in [slot for slot in self.remembered_slots if slot.service == name]:
            self.drop(slot)

    def set_prune(self, prune: PruneHold | None) -> None:
        """Keep the hold on a removal, or that there is none."""
        if prune != self.prune:
            self.prune = prune
            self.prune_changed = True

    def tell(
        self,
        kind: str,
        *,
        service: ServiceName | None = None,
        slot: Slot | None = None,
        reason: str = "",
        actor: str = "",
        data: Data = NOTHING,
    ) -> None:
        """Tell people that something happened."""
        name = slot.service if slot is not None else service
        self.happenings.append(
            Happening(kind=kind, service=name, slot=slot, reason=reason, actor=actor, data=data)
        )

    def take_remembered(self) -> Remembered:
        """Give what must be written down of this step, and begin anew."""
        found = Remembered(
            services=self.changed_services,
            slots=self.changed_slots,
            prune=self.prune,
            prune_changed=self.prune_changed,
            overlays=tuple(self.overlays.values()) if self.overlays_changed else None,
            removed=self.removed if self.removed_changed else None,
        )
        self.changed_services, self.changed_slots = {}, {}
        self.prune_changed = self.overlays_changed = self.removed_changed = False
        return found
