"""A whole small world around the engine: a machine, a holder, a record, one daemon after another.

Nothing here waits: time jumps to the next moment at which something happens. The engine is driven
by `step` only, and the safety rules are looked at after every step (see rules.py).
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reconciler.adapters.sqlite.backlog import is_worth_writing
from reconciler.adapters.timetable import reckon
from reconciler.model.desired import ManifestSet
from reconciler.model.event import (
    Asked,
    Command,
    Decision,
    Event,
    Exited,
    FilesChanged,
    HostLooked,
    LookAtHost,
    ManifestsHeld,
    ManifestsRead,
    NextTime,
    Operation,
    OperationKind,
    TreeEmptied,
)
from reconciler.model.listening import CloseSockets
from reconciler.model.observed import Role, Slot, State
from reconciler.model.overlay import LayOver, Overlay
from reconciler.model.put_right import ProcessSeen
from reconciler.model.record import Memory
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import (
    Nanos,
    RunId,
    ServiceName,
    WallTime,
    milliseconds,
    minutes,
    seconds,
)
from tests.core.building import manifests, name, slot
from tests.sim.checkups import Checkups
from tests.sim.host import PROMPT, Host, Program, Run
from tests.sim.observed import ObservedEngine
from tests.sim.promises import Promises
from tests.sim.repository import Repository
from tests.sim.rules import Rules
from tests.sim.store import Store
from tests.sim.words import in_words

MANY_STEPS = 5_000
"""More than any of the small worlds here can need to come to rest."""
START = seconds(100)
MONDAY = 1_767_571_200.0
"""Midnight of 5 January 2026, UTC: what the wall clock shows in the beginning."""
BOOTING = 30.0
ENDS = (Exited, TreeEmptied, HostLooked)
"""Events after which the holder may have something to forget."""
PATROL = seconds(5)
"""Between two rounds in which it is seen what was done to processes."""
READING_TAKES = milliseconds(20)
CALMING = 35
"""Seconds after which the last fault has had its last effect, and the slow look has seen it."""
WELL_BEHAVED = Program()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an engine: what it was told, and what it decided."""

    events: list[Event]
    now: Nanos
    decision: Decision


@dataclass(slots=True)
class Doom:
    """A death that waits for a daemon: how far it comes in a step that has something to do."""

    point: str
    """`decided`: nothing was written down; `recorded`: nothing was done; `acting`: some was."""
    acts: int = 0
    """How many commands are carried out before an `acting` daemon dies."""
    down_for: float = 0.0


class World:
    """A host on which one daemon after another follows manifests."""

    def __init__(self, *specs: ServiceSpec, seed: int = 0, **programs: Program) -> None:
        self.now = START
        self.wall = MONDAY - START / seconds(1)
        """What the wall clock shows, in seconds, less the time since boot."""
        self.seed = seed
        self.store = Store()
        self.events = 0
        """How many events changed something; one that was heard before does not."""
        self.timers = 0
        """How often something became due by itself."""
        self.faults: Counter[str] = Counter()
        self._coming: list[tuple[Nanos, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._inbox: list[Event] = []
        self._life = 0
        self.host = Host(now=lambda: self.now, later=self._later, tell=self.tell, reply=self._reply)
        self.host.faults = self.faults
        self.decisions: list[Decision] = []
        self.lives: list[tuple[Memory, list[Step]]] = []
        """What each daemon began with, and every step of it."""
        self.rules = Rules(self.host)
        self.promises = Promises(self.host, self.rules)
        self.checkups = Checkups(self.host.machine, self._later, self.tell)
        self.repository = Repository()
        self.up_again_after: float | None = None
        """Seconds after which a daemon that was shut down is started again; None: never."""
        self.doom: Doom | None = None
        self.ambush: tuple[str, Callable[[], None]] | None = None
        """What happens in the moment after the next command of a kind."""
        self._wake_at: Nanos | None = None
        self._read: ManifestSet | None = None
        self._patrolling = -1
        """In which daemon's life somebody goes round."""
        self._odd: set[RunId] = set()
        """Processes that were found stopped or reniced when somebody last went round."""
        self._to_acknowledge = False
        self.finished = False
        self.is_checking = True
        """Whether the daemons of this world check their services by themselves."""
        self.host.machine.contents = self.repository.contents
        self.host.machine.changes_code = self.change_code
        self.become(**programs)
        self._begin()
        if specs:
            self.save(*specs)

    # --- what can be done to it ------------------------------------------------------------

    def become(self, **programs: Program) -> None:
        """Let services behave like this from their next start on."""
        self.host.programs.update({name(text): program for text, program in programs.items()})

    def save(
        self, *specs: ServiceSpec, invalid: Iterable[str] = (), broken: Iterable[str] = ()
    ) -> None:
        """Have these manifests read; `invalid` and `broken` name those that cannot be used."""
        self.read(manifests(*specs, invalid=invalid, broken=broken))

    def read(self, found: ManifestSet) -> None:
        """Have a set of manifests read, now and after every restart of the daemon."""
        self._read = found
        self.tell(ManifestsRead(manifests=found))

    def follow(self, repository: Repository) -> None:
        """Follow a repository from now on, whatever is saved there."""
        self.repository = repository
        self.host.machine.contents = repository.contents
        self.look_at_repository()

    def look_at_repository(self) -> None:
        """Have the manifests read in a moment, as the watch on their folder does."""
        repository, life = self.repository, self._life

        def read() -> None:
            if life != self._life:
                return
            if repository.is_held:
                self.tell(ManifestsHeld(because="a rebase is in progress"))
            else:
                self.tell(ManifestsRead(manifests=repository.read()))

        self._later(READING_TAKES, read)

    def hold(self, because: str) -> None:
        """Keep the manifests from being trusted."""
        self.tell(ManifestsHeld(because=because))

    def change_code(self, service: str) -> None:
        """Change a file of a service's code; where it is watched, that is seen at once."""
        self.tell(FilesChanged(service=name(service), files=("app.py",), count=1, at=self.now))

    def patrol(self) -> None:
        """Have somebody go round, as the daemon does, until all is as it should be."""
        life = self._life
        if self._patrolling != life:
            self._patrolling = life
            self._later(PATROL, lambda: self._go_round(life))

    def _go_round(self, life: int) -> None:
        if life != self._life:
            return
        self._patrolling = -1
        odd = set()
        for run in self.host.machine.all_live():
            spec = self.rules.wanted.in_force(run.slot.service)
            nice = (spec.nice if spec is not None else None) or 0
            is_odd = run.is_halted or run.nice is not None
            if run.exit is None and run.role is Role.MAIN and (is_odd or run.id in self._odd):
                nice = nice if run.nice is None else run.nice
                self.tell(
                    ProcessSeen(slot=run.slot, run=run.id, is_halted=run.is_halted, nice=nice)
                )
            if is_odd:
                odd.add(run.id)
        if odd | self._odd:
            self.patrol()
        self._odd = odd

    def ask(
        self, kind: OperationKind, *services: str, prune_id: str = "", reason: str = ""
    ) -> None:
        """Ask for something that is no change of a manifest."""
        operation = Operation(
            id=f"op-{next(self._count)}",
            kind=kind,
            services=tuple(map(name, services)),
            prune_id=prune_id,
            reason=reason,
        )
        self.tell(Asked(operation=operation))

    def lay_over(self, spec: ServiceSpec, lasts: Nanos) -> None:
        """Have a version of a service wanted for a while."""
        ends = WallTime(self.wall_now + lasts)
        one = Overlay(spec=spec, ends_at=Nanos(self.now + lasts), ends=ends, lasts=lasts)
        self.tell(LayOver(overlays=(one,)))

    def kill_daemon(self, *, down_for: float = 0.0) -> None:
        """Let the daemon die where it stands, and a new one begin with what was written down."""
        self._life += 1
        self.host.forsake()
        self._advance(Nanos(self.now + seconds(down_for)))
        self._begin()

    def stall(self, span: float) -> None:
        """Let the daemon stand still for a while, while everything else goes on."""
        self._advance(Nanos(self.now + seconds(span)))

    def _advance(self, until: Nanos) -> None:
        while self._coming and self._coming[0][0] <= until:
            self.now = max(self.now, self._coming[0][0])
            heapq.heappop(self._coming)[2]()
        self.now = until

    def forget_manifests(self) -> None:
        """Let nothing be read any more, as if the folder of manifests were out of reach."""
        self._read = None
        self._inbox = [event for event in self._inbox if not isinstance(event, ManifestsRead)]

    def sleep(self, span: float) -> None:
        """Let the whole host stand still for some seconds, as a closed laptop does."""
        later = seconds(span)
        self.rules.sleeps(self.now, later)
        self.now = Nanos(self.now + later)
        self._coming = [(Nanos(at + later), count, act) for at, count, act in self._coming]
        for run in self.host.machine.all_live():
            # Who sleeps has no time to end in.
            run.asked_at = None if run.asked_at is None else Nanos(run.asked_at + later)
            run.well_at = Nanos(run.well_at + later)
        self.host.busy_until = Nanos(self.host.busy_until + later)

    def reboot(self) -> None:
        """Restart the host: nothing runs, and what was remembered of slots means nothing."""
        self._coming.clear()
        self.wall += (self.now - START) / seconds(1) + BOOTING
        self.now = START
        self.rules.reboot()
        self.host.reboot()
        self.promises.reboot()
        self.kill_daemon()

    def lose_holder(self, *, seconds_long: float) -> None:
        """Cut the connection to the holder for a while."""
        self.host.is_lost = True
        self.host.lose()

        def mend() -> None:
            self.host.is_lost = False

        self._later(seconds(seconds_long), mend)

    def kill_holder(self, *, down_for: float = 0.0) -> None:
        """Kill the holder; the daemon has a new one after a while."""
        self.host.kill_holder()
        self._later(seconds(down_for), self.host.begin_holder)

    def end(self, service: str, index: int = 0, *, code: int | None = None) -> None:
        """End a process from outside: with a code of its own, or by SIGKILL."""
        run = self.run_of(service, index)
        signal = "SIGKILL" if code is None else None
        self.host.end(run, code=code, signal=signal)

    def calm(self) -> None:
        """Let nothing go wrong any more: every answer arrives, and programs behave."""
        self.mend()
        self.host.machine.behave(WELL_BEHAVED)
        self.host.machine.recover()
        self.pass_time(CALMING)

    def mend(self) -> None:
        """Let every answer arrive; programs go on as they are."""
        host, self.doom, self.ambush = self.host, None, None
        host.dies_at, host.machine.refuses, host.machine.undelivered = "", "", 0
        host.machine.failing.clear()
        host.is_lost = False
        host.machine.available = None
        host.machine.traces = True
        host.machine.strangers.clear()
        host.weather, host.dies_in_spawn = None, ""
        host.begin_holder()
        host.machine.is_short = False
        self.store.free()
        for faults in (host.loses_next, host.drops_next, host.doubles_next):
            faults.clear()
        host.delays.clear()

    def let_go(self) -> None:
        """Agree to every removal, and let everything that failed for good be tried again."""
        self.pass_time(1)
        if self.picture.prune is not None:
            self.ask(OperationKind.APPROVE_PRUNE, prune_id=self.picture.prune.id)
        self.ask(OperationKind.RESUME_ROLLOUT, *self.picture.services)
        self.ask(OperationKind.START, *self.picture.services)

    # --- letting time pass -----------------------------------------------------------------

    def step(self) -> Decision:
        """Let everything happen that is due next, and the engine take it in."""
        self.now = max(self.now, self._next_moment())
        while self._coming and self._coming[0][0] <= self.now:
            heapq.heappop(self._coming)[2]()
        events, self._inbox = self._inbox, []
        self.rules.before(events, self.now, self.wall_now)
        self.promises.before(events, self.now)
        decision = self.engine.step(events, self.now)
        self.lives[-1][1].append(Step(events, self.now, decision))
        self.decisions.append(decision)
        self._tally(events, decision)
        try:
            self.rules.after(self.engine, decision, self.now)
            if not self.rules.is_lenient:
                self.promises.after(self.engine, decision, self.now)
            self._carry_out(events, decision)
        except AssertionError as breach:
            breach.add_note(self.told())
            raise
        if self.is_checking:
            self.checkups.follow(self.engine.situation(self.now))
        return decision

    def _carry_out(self, events: Iterable[Event], decision: Decision) -> None:
        """Write down what was decided, then do it; a doomed daemon does not come to its end."""
        doom = self._doom_of(decision)
        if doom is not None and doom.point == "decided":
            self.kill_daemon(down_for=doom.down_for)
            return
        is_written = self.store.record(decision, self.now, self.wall_now / seconds(1))
        if not is_written and is_worth_writing(decision):
            self.faults["disk full"] += 1
        self.rules.recorded(decision, is_written=is_written)
        self.promises.recorded(is_written=is_written)
        if doom is not None and doom.point == "recorded":
            self.kill_daemon(down_for=doom.down_for)
            return
        told = self._to_forget(events, may=is_written and decision.may_acknowledge)
        for number, command in enumerate(decision.commands):
            if doom is not None and number >= doom.acts:
                break
            if isinstance(command, NextTime):
                self._tell_time(command)
            else:
                self.host.perform(command)
        if told is not None and doom is None:
            self.rules.forgotten(self.host.acknowledge(told))
        self._wake_at = decision.wake_at
        self.finished = self.finished or decision.finished
        if doom is not None:
            self.kill_daemon(down_for=doom.down_for)
        elif decision.finished and self.up_again_after is not None:
            again, self.up_again_after = self.up_again_after, None
            self.host.end_holder()
            self.kill_daemon(down_for=again)
        else:
            self._spring(decision.commands)

    def _spring(self, commands: Iterable[Command]) -> None:
        """Let happen what waits for a command of this kind."""
        if self.ambush is None:
            return
        kind, strike = self.ambush
        if any(type(command).__name__ == kind for command in commands):
            self.ambush = None
            strike()

    def _tell_time(self, question: NextTime) -> None:
        """Have the wall clock read, in a moment."""
        life = self._life

        def read() -> None:
            if life == self._life:
                self.tell(reckon(question, self.now, self.wall_now))

        self._later(PROMPT, read)

    def _doom_of(self, decision: Decision) -> Doom | None:
        """Give the death that comes in this step: one with something to do, if any waits."""
        doom = self.doom
        is_busy = decision.commands or not decision.remembered.is_empty
        if doom is None or not is_busy:
            return None
        self.doom = None
        self.faults["daemon died in a step"] += 1
        return doom

    def _to_forget(self, events: Iterable[Event], *, may: bool) -> int | None:
        """Give up to where the holder may forget, once what was begun has reached it.

        That is what it has told, if all of it is on record and no news of an end waits unread.
        """
        self._to_acknowledge |= any(
            isinstance(event, Exited | TreeEmptied | HostLooked) for event in events
        )
        is_waiting = self.host.is_holding_back or any(
            isinstance(event, Exited) for event in self._inbox
        )
        if not self._to_acknowledge or not may or is_waiting:
            return None
        self._to_acknowledge = False
        return self.host.told_seq

    def _tally(self, events: list[Event], decision: Decision) -> None:
        """Count what changed anything in what the engine knows or does: events, and timers."""
        self.events += self.engine.changed
        is_silent = not (decision.commands or decision.transitions or decision.happenings)
        if not events and not (is_silent and decision.remembered.is_empty):
            self.timers += 1

    def _next_moment(self) -> Nanos:
        moments = [self.now] if self._inbox else []
        moments += [self._coming[0][0]] if self._coming else []
        moments += [self._wake_at] if self._wake_at is not None else []
        return min(moments, default=self.now)

    def _idle(self, until: Nanos) -> None:
        """Let happen, up to a moment, what the daemon hears nothing of."""
        while self._coming and not self._inbox:
            at = self._coming[0][0]
            if at > until or (self._wake_at is not None and self._wake_at <= at):
                return
            self.now = max(self.now, at)
            heapq.heappop(self._coming)[2]()

    def pass_time(self, span: float) -> None:
        """Let seconds pass, and everything happen that is due in them."""
        until = Nanos(self.now + seconds(span))
        for _ in range(MANY_STEPS):
            self._idle(until)
            if self._next_moment() > until:
                # A daemon that died in a step may have been away for longer than that.
                self.now = max(self.now, until)
                return
            self.step()
        raise AssertionError(f"still busy after {MANY_STEPS} steps in {span} s\n{self.told()}")

    def until(self, condition: Callable[[], bool], *, within: float = 600) -> None:
        """Let time pass until something holds; fail if it does not come to hold."""
        limit, steps = Nanos(self.now + seconds(within)), len(self.decisions)
        while not condition():
            assert self.now <= limit, f"waited {within} s in vain\n{self.told()}"
            is_busy = len(self.decisions) - steps > MANY_STEPS
            assert not is_busy, f"still busy after {MANY_STEPS} steps\n{self.told()}"
            self.step()

    def settle(self, *, within: float = 600) -> None:
        """Let time pass until all is as wanted, as far as it can be."""
        # What was just done to the world must be noticed first.
        self.step()
        self.until(lambda: self.picture.converged and not self._inbox, within=within)

    def arrives(self) -> bool:
        """Tell whether the world comes to rest, and stays so for ten minutes."""
        self.settle()
        since, steps = len(self.decisions), len(self.decisions)
        self.pass_time(minutes(10) / seconds(1))
        assert steps <= MANY_STEPS, self.told()
        assert self.actions(since) == [], self.told()
        return True

    def actions(self, since: int) -> list[Command]:
        """Give what was done from a step on, but for looks, and for what a schedule asks for."""
        commands = [one for decision in self.decisions[since:] for one in decision.commands]
        return [
            one
            for one in commands
            if not isinstance(one, LookAtHost | NextTime | CloseSockets)
            and not self._is_scheduled(one.slot.service)
        ]

    def _is_scheduled(self, service: ServiceName) -> bool:
        """Tell whether a service runs on a schedule, or needs what another one does on its own."""
        spec = self.rules.wanted.in_force(service)
        if spec is None:
            return False
        return spec.schedule is not None or any(
            self._is_scheduled(need.service) for need in spec.needs
        )

    # --- what can be seen of it ------------------------------------------------------------

    @property
    def wall_now(self) -> WallTime:
        """Give what the wall clock shows."""
        return WallTime(self.now + round(self.wall * seconds(1)))

    @property
    def is_ending(self) -> bool:
        """Tell whether a shutdown is under way."""
        return self.rules.wanted.is_shutting_down

    @property
    def picture(self) -> Picture:
        return self.engine.picture(self.now)

    def status(self, service: str) -> ServiceStatus:
        return self.picture.services[name(service)]

    def state(self, service: str) -> State:
        return self.status(service).state

    def states(self) -> dict[str, str]:
        return {str(name): str(one.state) for name, one in self.picture.services.items()}

    def reason(self, service: str) -> str:
        return self.status(service).reason

    def holds(self, service: str) -> list[str]:
        """Give the reasons why slots of a service are left as they are."""
        return [
            hold.because
            for hold in self.picture.holds
            if hold.service == service and hold.slot is not None
        ]

    def runs(self, service: str, index: int = 0) -> list[Run]:
        """Give every process that a slot ever had, oldest first."""
        return [run for run in self.host.runs.values() if run.slot == slot(service, index)]

    def run_of(self, service: str, index: int = 0) -> Run:
        """Give the process that a slot has now."""
        (run,) = self.host.live(slot(service, index))
        return run

    def is_as_wanted(self, spec: ServiceSpec) -> bool:
        """Tell whether exactly what a manifest says runs, or has run and is done."""
        live = {run.slot.index: run for run in self.host.runs.values() if self._runs(run, spec)}
        if not spec.wants_to_run:
            return live == {}
        if spec.schedule is not None:
            return bool(live) or self.status(spec.name).reason_code == "Scheduled"
        if spec.is_oneshot or not live:
            code = self.status(spec.name).reason_code
            return code == "Completed" or (not spec.is_oneshot and code == "Exited")
        is_newest = all(run.digest == spec.digest for run in live.values())
        return is_newest and set(live) == set(range(spec.instances))

    def _runs(self, run: Run, spec: ServiceSpec) -> bool:
        return run.slot.service == spec.name and not run.is_empty

    def pids(self) -> dict[Slot, int]:
        return {run.slot: run.pid for run in self.host.runs.values() if not run.is_empty}

    def happened(self, kind: str, service: str | None = None) -> list[str]:
        """Give the reasons of all that was told of a kind."""
        return [
            happening.reason
            for decision in self.decisions
            for happening in decision.happenings
            if happening.kind == kind and (service is None or happening.service == service)
        ]

    @property
    def memory(self) -> Memory:
        """Give what is written down."""
        return self.store.memory()

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.store.replace(memory)
        self.rules.wanted.overlays.forget()

    @property
    def story(self) -> list[str]:
        """Give what happened, in words."""
        return self._words([step for _, steps in self.lives for step in steps])

    def told(self, lines: int = 60) -> str:
        """Give the end of the story."""
        steps = [step for _, steps in self.lives[-3:] for step in steps]
        return "\n".join(self._words(steps[-3 * lines :])[-lines:])

    def _words(self, steps: Iterable[Step]) -> list[str]:
        return [
            line
            for step in steps
            for line in in_words(step.events, step.decision, Nanos(step.now - START))
        ]

    # --- inside ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin a daemon's life with what an earlier one wrote down."""
        memory = self.store.load(self.host.machine.boot, self.now, self.wall_now / seconds(1))
        self._inbox.clear()
        self.engine = ObservedEngine(memory, self.seed)
        self.lives.append((memory, []))
        self.host.reconnect()
        self.rules.begin(memory)
        self.promises.begin()
        self.checkups.begin()
        self._wake_at, self._to_acknowledge = self.now, False
        self._odd.clear()
        if any(run.is_halted or run.nice is not None for run in self.host.machine.all_live()):
            self.patrol()
        self.finished = False
        if self._read is not None:
            self.tell(ManifestsRead(manifests=self._read))
        if self.repository.commits:
            self.look_at_repository()

    def _later(self, span: Nanos, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (Nanos(self.now + span), next(self._count), act))

    def tell(self, event: Event) -> None:
        """Put an event into the daemon's inbox."""
        self._inbox.append(event)

    def tell_later(self, span: Nanos, event: Event) -> None:
        """Tell the daemon of something later; another one does not hear of it."""
        self._reply(span, event)

    def _reply(self, span: Nanos, answer: Event) -> None:
        """Give an answer to the daemon that asked; it may be dead by then."""
        life = self._life
        self._later(span, lambda: self.tell(answer) if life == self._life else None)
