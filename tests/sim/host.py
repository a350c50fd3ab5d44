"""A simulated host with a holder, as honest as the real one: it only does what it is told to.

It knows no rule of Weaver. Programs misbehave as they are told; the connection to the holder may
be lost for a while, and answers may get lost, come late, or come twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from reconciler.model.event import (
    Event,
    Exited,
    HostLooked,
    HostLost,
    LookAtHost,
    Probe,
    ProbeAnswered,
    Scope,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Exit, Look, Process, ProcessId, Slot
from reconciler.model.units import MILLISECOND, Digest, Nanos, RunId, ServiceName, seconds

BOOT = "boot-1"
PROMPT = Nanos(MILLISECOND)
"""How long an answer takes."""
GONE = "the holder has left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How the processes of a service behave."""

    cannot_run: str = ""
    """Why its start fails; empty when it works."""
    ready_after: Nanos | None = Nanos(0)
    """When probes begin to pass; None: never."""
    lives_for: Nanos | None = None
    """When it ends by itself; None: never, unless it is a oneshot."""
    oneshot_takes: Nanos | None = seconds(2)
    """When it ends by itself if it is a oneshot."""
    code: int = 0
    """What it then exits with."""
    ends_in: Nanos | None = PROMPT
    """How long it takes to end when asked to; None: it ignores that."""
    leaves_child: bool = False
    """Whether a child outlives its main process, until it is asked to end as well."""
    child_ignores: bool = False
    """Whether that child has to be killed."""
    unkillable: bool = False


@dataclass(slots=True, kw_only=True)
class Run:
    """One start of one slot, as the holder knows it."""

    slot: Slot
    id: RunId
    pid: int
    digest: Digest
    started: Nanos
    program: Program
    exit: Exit | None = None
    is_empty: bool = False
    is_told: bool = False
    """Whether the daemon has taken in that it is over."""
    asked_at: Nanos | None = None
    """When it was first asked to end."""

    @property
    def identity(self) -> ProcessId:
        return ProcessId(boot=BOOT, pid=self.pid, born=self.pid * 10)

    def is_ready(self, now: Nanos) -> bool:
        delay = self.program.ready_after
        return delay is not None and now >= self.started + delay and self.exit is None

    def shown(self) -> Process:
        return Process(
            slot=self.slot,
            id=self.identity,
            run=self.id,
            digest=self.digest,
            started=self.started,
            exit=self.exit,
            tree_empty=self.is_empty,
        )


Later = Callable[[Nanos, Callable[[], None]], None]
"""Have something done after a span of time."""


@dataclass(slots=True, kw_only=True)
class Host:
    """The processes of one machine and the holder that holds them."""

    now: Callable[[], Nanos]
    later: Later
    tell: Callable[[Event], None]
    """Puts an event into the daemon's inbox."""
    reply: Callable[[Nanos, Event], None]
    """Puts an answer into it after a span of time."""
    programs: dict[ServiceName, Program] = field(default_factory=dict)
    runs: dict[RunId, Run] = field(default_factory=dict)
    by_slot: dict[Slot, list[Run]] = field(default_factory=dict)
    started: int = 0
    busy_refusals: int = 0
    is_haunted: bool = False
    """Whether every slot is refused as taken, though nothing shows in a look."""
    is_lost: bool = False
    """Whether the daemon has no connection to the holder."""
    loses_next: set[str] = field(default_factory=set)
    """Kinds of commands whose next answer is lost: `Spawn`, `Signal`, `LookAtHost`, `Probe`."""
    drops_next: set[str] = field(default_factory=set)
    """Kinds of commands of which the next one never arrives."""
    doubles_next: set[str] = field(default_factory=set)
    delays: dict[str, Nanos] = field(default_factory=dict)
    """How long the answers to commands of a kind take, where not as long as usual."""

    def live(self, slot: Slot) -> list[Run]:
        """Give the runs of a slot of which something lives."""
        return [run for run in self.by_slot.get(slot, ()) if not run.is_empty]

    # --- commands --------------------------------------------------------------------------

    def perform(self, command: Spawn | Signal | Probe | LookAtHost) -> None:
        """Do what was asked for, at once, and answer a little later."""
        kind = type(command).__name__
        if kind in self.drops_next:
            self.drops_next.discard(kind)
            return
        answer = self._answer(command)
        if kind in self.loses_next:
            self.loses_next.discard(kind)
            return
        delay = self.delays.get(kind, PROMPT)
        for _ in range(2 if kind in self.doubles_next else 1):
            self.reply(delay, answer)
        self.doubles_next.discard(kind)

    def _answer(self, command: Spawn | Signal | Probe | LookAtHost) -> Event:
        match command:
            case Spawn():
                return self._spawn(command)
            case Signal():
                return self._signal(command)
            case LookAtHost():
                return self._look(command)
            case Probe():
                run = self.runs.get(command.run)
                passed = run is not None and run.is_ready(self.now())
                return ProbeAnswered(
                    serial=command.serial,
                    slot=command.slot,
                    run=command.run,
                    passed=passed,
                    detail="" if passed else "connection refused",
                )

    def _spawn(self, command: Spawn) -> Event:
        failed = SpawnFailed(
            serial=command.serial, slot=command.slot, step="exec", errno=2, because=""
        )
        if self.is_lost:
            return replace(failed, because=GONE, is_busy=True)
        program = self.programs.get(command.slot.service, Program())
        if self.live(command.slot) or self.is_haunted:
            self.busy_refusals += 1
            return replace(failed, because="its former run is still there", is_busy=True)
        if program.cannot_run:
            return replace(failed, because=program.cannot_run)
        is_oneshot = command.spec.is_oneshot
        run = self.start(command.slot, command.spec.digest, program, is_oneshot=is_oneshot)
        return Spawned(serial=command.serial, process=run.shown())

    def start(
        self, slot: Slot, digest: Digest, program: Program, *, is_oneshot: bool = False
    ) -> Run:
        """Start a process, whoever wants it."""
        self.started += 1
        run = Run(
            slot=slot,
            id=RunId(f"run-{self.started}"),
            pid=100 + self.started,
            digest=digest,
            started=self.now(),
            program=program,
        )
        self.runs[run.id] = run
        self.by_slot.setdefault(slot, []).append(run)
        lives_for = program.lives_for
        if lives_for is None and is_oneshot:
            lives_for = program.oneshot_takes
        if lives_for is not None:
            self.later(lives_for, lambda: self.end(run, code=program.code))
        return run

    def _signal(self, command: Signal) -> Event:
        run = self.runs.get(command.run)
        answered = SignalAnswered(serial=command.serial, slot=command.slot)
        if self.is_lost:
            return replace(answered, problem=GONE)
        if run is None or run.is_empty:
            return replace(answered, problem="not there any more")
        if command.signal == "SIGKILL":
            if not run.program.unkillable:
                self.later(PROMPT, lambda: self.end(run, signal="SIGKILL", leaves_child=False))
            return answered
        if run.asked_at is None:
            run.asked_at = self.now()
        if run.exit is None and run.program.ends_in is not None:
            self.later(run.program.ends_in, lambda: self.end(run, signal=command.signal))
        if run.exit is not None and command.scope is Scope.TREE and not run.program.child_ignores:
            self.later(PROMPT, lambda: self._empty(run))
        return answered

    def _look(self, command: LookAtHost) -> Event:
        if self.is_lost:
            return HostLost(because=GONE)
        shown = [run.shown() for run in self.runs.values() if not (run.is_empty and run.is_told)]
        return HostLooked(look=Look(serial=command.serial, boot=BOOT, processes=tuple(shown)))

    # --- what happens by itself ------------------------------------------------------------

    def end(
        self,
        run: Run,
        *,
        code: int | None = None,
        signal: str | None = None,
        leaves_child: bool | None = None,
    ) -> None:
        """End a main process, and with it its tree unless a child outlives it."""
        leaves_child = run.program.leaves_child if leaves_child is None else leaves_child
        if run.exit is None:
            run.exit = Exit(at=self.now(), code=code, signal=signal)
            self._tell_unless_lost(Exited(slot=run.slot, run=run.id, exit=run.exit))
        if not leaves_child:
            self._empty(run)

    def _empty(self, run: Run) -> None:
        if not run.is_empty:
            run.is_empty = True
            self._tell_unless_lost(TreeEmptied(slot=run.slot, run=run.id))

    def _tell_unless_lost(self, event: Event) -> None:
        if not self.is_lost:
            self.tell(event)

    def acknowledge(self, events: Iterable[Event]) -> None:
        """Forget the runs of which the daemon was told that they are over."""
        for event in events:
            told: list[RunId] = []
            if isinstance(event, TreeEmptied):
                told = [event.run]
            elif isinstance(event, HostLooked):
                told = [process.run for process in event.look.processes if process.tree_empty]
            for run in told:
                self.runs[run].is_told = True

    def lose(self) -> None:
        """Cut the connection to the holder; processes run on."""
        self.is_lost = True
        self.tell(HostLost(because=GONE))

    def reboot(self) -> None:
        """End every process without a word."""
        for run in self.runs.values():
            if not run.is_empty:
                # In another boot no time means what it meant.
                run.exit, run.started, run.is_empty = (
                    Exit(at=Nanos(0), unknown=True),
                    Nanos(0),
                    True,
                )
