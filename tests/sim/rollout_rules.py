"""The rules of rollouts: enough serve, what failed stays away, and who is paused waits.

They go by what runs, what the daemon was told of it, and how the manifest says that versions come;
not by what the engine believes to have rolled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    FilesChanged,
    Notified,
    Operation,
    OperationKind,
    ProbeAnswered,
    Spawn,
)
from reconciler.model.observed import Exit, Process, Slot
from reconciler.model.record import Memory, RolloutPhase, ServiceMemory
from reconciler.model.spec import Need, OnRestart, ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, WallTime, seconds
from reconciler.model.update import Update
from tests.sim.heard import READY_AFTER, Heard, is_taken_on_trust, to_end
from tests.sim.host import Host, Run
from tests.sim.stop_rules import StopRules

SURELY = seconds(3)
"""So much later than it may have been, a process has surely been ready for long enough."""
OF_ROLLOUTS = {"changed", "restart asked"}
"""Reasons to end a process that serves for which it has to wait for its turn."""
LIFTS = (
    OperationKind.RESUME_ROLLOUT,
    OperationKind.START,
    OperationKind.RESTART,
)
"""What people ask for where a version is to be tried again that failed."""


class RolloutRules(StopRules, Heard):
    """What must hold of each step towards another version."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._now = Nanos(0)
        self._ready_at: dict[RunId, Nanos] = {}
        """When any daemon heard first that a process was ready."""
        self._new_since: dict[ServiceName, Nanos] = {}
        """When the version in force came, or a restart of it was asked for."""
        self._updates: dict[ServiceName, list[Update]] = {}
        """All that was said since then of how it is to come."""
        self._failed_versions: dict[ServiceName, frozenset[Digest]] = {}
        """Versions that are not to be started again by themselves."""
        self._paused: frozenset[ServiceName] = frozenset()
        self._guarded: frozenset[ServiceName] = frozenset()
        """Services that served when the version in force came."""
        self._counted_ends: frozenset[RunId] = frozenset()
        self._met: set[RunId] = set()
        """Processes of whose start a daemon was told, or that a look has shown."""
        self._early: dict[RunId, Exit] = {}
        """Ends that were heard of before that, and count from then on."""
        self._known_before = (self._failed_versions, self._paused, self._counted_ends)

    def begin(self, memory: Memory) -> None:
        """Begin a daemon's life; what the last one did not write down never was."""
        if not self._is_carried_out:
            self._failed_versions, self._paused, self._counted_ends = self._known_before
        if self._unwritten:
            self._failed_versions, self._paused = {}, frozenset()
        super().begin(memory)

    def reboot(self) -> None:
        """Begin anew: all that was there before the host's boot is gone."""
        super().reboot()
        self._new_since = dict.fromkeys(self._new_since, Nanos(0))

    # --- what is heard ---------------------------------------------------------------------

    def before(self, events: Iterable[Event], now: Nanos, wall: WallTime) -> None:
        """Note what the engine is about to hear."""
        events = list(events)
        known = dict(self._failed_versions)
        self._known_before = (known, self._paused, self._counted_ends)
        for event in events:
            match event:
                case ProbeAnswered(run=run, passed=True):
                    self._ready_at.setdefault(run, now)
                case Notified(run=run, notice=notice) if notice.ready:
                    self._ready_at.setdefault(run, now)
                case _:
                    pass
        super().before(events, now, wall)
        # What is asked for in the moment of a failure is asked for all the same.
        for event in events:
            if isinstance(event, Asked):
                self._heed(event.operation, now)
            elif isinstance(event, FilesChanged):
                self._lift([event.service], now)

    def _see(self, process: Process, now: Nanos) -> None:
        super()._see(process, now)
        self._met.add(process.run)
        if process.run in self._early:
            self._judge_version(process.run, process.slot, self._early.pop(process.run), now)
        if process.notice.ready:
            # It said so while nobody listened.
            self._ready_at.setdefault(process.run, now)

    def _heed(self, operation: Operation, now: Nanos) -> None:
        names = operation.services
        match operation.kind:
            case OperationKind.PAUSE_ROLLOUT:
                self._paused |= {name for name in names if self._is_moving(name)}
            case OperationKind.UNDO_ROLLOUT:
                for name in names:
                    self._take_back(name)
                self._paused -= {*names}
            case kind if kind in LIFTS:
                self._lift(names, now if kind is OperationKind.RESTART else None)
            case _:
                pass

    def _is_moving(self, name: ServiceName) -> bool:
        memory = self.wanted.remembered(name)
        moving = (RolloutPhase.ROLLING, RolloutPhase.BACK)
        return memory is not None and memory.rollout is not None and memory.rollout.phase in moving

    def _take_back(self, name: ServiceName) -> None:
        memory = self.wanted.remembered(name)
        rollout = memory.rollout if memory is not None else None
        if rollout is not None and rollout.phase in (RolloutPhase.ROLLING, RolloutPhase.PAUSED):
            self._fail_version(name, rollout.to.digest)

    def _lift(self, names: Iterable[ServiceName], restarted: Nanos | None) -> None:
        for name in names:
            self._failed_versions.pop(name, None)
            self.refusals.forgive([name])
            if restarted is not None:
                self._new_since[name] = self._now = restarted
                self._guard(name)
        self._paused -= {*names}

    def _hear(self, run_id: RunId, slot: Slot, end: Exit, now: Nanos) -> None:
        if run_id in self._met:
            self._judge_version(run_id, slot, end, now)
        else:
            self._early[run_id] = end
        super()._hear(run_id, slot, end, now)

    def _judge_version(self, run_id: RunId, slot: Slot, end: Exit, now: Nanos) -> None:
        run = self._host.runs.get(run_id)
        is_by_itself = run is not None and not (
            run.asked_at or run.is_killed or run.is_by_hand or self._is_asked(run_id)
        )
        if run is not None and is_by_itself and run_id not in self._counted_ends:
            self._counted_ends |= {run_id}
            ready = self._earliest_ready(run)
            update = self._loosest(slot.service)
            if ready is None or end.at < ready + update.min_ready:
                is_of_today = run.identity.boot == self._host.machine.boot
                is_new = run.started >= self._new_since.get(slot.service, Nanos(0))
                if is_of_today and is_new and run_id not in self._lost:
                    self._fails(slot, run.digest, now)

    def _note_failed_start(self, serial: int) -> None:
        if serial in self._starts:
            slot, _, digest = self._starts[serial]
            self._fails(slot, digest, self._now)
        super()._note_failed_start(serial)

    def _fails(self, slot: Slot, digest: Digest, now: Nanos) -> None:
        """Note that a process of a version on its way failed before it could be counted on.

        What comes to nothing in a shutdown says nothing about it.
        """
        memory = self.wanted.remembered(slot.service)
        rollout = memory.rollout if memory is not None else None
        if rollout is None or rollout.to.digest != digest or self.wanted.is_shutting_down:
            return
        of_version = [one for one in self._host.machine.of(slot) if one.digest == digest]
        ended_at = ((one, one.exit.at if one.exit is not None else now) for one in of_version)
        if not any(self._may_count(one, until) for one, until in ended_at):
            self._fail_version(slot.service, digest)

    def _fail_version(self, name: ServiceName, digest: Digest) -> None:
        memory = self.wanted.remembered(name)
        rollout = memory.rollout if memory is not None else None
        if rollout is not None and rollout.base.digest != digest:
            known = self._failed_versions.get(name, frozenset())
            self._failed_versions[name] = known | {digest}

    # --- what is done ----------------------------------------------------------------------

    def _note_version(
        self, name: ServiceName, before: ServiceSpec | None, memory: ServiceMemory | None
    ) -> None:
        """Take in what comes into force of a service."""
        if memory is None:
            for known in (self._failed_versions, self._new_since, self._updates):
                known.pop(name, None)
            return
        spec, rollout = memory.spec, memory.rollout
        if before is None or before.digest != spec.digest:
            self._new_since[name] = self._now
            self._guard(name)
            self._updates[name] = []
            self._paused -= {name}
        updates = self._updates.setdefault(name, [])
        if spec.update not in updates:
            updates.append(spec.update)
        if rollout is None:
            self._paused -= {name}
        else:
            is_same = rollout.to.digest == spec.digest
            assert is_same, f"a rollout of {name} goes on, and another version is in force"

    def _guard(self, name: ServiceName) -> None:
        """Note whether anything serves that what comes now could put at risk."""
        spec = self.wanted.in_force(name)
        runs = self._host.machine.of_service(name) if spec is not None else []
        is_at_risk = any(self._surely_serves(run, spec, self._now) for run in runs if spec)
        self._guarded = self._guarded | {name} if is_at_risk else self._guarded - {name}

    def _may_come(self, start: Spawn) -> None:
        """See that no version is started that failed, unless somebody asked for that."""
        name, digest = start.slot.service, start.spec.digest
        spec = self.wanted.in_force(name)
        is_away = digest in self._failed_versions.get(name, ())
        if spec is not None and spec.rolls and not self._lost:
            assert not is_away, f"{start.slot} is started as a version that failed"

    def _give_way_in_turn(self, decision: Decision, now: Nanos) -> None:
        """See that nothing that serves is ended for a rollout unless enough others serve."""
        going = {*to_end(decision.remembered.slots.values())}
        found = [
            (self._host.runs[run_id], spec)
            for run_id in sorted(going - self.asked)
            if run_id in self._host.runs
            if (spec := self.wanted.in_force(self._host.runs[run_id].slot.service)) is not None
        ]
        # Who ends for its own sake in the same moment is nothing that a rollout could know of.
        going = {run.id for run, spec in found if self._is_rolled(run, spec, now)}
        for run, spec in found:
            is_exempt = run.id not in going or self._lost or not spec.rolls
            is_exempt = is_exempt or spec.name not in self._guarded
            if is_exempt or not self._surely_serves(run, spec, now):
                continue
            assert spec.name not in self._paused, f"{run.slot} is replaced in a paused rollout"
            others = [*self._others(run.slot, spec, going, now)]
            update = self._loosest(spec.name)
            least = spec.instances - update.unavailable
            enough = len(others) >= least
            assert enough, f"{run.slot} gives way, and only {len(others)} of {least} serve"

    def _is_rolled(self, run: Run, spec: ServiceSpec, now: Nanos) -> bool:
        """Tell whether a process is ended for no other reason than that another is to come."""
        reasons = {*self._reasons_to_end(run, spec, now)}
        return bool(reasons) and reasons <= OF_ROLLOUTS

    def _others(
        self, slot: Slot, spec: ServiceSpec, going: set[RunId], now: Nanos
    ) -> Iterator[Slot]:
        """Give the other slots that may serve, as far as the daemon can know."""
        for index in range(spec.instances + self._loosest(spec.name).surge):
            other = Slot(service=spec.name, index=index)
            if other == slot:
                continue
            told = [run for run in self._host.machine.of(other) if run.id in self._live]
            for run in {one.id: one for one in (*told, *self._host.live(other))}.values():
                is_going = run.id in going or run.asked_at is not None or self._is_asked(run.id)
                is_there = run.id not in self._ended and not is_going
                if is_there and (self._may_count(run, now) or self._was_proven(run)):
                    yield other
                    break

    def _was_proven(self, run: Run) -> bool:
        """Tell whether another process of its version was ready for long enough in its place."""
        if self._earliest_ready(run) is None:
            return False
        before = [one for one in self._host.machine.of(run.slot) if one.digest == run.digest]
        return any(one.exit is not None and self._may_count(one, one.exit.at) for one in before)

    def _may_count(self, run: Run, now: Nanos) -> bool:
        """Tell whether a process may have been ready for long enough."""
        ready = self._earliest_ready(run)
        if run.id in self._lost or ready is None:
            return run.id in self._lost
        spec = self.wanted.in_force(run.slot.service)
        is_new = spec is not None and run.digest == spec.digest
        is_new = is_new and run.started >= self._new_since.get(run.slot.service, Nanos(0))
        span = self._loosest(run.slot.service).min_ready if is_new else 0
        return now >= ready + span

    def _surely_serves(self, run: Run, spec: ServiceSpec, now: Nanos) -> bool:
        """Tell whether the daemon has to count a process among those that serve."""
        ready = self._earliest_ready(run)
        if ready is None or run.id not in self._live or run.id in self._ended or run.is_by_hand:
            return False
        has_hooks = spec.hooks.post_start or spec.hooks.pre_start
        # What goes with its needs goes with them at once.
        follows = any(need.on_restart is OnRestart.RESTART for need in self._needs(spec))
        is_odd = run.is_halted or has_hooks or follows or len(self._host.live(run.slot)) > 1
        longest = max((one.min_ready for one in self._updates.get(spec.name, ())), default=0)
        return not is_odd and now >= ready + longest + SURELY

    def _needs(self, spec: ServiceSpec) -> list[Need]:
        """Give what a service needs, and what the version before it does."""
        memory = self.wanted.remembered(spec.name)
        rollout = memory.rollout if memory is not None else None
        return [*spec.needs, *(rollout.base.needs if rollout is not None else ())]

    def _earliest_ready(self, run: Run) -> Nanos | None:
        """Give when a process may have become ready; None: it did not."""
        spec = self.wanted.version(run.slot)
        heard = self._ready_at.get(run.id)
        if heard is not None or spec is None:
            return heard
        if is_taken_on_trust(spec):
            return Nanos(run.started + READY_AFTER)
        return None

    def _loosest(self, name: ServiceName) -> Update:
        """Give the least that was ever asked of how the version in force is to come."""
        found = self._updates.get(name) or [Update()]
        return Update(
            max_unavailable=max(one.unavailable for one in found),
            max_surge=max(one.surge for one in found),
            min_ready=min(one.min_ready for one in found),
        )
