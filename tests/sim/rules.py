"""The safety rules, looked at after every step of a simulated world.

They are stated against what really runs on the simulated machine and what the daemon was told of
it, not against what the engine believes, and share no code with it but the nouns. Of the planner's
own rules the judge is the second statement; here it is only asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from errno import EAGAIN

from reconciler.core.engine import Engine
from reconciler.core.judge import judge
from reconciler.core.planner import plan
from reconciler.model.event import (
    Asked,
    Command,
    Decision,
    Event,
    Exited,
    FilesChanged,
    HostLooked,
    HostLost,
    LookAtHost,
    ManifestsRead,
    NextTime,
    Notified,
    Operation,
    OperationKind,
    Probe,
    ProbeAnswered,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Exit, Process, Role, Slot, State
from reconciler.model.record import Memory, SlotMemory
from reconciler.model.spec import (
    Backoff,
    Condition,
    Need,
    OnRestart,
    Overlap,
    RestartPolicy,
    ServiceSpec,
    ServiceType,
    WatchAction,
)
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, WallTime, seconds
from tests.sim.appetites import AppetiteRules
from tests.sim.holder import RELOADS
from tests.sim.hook_rules import HookRules
from tests.sim.host import Host, Run
from tests.sim.reloads import ReloadRules
from tests.sim.timetables import Timetables
from tests.sim.wanted import Wanted

CLEAN = ("SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE")
ENDS = ("service.crashed", "service.completed", "service.stopped")
MAY_BE_ITS_OWN = seconds(3)
"""A change so soon after the end of a process may have been its last deed."""
IN_A_ROW, MOST_IN_A_ROW = seconds(20), 8
LOOKS_EVERY = 8
"""Steps between two looks at what costs the most: the next plan, and what is shown."""
START_TIMEOUT = seconds(60)
READY_AFTER = seconds(1)
"""When a service counts as ready whose manifest says nothing of it."""


_Counted = tuple[
    dict[Slot, int], dict[Slot, Nanos], dict[Slot, str], dict[ServiceName, Nanos], set[RunId]
]


class Rules:
    """What must hold after every step, whatever the world does."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.is_lenient = False
        """Whether the engine is wrong on purpose, or cannot know better."""
        self.wanted = Wanted()
        self.timetables = Timetables()
        self._scheduled_at: dict[ServiceName, Nanos] = {}
        """When a service was put on a schedule that had none before."""
        self.wall = WallTime(0)
        self.reloads = ReloadRules()
        self.appetites = AppetiteRules()
        self.hooks = HookRules(host, self.wanted)
        self._steps = 0
        # What the present daemon was told.
        self._live: set[RunId] = set()
        self._ended: dict[RunId, Exit] = {}
        self._told_as: dict[RunId, Exit] = {}
        """How each run ended as it was told first; unknown where only its tree was told empty."""
        self._has_looked = False
        self._blind_until = 0
        """A look that was asked for before the host was lost counts no more."""
        self._serial = 0
        self._starts: dict[int, tuple[Slot, Nanos, Digest]] = {}
        """When each start was asked for, by serial; until it is known to have failed."""
        # What any daemon was told.
        self._judged: set[RunId] = set()
        self._asked: set[RunId] = set()
        """Of which it is on record that they have to end, be the signal sent or not."""
        self._asked_here: set[RunId] = set()
        """... or of which the present daemon decided it."""
        self._ready: set[RunId] = set()
        self._failures: dict[Slot, int] = {}
        self._failed_at: dict[Slot, Nanos] = {}
        self._done: dict[Slot, str] = {}
        """The version of a oneshot that completed."""
        self._for_code: dict[Slot, list[Nanos]] = {}
        """When each slot was started since its code changed."""
        self._restart_asked: dict[ServiceName, Nanos] = {}
        self._patience: dict[RunId, Nanos] = {}
        self._stop_timeouts: dict[ServiceName, Nanos] = {}
        """What held before this step, of services that have a new version since."""
        self._before_step = self._counted()
        self._is_carried_out = True
        # What is on record.
        self._exits: Counter[RunId] = Counter()
        self._told_ends: Counter[RunId] = Counter()
        self._unwritten: list[Decision] = []
        self._lost: set[RunId] = set()
        """Runs of which a daemon knew that could not write it down."""

    def begin(self, memory: Memory) -> None:
        """Begin a daemon's life: it starts counting, and was told nothing."""
        if not self._is_carried_out:
            # What was heard in a step that its daemon did not live to write down is heard anew.
            failures, failed_at, done, restarts, judged = self._before_step
            self._failures, self._failed_at, self._done = failures, failed_at, done
            self._restart_asked, self._judged = restarts, judged
            self._is_carried_out = True
        self._asked.update(_to_end(memory.slots.values()))
        self.reloads.begin()
        self.appetites.begin()
        self._asked_here.clear()
        self._serial = self._blind_until = 0
        self._live, self._ended, self._starts = set(), {}, {}
        self._told_as = {}
        self._has_looked = False
        if self._unwritten:
            self.hooks.is_exempt = True
            self._lost.update(self._host.runs)
            self._ready.clear()
            # What was never written down is nobody's to know.
            self._unwritten.clear()
            self._failures.clear()
            self._done.clear()
            self.reloads.forget()
        self.wanted.begin(memory)

    def _counted(self) -> _Counted:
        """Copy what any daemon was told, as far as it is counted."""
        return (
            dict(self._failures),
            dict(self._failed_at),
            dict(self._done),
            dict(self._restart_asked),
            set(self._judged),
        )

    @property
    def sees_host(self) -> bool:
        """Tell whether the present daemon has looked at the host, and not lost it since."""
        return self._has_looked

    @property
    def asked(self) -> frozenset[RunId]:
        """Give the runs of which it was decided that they have to end."""
        return frozenset(self._asked | self._asked_here)

    @property
    def lost(self) -> frozenset[RunId]:
        """Give the runs of which a daemon knew that could not write it down."""
        return frozenset(self._lost)

    def starting(self) -> list[Slot]:
        """Give the slots in which the present daemon has started anything."""
        return [slot for slot, _, _ in self._starts.values()]

    def was_changed(self, service: ServiceName) -> bool:
        """Tell whether the last step put another version of a service into force."""
        return service in self._stop_timeouts

    def reboot(self) -> None:
        """Begin anew: no failure and no work that was done outlives the host's boot."""
        for slot in self.timetables.slots():
            self.timetables.has_come_to_nothing(slot, self._newest(slot))
        self._failures.clear()
        self._done.clear()
        self._restart_asked.clear()
        self.timetables.reboot()
        self._scheduled_at.clear()
        self.hooks.reboot()

    # --- before a step ---------------------------------------------------------------------

    def before(self, events: Iterable[Event], now: Nanos, wall: WallTime) -> None:
        """Note what the engine is about to hear."""
        self.wall = wall
        self.timetables.read_clock(wall)
        self._is_carried_out = False
        self.reloads.before(events, now)
        self.appetites.before(events, self._host.runs, self.wanted.in_force)
        self._before_step = self._counted()
        for event in events:
            match event:
                case ManifestsRead(manifests=found):
                    self.wanted.read(found)
                case Asked(operation=operation):
                    self._note(operation, now)
                case FilesChanged():
                    self._note_code(event)
                case HostLost():
                    self._blind_until, self._has_looked = self._serial, False
                case HostLooked(look=look) if look.serial > self._blind_until:
                    self._has_looked = True
                    for process in look.processes:
                        if process.role is Role.MAIN:
                            self._see(process, now)
                case _:
                    self._hear_of_one(event, now)

    def _hear_of_one(self, event: Event, now: Nanos) -> None:
        """Note what the engine is about to hear of one process."""
        match event:
            case Exited(run=run, exit=end, role=Role.MAIN):
                self._hear(run, end, now)
            case TreeEmptied(run=run):
                self._live.discard(run)
                self._told_as.setdefault(run, Exit(at=now, unknown=True))
            case Spawned(process=process) if process.role is Role.MAIN:
                self._see(process, now)
            case SpawnFailed(
                serial=serial, is_busy=False, is_short=False, is_refused=False, errno=number
            ) if number != EAGAIN:
                self._note_failed_start(serial)
            case ProbeAnswered(run=run, passed=True):
                self._ready.add(run)
            case Notified(run=run, notice=notice) if notice.ready:
                self._ready.add(run)
            case _:
                pass

    def _note(self, operation: Operation, now: Nanos) -> None:
        self.wanted.asked(operation)
        match operation.kind:
            case OperationKind.SHUTDOWN | OperationKind.KILL:
                self._failures.clear()
            case OperationKind.START:
                self._forgive(operation.services)
                for name in operation.services:
                    self.timetables.asked(name, now)
            case OperationKind.RESTART:
                self._forgive(operation.services)
                self._restart_asked.update(dict.fromkeys(operation.services, now))
                for name in operation.services:
                    self.timetables.asked(name, now)
            case _:
                pass

    def _note_code(self, event: FilesChanged) -> None:
        """Take a change of code for a request to restart, where it is one."""
        spec = self.wanted.defined(event.service)
        if spec is None or spec.watch is None or spec.watch.action is not WatchAction.RESTART:
            return
        name = event.service
        self._restart_asked[name] = max(self._restart_asked.get(name, Nanos(0)), event.at)
        for slot in [slot for slot in self._done if slot.service == name]:
            del self._done[slot]
        for slot in [slot for slot in self._failures if slot.service == name]:
            if event.at - self._failed_at[slot] > MAY_BE_ITS_OWN:
                del self._failures[slot]

    def _see(self, process: Process, now: Nanos) -> None:
        if process.exit is not None:
            self._hear(process.run, process.exit, now)
        if process.notice.ready:
            self._ready.add(process.run)
        run = self._host.runs.get(process.run)
        if run is not None and run.is_by_hand:
            # Whoever starts a process by hand has taken the matter into theirs.
            self._forgive([run.slot.service])
        if process.tree_empty:
            self._live.discard(process.run)
        elif process.run not in self._ended:
            self._live.add(process.run)

    def _hear(self, run_id: RunId, end: Exit, now: Nanos) -> None:
        self._ended.setdefault(run_id, end)
        self._told_as.setdefault(run_id, end)
        run = self._host.runs.get(run_id)
        if run is None:
            return  # a start that the holder did not live to make
        is_of_today = run.identity.boot == self._host.machine.boot
        if run.is_by_hand or run_id in self._lost:
            return
        is_by_itself = run.asked_at is None and not run.is_killed and not self._is_asked(run_id)
        is_by_itself = is_by_itself and not self.wanted.is_shutting_down
        if run_id not in self._judged and is_of_today:
            self._judge_end(run, end, now, is_by_itself=is_by_itself)
        self._judged.add(run_id)

    def _judge_end(self, run: Run, end: Exit, now: Nanos, *, is_by_itself: bool) -> None:
        """Count an end that nobody asked for, if it surely is a failure."""
        spec = self.wanted.in_force(run.slot.service)
        if spec is None or spec.digest != run.digest:
            return
        if end.at - run.started >= spec.backoff.reset_after:
            # It held for long, whoever ended it then: what failed before counts no more.
            self._failures.pop(run.slot, None)
        if not is_by_itself:
            return
        if spec.is_oneshot and end.code == 0:
            if run.started >= self._restart_asked.get(spec.name, Nanos(0)):
                # Work that had begun before a restart was asked for is done once more.
                self._done[run.slot] = spec.digest
            self._failures.pop(run.slot, None)
            return
        is_well = end.code == 0 or (end.signal in CLEAN and not spec.is_oneshot)
        if not is_well or spec.restart is RestartPolicy.ALWAYS:
            self._fail(run.slot, now)
        elif self._was_up(run, spec, end):
            # What ended well, and is not wanted again by itself, has failed no more.
            self._failures.pop(run.slot, None)

    def _was_up(self, run: Run, spec: ServiceSpec, end: Exit) -> bool:
        is_proved = run.id in self._ready
        is_spared = _is_taken_on_trust(spec) and end.at - run.started >= READY_AFTER
        return spec.is_oneshot or is_proved or is_spared

    def _note_failed_start(self, serial: int) -> None:
        start = self._starts.pop(serial, None)
        if start is None:
            return
        slot, asked_at, digest = start
        spec = self.wanted.in_force(slot.service)
        if spec is not None and spec.digest == digest:
            # The engine may have heard of it by a look already, but not before it asked.
            self._fail(slot, asked_at)

    def _fail(self, slot: Slot, at: Nanos) -> None:
        self._failures[slot] = self._failures.get(slot, 0) + 1
        self._failed_at[slot] = at

    def _forgive(self, services: Iterable[ServiceName]) -> None:
        for slots in (self._failures, self._done):
            for slot in [slot for slot in slots if slot.service in services]:
                del slots[slot]

    # --- after a step ----------------------------------------------------------------------

    def after(self, engine: Engine, decision: Decision, now: Nanos) -> None:
        """Look whether everything that was decided may be done."""
        self._steps += 1
        self._stop_timeouts.clear()
        for name, memory in decision.remembered.services.items():
            before = self.wanted.in_force(name)
            if before is not None:
                self._stop_timeouts[name] = before.stop_timeout
                if _is_taken_on_trust(before):
                    self._ready.update(self._spared(name, now))
            is_new = memory is not None and memory.spec.schedule is not None
            if is_new and before is not None and before.schedule is None:
                self._scheduled_at[name] = now
            if self.wanted.put(name, memory):
                self._forgive([name])
        assert decision.wake_at is None or decision.wake_at > now, "it wants to wake in the past"
        self.wanted.told(decision.happenings)
        self.appetites.told(decision.happenings)
        refused = [one.reason for one in decision.happenings if one.kind == "plan.refused"]
        assert refused == [] or self.is_lenient, f"the judge refused a plan: {refused}"
        for command in decision.commands:
            self._may_do(command, now)
        self.hooks.after(decision)
        self._ends_one_by_one(decision, now)
        self._asked_here.update(_to_end(decision.remembered.slots.values()))
        if decision.finished:
            self._failures.clear()
            self._done.clear()
        if self._steps % LOOKS_EVERY == 0:
            self._is_judged_well(engine, now)
            self._tells_the_truth(engine, now)

    def _spared(self, name: ServiceName, now: Nanos) -> Iterator[RunId]:
        """Give the processes that were ready by their age alone, as the manifest was till now."""
        for run in self._host.machine.of_service(name):
            if run.exit is None and now - run.started >= READY_AFTER:
                yield run.id

    def _may_do(self, command: Command, now: Nanos) -> None:
        assert command.serial > self._serial, "a serial was used twice"
        self._serial = command.serial
        match command:
            case Spawn(errand=None):
                self._may_start(command, now)
            case Spawn():
                self._may_act(command)
                self.hooks.may_run(command)
            case Signal(run=run) if self._host.runs[run].role is not Role.MAIN:
                self._may_act(command)
                self.hooks.may_kill(command, now)
            case Signal():
                self._may_signal(command, now)
            case Probe():
                self._may_probe(command)
            case LookAtHost() | NextTime():
                pass

    def _is_judged_well(self, engine: Engine, now: Nanos) -> None:
        situation = engine.situation(now)
        faults = judge(plan(situation), situation)
        assert faults == () or self.is_lenient, f"the judge refuses the next plan: {faults}"

    # --- starts ----------------------------------------------------------------------------

    def _may_start(self, start: Spawn, now: Nanos) -> None:
        self.reloads.starts(start)
        slot, spec = start.slot, start.spec
        self._may_act(start)
        live = [run for run in self._host.live(slot) if not run.is_by_hand]
        assert live == [] or self.is_lenient, f"{slot} is started beside {live[0].id}"
        assert not self.wanted.is_shutting_down, f"{slot} is started in a shutdown"
        assert slot.index < self.wanted.width(slot.service), f"{slot} is not wanted"
        assert spec == self.wanted.in_force(slot.service), f"{slot} is started in another version"
        for need in spec.needs:
            assert self._holds(need), f"{slot} is started while {need.service} is not there"
        self.hooks.may_start(start)
        if spec.schedule is None or not self._is_its_time(start, now):
            self._may_try_again(slot, spec, now)
        self._is_no_echo(slot, start, now)
        self._starts = {
            serial: known for serial, known in self._starts.items() if known[0] != slot
        } | {start.serial: (slot, now, spec.digest)}

    def _is_no_echo(self, slot: Slot, start: Spawn, now: Nanos) -> None:
        """See that what changes its own code is not restarted for that again and again."""
        if (
            not self._host.machine.program(slot.service).writes_code
            or "app.py" not in start.because
        ):
            return
        before = [at for at in self._for_code.get(slot, []) if now - at < IN_A_ROW]
        self._for_code[slot] = [*before, now]
        assert len(before) < MOST_IN_A_ROW, f"{slot} restarts for ever by what it writes itself"

    def _newest(self, slot: Slot) -> Nanos:
        """Give when the last process of a slot was started since the host's boot."""
        last = self._last_run(slot)
        return Nanos(-1) if last is None else last.started

    def _last_run(self, slot: Slot) -> Run | None:
        machine = self._host.machine
        runs = (run for run in machine.of(slot) if run.identity.boot == machine.boot)
        return max(runs, key=lambda run: run.started, default=None)

    def _is_its_time(self, start: Spawn, now: Nanos) -> bool:
        """See that a run is scheduled or asked for; tell whether it is, not one more try."""
        slot, spec = start.slot, start.spec
        is_void = self.timetables.has_come_to_nothing(slot, self._newest(slot))
        is_asked = self.timetables.is_asked_for(slot)
        is_claimed = start.because.startswith("its schedule")
        if is_claimed:
            serves = self.timetables.serves(slot, spec, now, self.wall)
            assert serves or self._lost, f"{slot} is started twice for one scheduled time"
        self.timetables.started(slot, now, is_serving=is_claimed)
        # A later daemon goes on behind the hooks of a start whose time had come.
        is_begun = start.because.startswith("adopted")
        if is_claimed or is_asked or is_begun:
            self._failures.pop(slot, None)
            self._done.pop(slot, None)
            return True
        last = self._last_run(slot)
        was_late = last is not None and last.asked_at is not None and spec.start_timeout
        may = self._failures.get(slot) or is_void or was_late or self._lost
        assert may, f"{slot} is started, and its time has not come"
        return False

    def _may_act(self, command: Spawn | Signal) -> None:
        assert command.because, f"{command.slot}: a command without a reason"
        assert self._has_looked or self.is_lenient, f"{command.slot}: the host was not looked at"
        run = self._host.runs.get(command.run) if isinstance(command, Signal) else None
        # What an earlier daemon has begun to stop may be brought to its end.
        is_begun = run is not None and (run.asked_at is not None or self._is_asked(run.id))
        may = self.wanted.is_told or self.wanted.is_shutting_down or is_begun
        assert may, f"{command.slot}: the manifests were not read"

    def _may_try_again(self, slot: Slot, spec: ServiceSpec, now: Nanos) -> None:
        """See that back-off is kept, that who gave up stays so, and that work is done once."""
        failures = self._failures.get(slot, 0)
        if failures:
            wait = _least_wait(spec.backoff, failures)
            assert now >= self._failed_at[slot] + wait, f"{slot} is started before its back-off"
            may = spec.max_restarts is None or failures <= spec.max_restarts
            assert may, f"{slot} is started though it failed {failures} times"
            assert spec.restart is not RestartPolicy.NEVER, f"{slot} is started again"
        is_done = self._done.get(slot) == spec.digest
        if is_done and not any(need.on_restart is OnRestart.RESTART for need in spec.needs):
            raise AssertionError(f"{slot} is done and started again")
        self._done.pop(slot, None)

    def _holds(self, need: Need) -> bool:
        """Tell whether a need is really met, as far as the daemon can have heard."""
        spec = self.wanted.in_force(need.service)
        width = self.wanted.width(need.service)
        if spec is None or width == 0:
            return False
        slots = [Slot(service=need.service, index=index) for index in range(width)]
        return all(self._slot_serves(need.condition, spec, slot) for slot in slots)

    def _slot_serves(self, condition: Condition, spec: ServiceSpec, slot: Slot) -> bool:
        is_done = any(
            run.exit is not None
            and (run.exit.code == 0 or run.exit.signal in CLEAN)
            and run.digest == spec.digest
            for run in self._host.machine.of(slot)
        )
        # It may have gone a moment ago, and the daemon not have heard of it.
        known = {run.id for run in self._host.machine.of(slot)} & self._live
        is_up = any(run not in self._ended for run in known.union(map(_id, self._host.live(slot))))
        match condition:
            case Condition.COMPLETED:
                return is_done
            case Condition.READY:
                return is_done if spec.is_oneshot else is_up
            case Condition.STARTED:
                return is_up or is_done

    # --- signals ---------------------------------------------------------------------------

    def _may_signal(self, order: Signal, now: Nanos) -> None:
        run = self._host.runs[order.run]
        assert order.slot == run.slot, "a signal for another slot"
        # Of a start that was cut off nobody may know the pid.
        is_meant = order.target == run.identity or order.target.pid == 0
        assert is_meant, "a signal for another process"
        self._may_act(order)
        spec = self.wanted.in_force(run.slot.service)
        if order.signal == "SIGKILL":
            self._may_kill(run, now)
            return
        if order.signal in RELOADS:
            assert self._is_up(run, spec, now), f"{run.slot} is reloaded before it is ready"
            is_known = not run.is_by_hand and run.id not in self._lost
            self.reloads.may_reload(order, run, spec, now, is_known=is_known)
            return
        if order.signal == "SIGABRT":
            self._may_abort(run, now)
        if spec is not None:
            # Asked again by a later daemon, it has the time that the manifest then gives.
            may_take = min(spec.stop_timeout, self._stop_timeouts.get(spec.name, spec.stop_timeout))
            self._patience[run.id] = min(self._patience.get(run.id, may_take), may_take)
        reasons = list(self._reasons_to_end(run, spec, now))
        assert reasons or self.is_lenient, f"{run.slot} is stopped without a reason"
        if reasons == ["unwanted"] and not self.wanted.width(run.slot.service):
            self._ends_in_order(run.slot.service)

    def _may_abort(self, run: Run, now: Nanos) -> None:
        """See that a watchdog acts only where a process was silent, or said so itself."""
        is_silent = 0 < run.watchdog <= now - run.well_at
        has_said = "WATCHDOG=trigger" in run.has_said
        assert is_silent or has_said, f"{run.slot} is aborted, and said in time that it is well"

    def _is_up(self, run: Run, spec: ServiceSpec | None, now: Nanos) -> bool:
        """Tell whether a process may have proved ready."""
        if run.id in self._ready or run.id in self._lost or spec is None:
            return True
        return _is_taken_on_trust(spec) and now - run.started >= READY_AFTER

    def _may_kill(self, run: Run, now: Nanos) -> None:
        is_stray = len(self._host.live(run.slot)) > 1
        if self.wanted.is_hurried or is_stray or run.is_by_hand or run.is_killed:
            return
        assert run.asked_at is not None, f"{run.slot} is killed unasked"
        patience = self._patience.get(run.id, Nanos(0))
        spec = self.wanted.in_force(run.slot.service)
        if self.hooks.has_drained(run) or (spec is not None and spec.hooks.pre_stop):
            # Its preStop hooks had their part of it.
            patience = min(seconds(2), Nanos(patience // 2))
        assert now - run.asked_at >= patience, f"{run.slot} is killed before its time"

    def _reasons_to_end(  # noqa: C901, PLR0912 - one arm for each reason
        self, run: Run, spec: ServiceSpec | None, now: Nanos
    ) -> Iterator[str]:
        """Give every reason there is to end a process."""
        if run.slot.index >= self.wanted.width(run.slot.service):
            yield "unwanted"
        if run.asked_at is not None or self._is_asked(run.id):
            yield "asked before"
        if run.id in self._ended:
            yield "left behind"
        if spec is None:
            return
        if spec.schedule is not None:
            # A run is finished as it was begun, and gives way to the next only where that is said.
            if spec.schedule.overlap is Overlap.REPLACE:
                yield "its time came"
            if run.started < self._scheduled_at.get(spec.name, Nanos(-1)):
                yield "none of its runs"
        elif run.digest != spec.digest:
            yield "changed"
        if run.started < self._restart_asked.get(spec.name, Nanos(-1)):
            yield "restart asked"
        if self.appetites.has_outgrown(run):
            yield "uses too much"
        if self._is_late(run, spec, now):
            yield "start timeout"
        if "WATCHDOG=trigger" in run.has_said or 0 < run.watchdog <= now - run.well_at:
            yield "watchdog"
        if "STOPPING=1" in run.has_said:
            yield "said that it stops"
        if any(self._is_renewed(need, run) for need in spec.needs):
            yield "need restarted"

    def _is_late(self, run: Run, spec: ServiceSpec, now: Nanos) -> bool:
        limit = spec.start_timeout
        if not spec.is_oneshot:
            limit = limit or START_TIMEOUT
            if _is_taken_on_trust(spec) or run.id in self._ready:
                return False
        return limit is not None and now >= max(self.hooks.began(run) + limit, run.extended)

    def _is_renewed(self, need: Need, run: Run) -> bool:
        """Tell whether a need that takes its dependents along was restarted, or is about to be."""
        if need.on_restart is not OnRestart.RESTART:
            return False
        name, spec = need.service, self.wanted.in_force(need.service)
        runs = self._host.machine.of_service(name)
        if any(other.started > run.started for other in runs):
            return True
        return spec is not None and any(
            other.digest != spec.digest
            or other.started < self._restart_asked.get(name, Nanos(-1))
            or self.appetites.has_outgrown(other)
            or any(self._is_renewed(further, other) for further in spec.needs)
            for other in runs
            if not other.is_empty or other.id not in self._ended
        )

    def _ends_in_order(self, need: ServiceName) -> None:
        """See that no dependent that has to end as well still runs."""
        for name in self.wanted.dependents(need):
            if self.wanted.width(name):
                continue
            running = [run for run in self._running(name) if not run.is_by_hand]
            left = [run.slot for run in running if not run.is_killed]
            assert left == [], f"{need} is stopped before {left[0]}"

    def _running(self, name: ServiceName) -> Iterator[Run]:
        for run in self._host.machine.all_live():
            if run.slot.service == name and run.id in self._live and run.id not in self._ended:
                yield run

    def _ends_one_by_one(self, decision: Decision, now: Nanos) -> None:
        """See that no need is asked to end in the very moment in which its dependent is.

        A need that is not ready in its time serves nobody, so its end waits for nobody's.
        """
        orders = [
            command
            for command in decision.commands
            if isinstance(command, Signal)
            and command.signal != "SIGKILL"
            and self._is_ending(command.run)
        ]
        asked = {order.slot.service for order in orders}
        needs = {order.slot.service for order in orders if not self._is_failing(order, now)}
        for need in needs:
            both = asked.intersection(self.wanted.dependents(need))
            assert not both, f"{need} and its dependents {sorted(both)} are stopped at once"

    def _is_asked(self, run_id: RunId) -> bool:
        return run_id in self._asked or run_id in self._asked_here

    def _is_failing(self, order: Signal, now: Nanos) -> bool:
        """Tell whether a process is stopped, and said to be stopped, since it did not come up."""
        spec = self.wanted.in_force(order.slot.service)
        is_said = "startTimeout" in order.because
        return is_said and spec is not None and self._is_late(self._host.runs[order.run], spec, now)

    def _is_ending(self, run_id: RunId) -> bool:
        """Tell whether a running process has to give way, rather than having failed."""
        run = self._host.runs[run_id]
        spec = self.wanted.in_force(run.slot.service)
        is_begun = run.asked_at is not None or self._is_asked(run_id)
        if run_id in self._ended or is_begun or spec is None:
            return False
        width = self.wanted.width(run.slot.service)
        is_replaced = run.digest != spec.digest and spec.schedule is None
        return not width or (is_replaced and run.slot.index < width)

    def _may_probe(self, command: Probe) -> None:
        assert self._host.runs[command.run].slot == command.slot, "a probe of another slot"

    # --- what is shown and recorded --------------------------------------------------------

    def _tells_the_truth(self, engine: Engine, now: Nanos) -> None:
        """See that nothing is shown as running that is known to have ended."""
        for status in engine.picture(now).services.values():
            for shown in status.slots:
                if shown.process is not None:
                    assert shown.process.run not in self._ended, f"{shown.slot} is dead"
                    assert shown.state is not State.STOPPED, f"{shown.slot} is not stopped"

    def recorded(self, decision: Decision, *, is_written: bool) -> None:
        """See that each end is on record once, and truly; what cannot be written waits."""
        self._is_carried_out = True
        self.hooks.recorded(decision)
        self._unwritten.append(decision)
        if is_written:
            written, self._unwritten = self._unwritten, []
            self.reloads.recorded(written)
            for one in written:
                self._asked.update(_to_end(one.remembered.slots.values()))
                self._count_ends(one)

    def _count_ends(self, decision: Decision) -> None:
        for memory in decision.remembered.slots.values():
            run = self._host.runs.get(memory.exited) if memory and memory.exited else None
            if run is None or memory is None or self._exits[run.id]:
                continue
            self._exits[run.id] += 1
            end, truth = memory.last_exit, run.exit
            assert end is not None, f"the end of {run.id} is not on record"
            heard = self._told_as.get(run.id)
            is_known = heard is not None and not heard.unknown
            assert not (end.unknown and is_known), f"{run.id} {heard}, which is not on record"
            if not end.unknown and truth is not None:
                said = (end.code, end.signal, end.oom)
                known = (truth.code, truth.signal, truth.oom)
                assert said == known, f"{run.id} did not end like that"
        for told in decision.happenings:
            if told.kind in ENDS and "run" in told.data:
                self._count_end(RunId(str(told.data["run"])))

    def _count_end(self, run: RunId) -> None:
        self._told_ends[run] += 1
        is_first = self._told_ends[run] == 1 or run in self._lost
        assert is_first, f"the end of {run} is told twice"

    def forgotten(self, runs: Iterable[RunId]) -> None:
        """See that the holder forgets no end that is not on record."""
        for run_id in runs:
            run = self._host.runs.get(run_id)
            if run is None or run.role is not Role.MAIN:
                continue
            is_ours = run.slot.index < self.wanted.width(run.slot.service)
            is_of_today = run.identity.boot == self._host.machine.boot
            is_stray = any(other.is_by_hand for other in self._host.machine.of(run.slot))
            if is_ours and is_of_today and not is_stray:
                is_known = run_id in self._lost or self._exits[run_id] or self._told_ends[run_id]
                assert is_known, f"the end of {run_id} is forgotten, not on record"


def _to_end(memories: Iterable[SlotMemory | None]) -> Iterator[RunId]:
    """Give the runs of which it was decided that they have to end."""
    return (one.asked for one in memories if one is not None and one.asked is not None)


def _is_taken_on_trust(spec: ServiceSpec) -> bool:
    """Tell whether a service need not prove that it is ready."""
    return spec.ready is None and spec.type is not ServiceType.NOTIFY


def _id(run: Run) -> RunId:
    return run.id


def _least_wait(backoff: Backoff, failures: int) -> Nanos:
    wait = float(backoff.initial)
    for _ in range(failures - 1):
        wait = min(wait * backoff.factor, float(backoff.max))
    return Nanos(round(min(wait, backoff.max)))
