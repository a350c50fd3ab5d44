"""What must come to pass in time: looks repeated, probes asked, stops brought to an end, and more.

The rules say what may never be done; these say what may not be left undone while the daemon lives
and sees its host. They are stated in times that leave room for an answer on its way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from errno import EAGAIN

from reconciler.core.engine import Engine
from reconciler.model.event import (
    Asked,
    Command,
    Decision,
    Event,
    Exited,
    HostLooked,
    HostLost,
    LookAtHost,
    NextTime,
    Operation,
    OperationKind,
    Probe,
    ProbeAnswered,
    Signal,
    SignalAnswered,
    Spawn,
    SpawnFailed,
)
from reconciler.model.listening import CloseSockets
from reconciler.model.observed import Role, Slot, State
from reconciler.model.plan import HoldCode
from reconciler.model.put_right import PutRight
from reconciler.model.record import SlotMemory
from reconciler.model.spec import RestartPolicy
from reconciler.model.units import Nanos, RunId, Serial, ServiceName, milliseconds, seconds
from tests.sim.holder import RELOADS
from tests.sim.host import Host, Run
from tests.sim.rules import Rules

LOOK_AGAIN = seconds(10)
"""After which a look without an answer is asked for once more."""
PROBE_AGAIN = seconds(6)
"""A probe has five seconds, and the next one comes a quarter of one later."""
STOP_SLACK = seconds(15)
"""Answers may have to be waited for, and asked for again."""
WATCHDOG_SLACK = seconds(45)
"""A watchdog may begin anew when the host was out of sight, and the look that says so is slow."""
REPAIR_SLACK = seconds(30)
"""A repair that is not answered, or did not work, is tried again ten seconds later."""
RELOAD_SLACK = seconds(120)
"""A signal may have to be sent three times, and then again after half a minute."""
MAY_ASK_AGAIN = 2
OVERSLEPT = seconds(2)
"""A daemon that wakes so late cannot know whether its services stood still as well."""
SAMPLED_EVERY = 8


class Promises:
    """What the daemon owes its services, looked at after every step."""

    def __init__(self, host: Host, rules: Rules) -> None:
        self._host = host
        self._rules = rules
        self._steps = 0
        self._awake = Nanos(0)
        """How long the present daemon was awake, saw its host and knew what is wanted."""
        self._stepped_at: Nanos | None = None
        self._wake_at: Nanos | None = None
        self._look_asked: Nanos | None = None
        self._probed: dict[RunId, Nanos] = {}
        self._signals: dict[RunId, Serial] = {}
        """The last signal to each run."""
        self._again: Counter[RunId] = Counter()
        """How often a run was told to end that had been told before."""
        self._told_to_end: dict[RunId, tuple[Nanos, Nanos]] = {}
        """When, by `_awake`, a process was told to end, and how long it may take."""
        self._timed_out: set[RunId] = set()
        self._unheeded: dict[RunId, tuple[Nanos, Nanos]] = {}
        """When each process last said that it is well, and since when, by `_awake`, no more."""
        self._may_fail: Counter[Slot] = Counter()
        """What a slot may count as failures, since it counted the last time."""
        self._failures: dict[Slot, int] = {}
        self._owed: dict[RunId, Nanos] = {}
        """Since when, by `_awake`, a process is to be put right."""
        self._asked_before: set[RunId] = set()
        self._restarts_heard: dict[ServiceName, Nanos] = {}
        self.restarts: dict[ServiceName, Nanos] = {}
        """When restarts were asked for that are on record, the last one of each service."""
        self._reloads_heard: dict[ServiceName, Nanos] = {}
        self.reloads: dict[ServiceName, Nanos] = {}
        """When reloads were asked for of what can be reloaded, likewise."""
        self._unreloaded: dict[RunId, Nanos] = {}
        """Since when, by `_awake`, runs are up that have not loaded what they were asked to."""

    def begin(self) -> None:
        """Begin a daemon's life, which owes nothing yet."""
        self._stepped_at = self._wake_at = self._look_asked = None
        self._awake = Nanos(0)
        self._probed.clear()
        self._signals.clear()
        self._again.clear()
        self._told_to_end.clear()
        self._timed_out.clear()
        self._unheeded.clear()
        self._failures.clear()
        self._owed.clear()
        self._restarts_heard.clear()
        self._reloads_heard.clear()
        self._unreloaded.clear()

    def reboot(self) -> None:
        """Begin anew: whatever runs now was started after all that was asked for."""
        self.restarts.clear()
        self.reloads.clear()

    # --- before a step ---------------------------------------------------------------------

    def before(self, events: Iterable[Event], now: Nanos) -> None:
        """Note what the engine is about to hear."""
        self._note_time(now)
        for event in events:
            match event:
                case HostLooked(look=look):
                    self._look_asked = None
                    ended = [process.slot for process in look.processes if process.exit]
                    self._may_fail.update([*ended, *self._rules.starting()])
                case HostLost():
                    self._look_asked = None
                    for run_id, (_, patience) in self._told_to_end.items():
                        self._told_to_end[run_id] = (self._awake, patience)
                case SignalAnswered(serial=serial, problem=""):
                    self._note_delivered(serial)
                case SpawnFailed(
                    slot=slot,
                    is_busy=False,
                    is_short=False,
                    is_refused=False,
                    is_taken=False,
                    errno=number,
                ) if number != EAGAIN:
                    self._may_fail[slot] += 1
                case Exited(slot=slot):
                    self._may_fail[slot] += 1
                case ProbeAnswered(run=run):
                    self._probed[run] = now
                case Asked(operation=operation):
                    self._note_request(operation, now)
                case _:
                    pass

    def _note_request(self, operation: Operation, now: Nanos) -> None:
        if operation.kind is OperationKind.RESTART:
            known = [name for name in operation.services if self._rules.wanted.in_force(name)]
            self._restarts_heard.update(dict.fromkeys(known, now))
        elif operation.kind is OperationKind.RELOAD:
            able = [name for name in operation.services if self._can_reload(name)]
            self._reloads_heard.update(dict.fromkeys(able, now))

    def _can_reload(self, name: ServiceName) -> bool:
        spec = self._rules.wanted.in_force(name)
        return spec is not None and spec.reload is not None

    def _note_time(self, now: Nanos) -> None:
        last, self._stepped_at = self._stepped_at, now
        is_late = self._wake_at is not None and now - self._wake_at >= OVERSLEPT
        wanted = self._rules.wanted
        may_act = self._rules.sees_host and (wanted.is_told or wanted.is_shutting_down)
        if last is not None and may_act and not is_late:
            self._awake = Nanos(self._awake + now - last)

    def _note_delivered(self, serial: Serial) -> None:
        for run_id, latest in self._signals.items():
            run = self._host.runs[run_id]
            spec = self._rules.wanted.in_force(run.slot.service)
            if latest == serial and spec is not None:
                self._told_to_end[run_id] = (self._awake, spec.stop_timeout)

    # --- after a step ----------------------------------------------------------------------

    def after(self, engine: Engine, decision: Decision, now: Nanos) -> None:
        """Look whether everything that was due was done, and will be."""
        self._steps += 1
        self._wake_at = decision.wake_at
        for command in decision.commands:
            self._note(command, now)
        if self._look_asked is not None:
            self._wakes_by(Nanos(self._look_asked + LOOK_AGAIN), "ask for a look again")
        self._counts_failures(decision)
        self._puts_right()
        self._tells_what_was_asked(decision)
        self._kills_in_time()
        if decision.finished:
            self._is_really_finished()
        if self._steps % SAMPLED_EVERY == 0:
            self._keeps_probing(engine, now)
            self._heeds_words(engine, now)
            self._keeps_its_times(engine, decision, now)

    def _note(self, command: Command, now: Nanos) -> None:
        match command:
            case LookAtHost():
                self._look_asked = now
            case Probe(run=run):
                self._probed[run] = now
            case Signal(signal=signal) if signal not in RELOADS:
                self._note_signal(command)
            case Spawn(slot=slot, errand=errand) if errand is not None:
                # Where nobody answers, the time of its start ends all the same.
                self._may_fail[slot] += errand.role is Role.PRE_START
            case PutRight(run=run_id):
                self._owed.pop(run_id, None)
            case Signal() | Spawn() | NextTime() | CloseSockets():
                pass

    def _wakes_by(self, at: Nanos, what: str) -> None:
        is_in_time = self._wake_at is not None and self._wake_at <= at + milliseconds(1)
        assert is_in_time, f"it does not wake to {what}"

    def _note_signal(self, order: Signal) -> None:
        was_told = self._told_to_end.pop(order.run, None) is not None
        if order.signal == "SIGKILL":
            self._signals.pop(order.run, None)
            return
        self._again[order.run] += was_told
        # Once for the main process, and once for what it leaves behind.
        is_new = self._again[order.run] <= MAY_ASK_AGAIN
        assert is_new, f"{order.slot} is asked again and again, and never killed"
        self._signals[order.run] = order.serial
        if order.signal == "SIGABRT" or "imeout" in order.because:
            self._timed_out.add(order.run)

    def _puts_right(self) -> None:
        """See that what was done by hand to a process that is to go on is undone in time."""
        rules = self._rules
        runs = self._host.runs
        found = {*rules.drifts.halted(), *rules.drifts.reniced(rules.wanted.version, runs)}
        for run_id in found:
            run = runs[run_id]
            spec = rules.wanted.in_force(run.slot.service)
            is_old = spec is None or run.digest != spec.digest
            is_going = run.exit is not None or run.asked_at is not None or run_id in rules.asked
            is_wanted = run.slot.index < rules.wanted.width(run.slot.service)
            is_other = run.is_by_hand or len(self._host.live(run.slot)) > 1
            is_lost = run_id in rules.lost
            if is_old or is_going or is_other or is_lost or not is_wanted:
                self._owed[run_id] = self._awake
            since = self._owed.setdefault(run_id, self._awake)
            is_over = self._awake - since > REPAIR_SLACK
            assert not is_over, f"{run.slot} was stopped or reniced by hand, and stays so"
        self._owed = {run_id: at for run_id, at in self._owed.items() if run_id in found}

    def _kills_in_time(self) -> None:
        for run_id, (since, patience) in list(self._told_to_end.items()):
            run = self._host.runs[run_id]
            if run.is_empty:
                del self._told_to_end[run_id]
                continue
            has_had_it = self._host.now() > run.extended + STOP_SLACK
            is_overdue = has_had_it and self._awake - since > patience + STOP_SLACK
            assert not is_overdue, f"{run.slot} does not end and is not killed"

    def _keeps_probing(self, engine: Engine, now: Nanos) -> None:
        if not self._rules.sees_host:
            return
        for records in engine.situation(now).slots.values():
            for record in records.values():
                process, spec = (
                    record.process,
                    self._rules.wanted.in_force(record.memory.slot.service),
                )
                is_starting = record.state is State.STARTING and process is not None
                if not is_starting or process is None or process.exit is not None:
                    continue
                asked = self._probed.get(process.run)
                if spec is not None and spec.ready is not None and asked is not None:
                    self._wakes_by(Nanos(asked + PROBE_AGAIN), f"probe {process.slot}")

    def _heeds_words(self, engine: Engine, now: Nanos) -> None:
        """See that silence is noticed in time, and that readiness is."""
        if not self._rules.sees_host:
            return
        for records in engine.situation(now).slots.values():
            for record in records.values():
                run = self._host.runs.get(record.process.run) if record.process else None
                if run is None or run.exit is not None or run.id in self._rules.lost:
                    continue
                since = self._unheeded.setdefault(run.id, (run.well_at, self._awake))
                # What is to go waits for its dependents, be it silent or not.
                is_to_go = run.slot.index >= self._rules.wanted.width(run.slot.service)
                is_up = record.state is State.RUNNING and not is_to_go
                self._is_reloaded_in_time(run, is_up=is_up)
                if since[0] != run.well_at or not is_up:
                    self._unheeded[run.id] = (run.well_at, self._awake)
                    continue
                limit = run.watchdog + WATCHDOG_SLACK
                is_over = run.watchdog and self._awake - since[1] > limit
                may_be = "STOPPING=1" in run.has_said or run.is_by_hand
                assert not is_over or may_be, f"{run.slot} is silent, and nobody cares"

    def _is_reloaded_in_time(self, run: Run, *, is_up: bool) -> None:
        """See that a reload that somebody asked for comes to be, be another one under way."""
        spec = self._rules.wanted.in_force(run.slot.service)
        asked = self.reloads.get(run.slot.service, Nanos(-1))
        is_to_stay = is_up and spec is not None and run.digest == spec.digest
        if not is_to_stay or max(run.started, run.loaded_at) >= asked:
            self._unreloaded.pop(run.id, None)
            return
        since = self._unreloaded.setdefault(run.id, self._awake)
        is_over = self._awake - since > RELOAD_SLACK
        assert not is_over or run.is_by_hand, f"{run.slot} was to be reloaded, and nobody cares"

    def _keeps_its_times(self, engine: Engine, decision: Decision, now: Nanos) -> None:
        """See that it wakes by the time that it gives for going on."""
        if not self._rules.sees_host:
            return
        # What is ended in this step was to go on until then: the next picture says what is next.
        signals = [one for one in decision.commands if isinstance(one, Signal)]
        ended = {one.slot.service for one in signals}
        for hold in engine.picture(now).holds:
            if hold.until is not None and hold.until > now and hold.service not in ended:
                self._wakes_by(hold.until, f"go on with {hold.slot or hold.service}")
            if hold.code in (HoldCode.EXITED, HoldCode.COMPLETED) and hold.slot is not None:
                self._has_restarted(hold.slot)

    def _has_restarted(self, slot: Slot) -> None:
        """See that nothing stays down as done of which a restart was asked for meanwhile."""
        runs = self._host.machine.of(slot)
        asked = self.restarts.get(slot.service, Nanos(-1))
        is_new = runs == [] or runs[-1].started >= asked or runs[-1].id in self._rules.lost
        assert is_new, f"{slot} was to be restarted, and stays down as done"

    def recorded(self, *, is_written: bool) -> None:
        """Owe what was asked for once it is on record; before that it may be lost."""
        if is_written:
            self.restarts.update(self._restarts_heard)
            self._restarts_heard.clear()
            self.reloads.update(self._reloads_heard)
            self._reloads_heard.clear()
        self.reloads = {name: at for name, at in self.reloads.items() if self._can_reload(name)}

    # --- what is counted and told ----------------------------------------------------------

    def _counts_failures(self, decision: Decision) -> None:
        for slot, memory in decision.remembered.slots.items():
            before = self._failures.pop(slot, None)
            if memory is None:
                continue
            count = memory.trouble.failures
            self._failures[slot] = count
            if before is not None and count > before:
                may = before + self._may_fail.pop(slot, 0)
                assert count <= may, f"{slot} counts {count} failures where there were {may}"
            self._gives_up_rightly(slot, memory)

    def _gives_up_rightly(self, slot: Slot, memory: SlotMemory) -> None:
        spec = self._rules.wanted.in_force(slot.service)
        if not memory.trouble.gave_up or spec is None or memory.tried != spec.digest:
            return
        if spec.restart is RestartPolicy.NEVER or self._rules.was_changed(slot.service):
            return
        most = spec.max_restarts
        is_right = most is not None and memory.trouble.failures > most
        assert is_right, f"{slot} gave up after {memory.trouble.failures} failures of {most}"

    def _tells_what_was_asked(self, decision: Decision) -> None:
        """See that the end of what was asked to end is not told as its own doing."""
        for told in decision.happenings:
            run = RunId(str(told.data.get("run", "")))
            is_own = told.kind in ("service.crashed", "service.completed")
            is_exempt = run in self._timed_out or run in self._rules.lost
            if is_own and run in self._asked_before and not is_exempt:
                raise AssertionError(f"{told.slot} was asked to end, and told as {told.kind}")
        self._asked_before = set(self._rules.asked)

    def _is_really_finished(self) -> None:
        left = [
            run
            for run in self._host.machine.all_live()
            if not (run.is_killed or run.is_by_hand) and run.id not in self._rules.lost
        ]
        assert left == [], f"a shutdown is over, and {left[0].slot} runs"
