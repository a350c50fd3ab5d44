"""What the daemons of a simulated world were told, as the rules count it.

Nothing here is asked of the engine: it is what really runs, and what was said of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from errno import EAGAIN

from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    Exited,
    FilesChanged,
    HostLooked,
    HostLost,
    ManifestsRead,
    Notified,
    Operation,
    OperationKind,
    ProbeAnswered,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    TimeTold,
    TreeEmptied,
)
from reconciler.model.observed import Exit, Look, Process, Role, Slot
from reconciler.model.overlay import LayOver, TakeAway
from reconciler.model.put_right import PutRight
from reconciler.model.record import Memory, SlotMemory
from reconciler.model.spec import (
    RestartPolicy,
    ServiceSpec,
    ServiceType,
    WatchAction,
)
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, WallTime, seconds
from tests.sim.ailments import AilmentRules
from tests.sim.appetites import AppetiteRules
from tests.sim.drifts import DriftRules
from tests.sim.hook_rules import HookRules
from tests.sim.host import Host, Run
from tests.sim.refusals import RefusalRules
from tests.sim.reloads import ReloadRules
from tests.sim.timetables import Timetables
from tests.sim.wanted import Wanted

CLEAN = ("SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE")
MAY_BE_ITS_OWN = seconds(3)
"""A change so soon after the end of a process may have been its last deed."""
READY_AFTER = seconds(1)
"""When a service counts as ready whose manifest says nothing of it."""


_Counted = tuple[
    dict[Slot, int],
    dict[Slot, Nanos],
    dict[Slot, str],
    dict[ServiceName, Nanos],
    set[RunId],
    dict[Slot, Digest],
]


class Heard:
    """What must be known of a world to say what its daemon may do."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.is_lenient = False
        """Whether the engine is wrong on purpose, or cannot know better."""
        self.wanted, self.timetables = Wanted(), Timetables()
        self._scheduled_at: dict[ServiceName, Nanos] = {}
        """When a service was put on a schedule that had none before."""
        self.wall = WallTime(0)
        self._slept: list[tuple[Nanos, Nanos]] = []
        """When the host fell asleep, and for how long."""
        self.reloads, self.refusals = ReloadRules(), RefusalRules()
        self.appetites, self.ailments, self.drifts = AppetiteRules(), AilmentRules(), DriftRules()
        self.hooks = HookRules(host, self.wanted)
        # What the present daemon was told.
        self._live: set[RunId] = set()
        self._ended: dict[RunId, Exit] = {}
        self._told_as: dict[RunId, Exit] = {}
        """How each run ended as it was told first; unknown where only its tree was told empty."""
        self._has_looked = self._looks_now = False
        """What a look asks for is done, be the host lost again in the same step."""
        self._steps = self._serial = self._blind_until = 0
        """The last command; a look that was asked for before the host was lost counts no more."""
        self._starts: dict[int, tuple[Slot, Nanos, Digest]] = {}
        """When each start was asked for, by serial; until it is known to have failed."""
        # The version that each slot was last started in.
        self._tried: dict[Slot, Digest] = {}
        # What any daemon was told.
        self._judged: set[RunId] = set()
        self._asked: set[RunId] = set()
        """Of which it is on record that they have to end, be the signal sent or not."""
        self._asked_here: set[RunId] = set()
        """... or of which the present daemon decided it."""
        self._ready: set[RunId] = set()
        self._failures: dict[Slot, int] = {}
        self._perhaps_failing: set[Slot] = set()
        """Slots that had failed, as far as a daemon remembers, which nobody can say from here.

        A shutdown was asked for that may not have come to be, or a record was not written, or
        nothing came of a start.
        """
        self._failed_at: dict[Slot, Nanos] = {}
        self._done: dict[Slot, str] = {}
        """The version of a oneshot that completed."""
        self._for_code: dict[Slot, list[Nanos]] = {}
        """When each slot was started since its code changed."""
        self._lately: dict[Slot, list[Nanos]] = {}
        """When each slot was started in the last second, since people last changed their mind."""
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
            failures, failed_at, done, restarts, judged, tried = self._before_step
            self._failures, self._failed_at, self._done = failures, failed_at, done
            self._restart_asked, self._judged, self._tried = restarts, judged, tried
            self._is_carried_out = True
        self._asked.update(to_end(memory.slots.values()))
        self.reloads.begin()
        self.appetites.begin()
        self.ailments.begin(is_lost=bool(self._unwritten))
        self.drifts.begin()
        self.refusals.begin()
        self.hooks.begin()
        self._asked_here.clear()
        # What changes its own files is found out by each daemon for itself.
        self._for_code.clear()
        self._serial = self._blind_until = 0
        self._live, self._ended, self._starts, self._told_as = set(), {}, {}, {}
        self._has_looked = False
        if self._unwritten:
            self.hooks.is_exempt = True
            self._lost.update(self._host.runs)
            self._ready.clear()
            # What was never written down is nobody's to know.
            self._unwritten.clear()
            self._perhaps_failing.update(self._failures)
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
            dict(self._tried),
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

    def sleeps(self, now: Nanos, span: Nanos) -> None:
        """Note that the host stands still for a while."""
        self._slept.append((now, span))

    def reboot(self) -> None:
        """Begin anew: no failure and no work that was done outlives the host's boot."""
        for slot in self.timetables.slots():
            self.timetables.has_come_to_nothing(slot, self._newest(slot))
        for known in (self._failures, self._restart_asked, self._done, self._lately):
            known.clear()
        self._perhaps_failing.clear()
        self._slept.clear()
        self.wanted.overlays.reboot()
        self.timetables.reboot()
        self._scheduled_at.clear()
        self.hooks.reboot()
        self.ailments.reboot()

    # --- before a step ---------------------------------------------------------------------

    def before(self, events: Iterable[Event], now: Nanos, wall: WallTime) -> None:
        """Note what the engine is about to hear."""
        self.wall, self.wanted.now = wall, now
        self.wanted.overlays.before(now, wall)
        self.timetables.read_clock(wall)
        self._is_carried_out = self._looks_now = False
        self.reloads.before(events, now)
        self.drifts.before(events)
        self.appetites.before(events, self._host.runs, self.wanted.version)
        self.ailments.before(events, self._host.runs, self.wanted.version, now)
        self.refusals.before(events)
        self._before_step = self._counted()
        for event in events:
            match event:
                case ManifestsRead(manifests=found):
                    self.wanted.read(found)
                    self._lately.clear()
                case LayOver() | TakeAway():
                    self.wanted.lay_over(event, now)
                    self._lately.clear()
                case Asked(operation=operation):
                    self._note(operation, now)
                case FilesChanged():
                    self._note_code(event)
                case TimeTold():
                    self.timetables.hear(event)
                case HostLost():
                    self._blind_until, self._has_looked = self._serial, False
                case HostLooked(look=look) if look.serial > self._blind_until:
                    self._has_looked = self._looks_now = True
                    for process in look.processes:
                        self._meet(process, now)
                    self._note_void_starts(look)
                case _:
                    self._hear_of_one(event, now)
        self.wanted.pass_time(now)

    def _hear_of_one(self, event: Event, now: Nanos) -> None:
        """Note what the engine is about to hear of one process."""
        match event:
            case Exited(run=run, slot=slot, exit=end, role=Role.MAIN):
                self._hear(run, slot, end, now)
            case Exited(run=run, slot=slot, exit=end, role=Role.PRE_START):
                self.hooks.hear(slot, run, end)
            case TreeEmptied(run=run):
                self._live.discard(run)
                self._told_as.setdefault(run, Exit(at=now, unknown=True))
            case Spawned(process=process) if process.role is Role.MAIN:
                self._see(process, now)
            case SpawnFailed(
                serial=serial,
                is_busy=False,
                is_short=False,
                is_refused=False,
                is_taken=False,
                errno=number,
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
                # What it brings to rest is forgiven; its daemon may not live to do that.
                self._perhaps_failing.update(self._failures)
                self._failures.clear()
                self.ailments.rests()
            case OperationKind.START:
                self._ask_for_a_run(operation, now)
            case OperationKind.RESTART:
                self._ask_for_a_run(operation, now)
                self._restart_asked.update(dict.fromkeys(operation.services, now))
            case _:
                pass

    def _ask_for_a_run(self, operation: Operation, now: Nanos) -> None:
        # What was started in this very moment may be what is asked for, and fail.
        self._perhaps_failing.update(slot for slot in self._failures if self._newest(slot) == now)
        self._forgive(operation.services)
        for name in operation.services:
            self.timetables.asked(name, now)

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

    def _meet(self, process: Process, now: Nanos) -> None:
        """Note what a look shows of one process."""
        if process.role is Role.MAIN:
            self._see(process, now)
        elif process.role is Role.PRE_START and process.exit is not None:
            self.hooks.hear(process.slot, process.run, process.exit)

    def _note_void_starts(self, look: Look) -> None:
        """Note of which starts, asked for before a look, nothing is to be found."""
        for serial, (slot, at, _) in self._starts.items():
            if serial < look.serial and self._newest(slot) < at:
                self._perhaps_failing.add(slot)

    def _see(self, process: Process, now: Nanos) -> None:
        if process.exit is not None:
            self._hear(process.run, process.slot, process.exit, now)
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

    def _hear(self, run_id: RunId, slot: Slot, end: Exit, now: Nanos) -> None:
        self._ended.setdefault(run_id, end)
        self._told_as.setdefault(run_id, end)
        self.hooks.hear_of_main(run_id)
        run = self._host.runs.get(run_id)
        if run is None:
            # A start that the holder did not live to make, and that may count as a failure.
            self._perhaps_failing.add(slot)
            return
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
        if run.started < self._restart_asked.get(spec.name, Nanos(0)):
            # Somebody has asked for its restart already, whatever became of it, and however well.
            return
        if not is_well or spec.restart is RestartPolicy.ALWAYS:
            self._fail(run.slot, now)
        elif self._was_up(run, spec, end):
            # What ended well, and is not wanted again by itself, has failed no more.
            self._failures.pop(run.slot, None)

    def _was_up(self, run: Run, spec: ServiceSpec, end: Exit) -> bool:
        is_proved = run.id in self._ready
        is_spared = is_taken_on_trust(spec) and end.at - run.started >= READY_AFTER
        return spec.is_oneshot or is_proved or is_spared

    def _note_failed_start(self, serial: int) -> None:
        self.hooks.could_not_run(serial)
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
        self.ailments.forgive(services)
        self.refusals.forgive(services)

    def _is_asked(self, run_id: RunId) -> bool:
        return run_id in self._asked or run_id in self._asked_here

    def _newest(self, slot: Slot) -> Nanos:
        """Give when the last process of a slot was started since the host's boot."""
        last = self._last_run(slot)
        return Nanos(-1) if last is None else last.started

    def _last_run(self, slot: Slot) -> Run | None:
        machine = self._host.machine
        runs = (run for run in machine.of(slot) if run.identity.boot == machine.boot)
        return max(runs, key=lambda run: run.started, default=None)

    def _may_act(self, command: Spawn | Signal | PutRight) -> None:
        assert command.because, f"{command.slot}: a command without a reason"
        has_looked = self._has_looked or self._looks_now or self.is_lenient
        assert has_looked, f"{command.slot}: the host was not looked at"
        run = self._host.runs.get(command.run) if isinstance(command, Signal) else None
        # What an earlier daemon has begun to stop may be brought to its end.
        is_begun = run is not None and (run.asked_at is not None or self._is_asked(run.id))
        may = self.wanted.is_told or self.wanted.is_shutting_down or is_begun
        assert may, f"{command.slot}: the manifests were not read"


def to_end(memories: Iterable[SlotMemory | None]) -> Iterator[RunId]:
    """Give the runs of which it was decided that they have to end."""
    return (one.asked for one in memories if one is not None and one.asked is not None)


def is_taken_on_trust(spec: ServiceSpec) -> bool:
    """Tell whether a service need not prove that it is ready."""
    return spec.ready is None and spec.type is not ServiceType.NOTIFY
