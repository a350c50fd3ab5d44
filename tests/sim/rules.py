"""The safety rules, looked at after every step of a simulated world.

They are stated against what really runs on the simulated host, not against what the engine
believes of it, and share no code with it but the nouns.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.engine import Engine
from reconciler.core.judge import judge
from reconciler.core.planner import plan
from reconciler.model.desired import ManifestSet
from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    Exited,
    HostLooked,
    HostLost,
    OperationKind,
    Probe,
    Signal,
    Spawn,
    SpawnFailed,
)
from reconciler.model.observed import Exit, Slot, State
from reconciler.model.record import Memory
from reconciler.model.spec import Backoff, Condition, Need, ServiceSpec
from reconciler.model.units import Nanos, RunId, ServiceName
from tests.core.building import place
from tests.sim.host import Host, Run

CLEAN = ("SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE")


class Rules:
    """What must hold after every step, whatever the world does."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.manifests = ManifestSet()
        self.is_lenient = False
        """Whether the engine is wrong on purpose, or cannot know better."""
        self._in_force: dict[ServiceName, ServiceSpec] = {}
        self._heard: dict[RunId, Exit] = {}
        """The ends that the present daemon has heard of."""
        self._counted: set[RunId] = set()
        """The ends that some daemon has heard of."""
        self._failures: dict[Slot, int] = {}
        self._failed_at: dict[Slot, Nanos] = {}
        self._failed_serials: set[int] = set()
        """Of starts that the present daemon was told to have failed; it may be told twice."""
        self._patience: dict[RunId, Nanos] = {}
        self._is_hurried = False
        self._is_shutting_down = False
        self._serial = 0
        self._blind_until = 0
        """A look that was asked for before the host was lost counts no more."""
        self._held: tuple[ServiceName, ...] = ()
        """Services whose removal waits for a yes."""

    def begin(self, memory: Memory) -> None:
        """Begin a daemon's life: it starts counting, and has heard nothing."""
        self._serial = self._blind_until = 0
        self._heard, self._failed_serials = {}, set()
        self._is_hurried = self._is_shutting_down = False
        self._in_force = {name: one.spec for name, one in memory.services.items()}

    def reboot(self) -> None:
        """Begin anew: no failure outlives the host."""
        self._failures.clear()

    # --- before a step ---------------------------------------------------------------------

    def before(self, events: Iterable[Event], now: Nanos) -> None:
        """Note what the engine is about to hear."""
        for event in events:
            match event:
                case Exited(run=run, exit=end):
                    self._hear(run, end, now)
                case HostLost():
                    self._blind_until = self._serial
                case HostLooked(look=look) if look.serial > self._blind_until:
                    for process in look.processes:
                        if process.exit is not None:
                            self._hear(process.run, process.exit, now)
                case SpawnFailed(serial=serial, slot=slot, is_busy=False):
                    if serial not in self._failed_serials:
                        self._fail(slot, now)
                    self._failed_serials.add(serial)
                case Asked(operation=operation):
                    self._note(operation.kind, operation.services)
                case _:
                    pass

    def _note(self, kind: OperationKind, services: Iterable[ServiceName]) -> None:
        match kind:
            case OperationKind.START | OperationKind.RESTART:
                self._forgive(services)
            case OperationKind.SHUTDOWN:
                self._is_shutting_down = True
            case OperationKind.KILL:
                self._is_shutting_down = self._is_hurried = True
            case OperationKind.APPROVE_PRUNE:
                pass

    def _hear(self, run_id: RunId, end: Exit, now: Nanos) -> None:
        run = self._host.runs[run_id]
        if run_id not in self._counted and run.asked_at is None and run.started > 0:
            spec = self._in_force.get(run.slot.service)
            if spec is not None and end.at - run.started >= spec.backoff.reset_after:
                self._forgive([spec.name])
            is_done = spec is not None and spec.is_oneshot and end.code == 0
            is_of_today = spec is not None and spec.digest == run.digest
            if is_of_today and not is_done:
                self._fail(run.slot, now)
        self._heard[run_id] = end
        self._counted.add(run_id)

    def _fail(self, slot: Slot, now: Nanos) -> None:
        self._failures[slot] = self._failures.get(slot, 0) + 1
        self._failed_at[slot] = now

    def _forgive(self, services: Iterable[ServiceName]) -> None:
        for slot in [slot for slot in self._failures if slot.service in services]:
            del self._failures[slot]

    # --- after a step ----------------------------------------------------------------------

    def after(self, engine: Engine, decision: Decision, now: Nanos) -> None:
        """Look whether everything that was decided may be done."""
        for name, memory in decision.remembered.services.items():
            before = self._in_force.pop(name, None)
            if memory is not None:
                self._in_force[name] = memory.spec
            if before is None or memory is None or before != memory.spec:
                self._forgive([name])
        assert decision.wake_at is None or decision.wake_at > now
        refused = [one for one in decision.happenings if one.kind == "plan.refused"]
        assert refused == [] or self.is_lenient, "the judge refused a plan"
        situation = engine.situation(now)
        prune = situation.prune
        self._held = prune.services if prune is not None and not prune.approved else ()
        assert judge(plan(situation), situation) == (), "the judge refuses the next plan"
        for command in decision.commands:
            assert command.serial > self._serial, "a serial was used twice"
            self._serial = command.serial
            match command:
                case Spawn():
                    self._may_start(command, now)
                case Signal():
                    self._may_signal(command, now)
                case Probe():
                    assert self._host.runs[command.run].slot == command.slot
                case _:
                    pass
        if decision.finished:
            self._failures.clear()
        self._tells_the_truth(engine, now)

    def _may_start(self, start: Spawn, now: Nanos) -> None:
        slot, spec = start.slot, start.spec
        live = [run for run in self._host.live(slot) if run.id not in self._heard]
        assert live == [] or self.is_lenient, f"{slot} is started beside {live[0].id}"
        assert not self._is_shutting_down, f"{slot} is started in a shutdown"
        assert slot.index < spec.instances, f"{slot} is not wanted"
        assert spec == self._in_force[slot.service], f"{slot} is started with another version"
        for need in spec.needs:
            assert self._holds(need), f"{slot} is started while {need.service} is not there"
        failures = self._failures.get(slot, 0)
        if failures:
            wait = _least_wait(spec.backoff, failures)
            assert now >= self._failed_at[slot] + wait, f"{slot} is started before its back-off"

    def _holds(self, need: Need) -> bool:
        """Tell whether a need is really met, as far as the daemon can have heard."""
        spec = self._in_force.get(need.service)
        if spec is None or not spec.wants_to_run:
            return False
        slots = [Slot(service=need.service, index=index) for index in range(spec.instances)]
        return all(
            any(
                self._serves(need.condition, spec, run)
                for run in self._host.runs.values()
                if run.slot == slot
            )
            for slot in slots
        )

    def _serves(self, condition: Condition, spec: ServiceSpec, run: Run) -> bool:
        is_done = run.digest == spec.digest and run.exit is not None and run.exit.code == 0
        is_up = run.id not in self._heard
        match condition:
            case Condition.COMPLETED:
                return is_done
            case Condition.READY:
                return is_done if spec.is_oneshot else is_up
            case Condition.STARTED:
                return is_up or is_done

    def _may_signal(self, order: Signal, now: Nanos) -> None:
        run = self._host.runs[order.run]
        assert order.slot == run.slot, "a signal for another slot"
        assert order.target == run.identity, "a signal for another process"
        if order.signal != "SIGKILL":
            spec = self._in_force.get(run.slot.service)
            if spec is not None:
                # Asked again by a later daemon, it has the time that the manifest then gives.
                known = self._patience.get(run.id, spec.stop_timeout)
                self._patience[run.id] = min(known, spec.stop_timeout)
            if run.exit is None and self._is_unwanted(run.slot.service):
                self._ends_in_order(run.slot.service)
            return
        is_stray = len(self._host.live(run.slot)) > 1
        if not (self._is_hurried or is_stray):
            assert run.asked_at is not None, f"{run.slot} is killed unasked"
            patience = self._patience.get(run.id, Nanos(0))
            assert now - run.asked_at >= patience, f"{run.slot} is killed before its time"

    def _is_unwanted(self, name: ServiceName) -> bool:
        if self._is_shutting_down:
            return True
        found, spec = self.manifests, self._in_force.get(name)
        if name in found.definitions:
            return not found.definitions[name].spec.wants_to_run
        is_frozen = name in found.invalid or place(name).file in found.broken_files
        is_kept = is_frozen or name in self._held
        return not (is_kept and spec is not None and spec.wants_to_run)

    def _ends_in_order(self, need: ServiceName) -> None:
        """See that no dependent that has to end as well still runs."""
        for name, spec in self._in_force.items():
            if need not in [one.service for one in spec.needs] or not self._is_unwanted(name):
                continue
            left = [
                run.slot
                for run in self._host.runs.values()
                if run.slot.service == name and not run.is_empty and run.id not in self._heard
            ]
            assert left == [], f"{need} is stopped before {left[0]}"

    def _tells_the_truth(self, engine: Engine, now: Nanos) -> None:
        """See that nothing is shown as running that is known to have ended."""
        for status in engine.picture(now).services.values():
            for shown in status.slots:
                if shown.process is not None:
                    assert shown.process.run not in self._heard, f"{shown.slot} is dead"
                    assert shown.state is not State.STOPPED, f"{shown.slot} is not stopped"


def _least_wait(backoff: Backoff, failures: int) -> Nanos:
    wait = float(backoff.initial)
    for _ in range(failures - 1):
        wait = min(wait * backoff.factor, float(backoff.max))
    return Nanos(round(min(wait, backoff.max)))
