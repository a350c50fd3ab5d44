"""A simulated machine: its boots, its pids, and the processes that live on it, whoever knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.model.observed import Exit, Process, ProcessId, Role, Slot
from reconciler.model.units import MILLISECOND, Digest, Nanos, RunId, ServiceName, seconds

BOOT = "boot-1"
PROMPT = Nanos(MILLISECOND)
"""How long it takes what is quick: an answer, or to end when asked to."""
WRITES_AFTER = Nanos(500 * MILLISECOND)
NEVER = Nanos(0)
QUEUE = 10
"""Datagrams that wait in a socket; who says more has to wait itself, or is not heard."""
SAYINGS = ("READY=1", "STOPPING=1", "WATCHDOG=trigger")
PIDS = range(300, 348)
"""Few, so that they are soon used again."""

Later = Callable[[Nanos, Callable[[], None]], None]
"""Have something done after a span of time."""


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
    writes_code: bool = False
    """Whether it changes a file that it is watched for, half a second after each start."""
    silent_after: Nanos | None = None
    """When it stops to say that it is well; None: never."""
    hooks_take: Nanos | None = Nanos(10 * MILLISECOND)
    """How long each hook of its service takes; None: it hangs."""
    hooks_code: int = 0
    """What each hook exits with."""
    hooks_leave_child: bool = False
    hooks_cannot_run: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    """One start of one slot: a main process, and perhaps a child that outlives it."""

    slot: Slot
    id: RunId
    identity: ProcessId
    digest: Digest
    started: Nanos
    program: Program
    role: Role = Role.MAIN
    place: int = 0
    exit: Exit | None = None
    """How its main process really ended."""
    is_empty: bool = False
    """Whether nothing of it is left."""
    asked_at: Nanos | None = None
    """When it was first asked to end."""
    is_killed: bool = False
    """Whether it was sent SIGKILL, be it in vain."""
    is_by_hand: bool = False
    """Whether somebody started it in our place."""
    reloads: int = 0
    """How often it was told to load its configuration anew."""
    loaded_at: Nanos = NEVER
    """When it was told so last."""
    loaded: dict[str, str] = field(default_factory=dict)
    """What the files held that it loads, when it last did."""
    speaks: bool = False
    """Whether it was given a notify socket."""
    watchdog: Nanos = Nanos(0)
    """How often it has to say that it is well; 0: it need not."""
    is_silent: bool = False
    """Whether it says so no more."""
    well_at: Nanos = Nanos(0)
    """When it last said so; in the beginning, when it was started."""
    is_sick: bool = False
    """Whether its checks fail."""
    has_said: set[str] = field(default_factory=set)
    """What it has said at least once: `READY`, `STOPPING`, `trigger`."""
    extended: Nanos = Nanos(0)
    """Until when it asked for time to start."""
    unheard: list[bytes] = field(default_factory=list)
    """What waits in its socket since no holder reads."""
    sockets: tuple[str, ...] = ()
    """The addresses that it listens on, by sockets that it was given."""
    is_halted: bool = False
    """Whether somebody stopped it by SIGSTOP."""
    nice: int | None = None
    """What somebody reniced it to; None: as it was started."""
    is_endless: bool = False
    """Whether it is work that never comes to its end by itself."""

    @property
    def pid(self) -> int:
        return self.identity.pid

    def shown(self) -> Process:
        """Give what a look at the host truly shows of it."""
        return Process(
            slot=self.slot,
            id=self.identity,
            run=self.id,
            digest=self.digest,
            started=self.started,
            exit=self.exit,
            tree_empty=self.is_empty,
            role=self.role,
            place=self.place,
        )

    def is_ready(self, now: Nanos) -> bool:
        delay = self.program.ready_after
        is_old_enough = delay is not None and now >= self.started + delay
        return is_old_enough and self.exit is None and not self.is_halted


class Witness(Protocol):
    """Sees processes end: the holder."""

    def saw_exit(self, run: Run) -> None: ...

    def saw_empty(self, run: Run) -> None: ...

    def heard(self, run: Run, words: bytes) -> None: ...


@dataclass(slots=True, kw_only=True)
class Machine:
    """The truth about what runs."""

    now: Callable[[], Nanos]
    later: Later
    programs: dict[ServiceName, Program] = field(default_factory=dict)
    fates: dict[Digest, Program] = field(default_factory=dict)
    """What processes of some versions are like, whatever those of others are."""
    runs: dict[RunId, Run] = field(default_factory=dict)
    """Every process that was ever started."""
    by_slot: dict[Slot, list[Run]] = field(default_factory=dict)
    alive: dict[Slot, list[Run]] = field(default_factory=dict)
    """Those of which something lives."""
    contents: dict[str, str] = field(default_factory=dict)
    """What the files hold now that services load."""
    available: int | None = None
    """The bytes of memory that new processes may have; None: enough for any."""
    changes_code: Callable[[str], None] = lambda _: None
    errands: dict[tuple[Slot, Role], list[Run]] = field(default_factory=dict)
    """Hooks that were ever started, by their slot and role."""
    witness: Witness | None = None
    onlooker: Callable[[Run], None] | None = None
    """Told of every end of a main process, whoever its parent is: the daemon, by pidfd."""
    tells: bool = False
    """Whether the kernel keeps how a process ended for those who are not its parent."""
    is_short: bool = False
    """Whether it has no process to give."""
    traces: bool = True
    """Whether the kernel lets a holder take sockets back out of processes."""
    denied: set[str] = field(default_factory=set)
    """The addresses that a holder could not take back, since it did not let it."""
    strangers: dict[str, str] = field(default_factory=dict)
    """Who listens at addresses that is none of ours."""
    refuses: str = ""
    """What a hook of the host says against every start and every stop."""
    failing: dict[ServiceName, str] = field(default_factory=dict)
    """At which step between fork and exec the starts of a service fail; empty: at none."""
    sick: set[Slot] = field(default_factory=set)
    """Slots in which every process fails its checks."""
    undelivered: int = 0
    """How many of the next signals reach nobody, though their target lives."""
    boot: str = BOOT
    _ticks: int = 0
    _named: int = 0

    def has_socket(self, address: str) -> bool:
        """Tell whether a living process was given a socket of an address."""
        return any(address in run.sockets for run in self.all_live())

    def listener_at(self, address: str) -> str:
        """Name who listens at an address; empty: nobody."""
        if self.has_socket(address):
            return "a process of its own"
        return self.strangers.get(address, "")

    def live(self, slot: Slot) -> list[Run]:
        """Give the runs of a slot of which something lives."""
        return self.alive.get(slot, [])

    def of(self, slot: Slot) -> list[Run]:
        """Give every process that a slot ever had, oldest first."""
        return self.by_slot.get(slot, [])

    def of_service(self, service: ServiceName) -> list[Run]:
        """Give every process that a service ever had."""
        return [
            run for slot, runs in self.by_slot.items() if slot.service == service for run in runs
        ]

    def all_live(self) -> list[Run]:
        """Give all runs of which something lives."""
        return [run for runs in self.alive.values() for run in runs] + self.live_errands()

    def live_errands(self) -> list[Run]:
        """Give all hooks of which something lives."""
        return [run for runs in self.errands.values() for run in runs if not run.is_empty]

    def program(self, service: ServiceName, digest: Digest | None = None) -> Program:
        """Give what a service's next process will be like, of a version that may say so itself."""
        fate = self.fates.get(digest) if digest is not None else None
        return fate or self.programs.get(service, Program())

    def start(
        self,
        slot: Slot,
        digest: Digest,
        program: Program,
        *,
        run_id: RunId | None = None,
        is_oneshot: bool = False,
        is_by_hand: bool = False,
        speaks: bool = False,
        watchdog: Nanos = NEVER,
    ) -> Run:
        """Start a process, whoever wants it."""
        self._ticks += 1
        run = Run(
            slot=slot,
            id=run_id or self.next_run(),
            identity=ProcessId(boot=self.boot, pid=self._free_pid(), born=self._ticks),
            digest=digest,
            started=self.now(),
            program=program,
            is_by_hand=is_by_hand,
            speaks=speaks,
            watchdog=watchdog,
            well_at=self.now(),
            loaded=dict(self.contents),
        )
        self.runs[run.id] = run
        self.by_slot.setdefault(slot, []).append(run)
        self.alive.setdefault(slot, []).append(run)
        lives_for = program.lives_for
        if lives_for is None and is_oneshot:
            lives_for = program.oneshot_takes
        run.is_endless = is_oneshot and lives_for is None
        if program.writes_code:
            self.later(WRITES_AFTER, lambda: self.changes_code(slot.service))
        if lives_for is not None:
            self.later(lives_for, lambda: self.end(run, code=program.code))
        if speaks:
            self.later(program.ready_after or PROMPT, lambda: self._talk(run))
        return run

    def say(self, run: Run, words: str) -> None:
        """Let a process say something of itself, as it would to systemd."""
        if not run.speaks or run.exit is not None:
            return
        run.has_said.update(word for word in SAYINGS if word in words)
        if "WATCHDOG=1" in words:
            run.well_at = self.now()
        if "READY=1" in words:
            run.extended = Nanos(0)
        if "EXTEND_TIMEOUT_USEC=" in words:
            micros = int(words.partition("EXTEND_TIMEOUT_USEC=")[2].split("\n")[0])
            run.extended = Nanos(self.now() + micros * 1000)
        if self.witness is not None:
            self.witness.heard(run, words.encode())
        else:
            run.unheard = [*run.unheard, words.encode()][-QUEUE:]

    def _talk(self, run: Run) -> None:
        """Say what is to be said just now, and again when it is time."""
        if run.exit is not None:
            return
        if "READY=1" not in run.has_said and run.is_ready(self.now()):
            self.say(run, "READY=1")
        silent_after = run.program.silent_after
        is_silent = silent_after is not None and self.now() >= run.started + silent_after
        if run.watchdog and not (run.is_silent or is_silent or run.is_halted):
            self.say(run, "WATCHDOG=1")
        if run.watchdog or "READY=1" not in run.has_said:
            span = Nanos(run.watchdog // 2) if run.watchdog else seconds(1)
            self.later(span, lambda: self._talk(run))

    def start_errand(
        self, slot: Slot, digest: Digest, program: Program, role: Role, place: int, run_id: RunId
    ) -> Run:
        """Start a hook."""
        self._ticks += 1
        run = Run(
            slot=slot,
            id=run_id,
            identity=ProcessId(boot=self.boot, pid=self._free_pid(), born=self._ticks),
            digest=digest,
            started=self.now(),
            program=program,
            role=role,
            place=place,
        )
        self.runs[run.id] = run
        self.errands.setdefault((slot, role), []).append(run)
        if role is Role.RELOAD:
            # As early as can be: what changes from now on it has not seen.
            for main in self.alive.get(slot, []):
                self.load(main)
        if program.hooks_take is not None:
            self.later(program.hooks_take, lambda: self.end(run, code=program.hooks_code))
        return run

    def next_run(self) -> RunId:
        """Give a name for a run that none ever had."""
        self._named += 1
        return RunId(f"run-{self._named}")

    def _free_pid(self) -> int:
        taken = {run.pid for run in self.all_live()}
        count = len(self.runs)
        return next(
            pid for at in range(len(PIDS)) if (pid := PIDS[(count + at) % len(PIDS)]) not in taken
        )

    def end(
        self,
        run: Run,
        *,
        code: int | None = None,
        signal: str | None = None,
        leaves_child: bool | None = None,
        oom: bool = False,
    ) -> None:
        """End a main process, and with it its tree unless a child outlives it."""
        if run.is_empty:
            return
        if leaves_child is None:
            program, is_main = run.program, run.role is Role.MAIN
            leaves_child = program.leaves_child if is_main else program.hooks_leave_child
        if run.exit is None:
            run.exit = Exit(at=self.now(), code=code, signal=signal, oom=oom)
            if self.witness is not None:
                self.witness.saw_exit(run)
            if self.onlooker is not None:
                self.onlooker(run)
        if not leaves_child:
            self.empty(run)

    def empty(self, run: Run) -> None:
        """End what is left of a run."""
        if run.is_empty:
            return
        run.is_empty = True
        if run.role is not Role.MAIN:
            if self.witness is not None:
                self.witness.saw_empty(run)
            return
        left = [other for other in self.alive[run.slot] if other is not run]
        if left:
            self.alive[run.slot] = left
        else:
            del self.alive[run.slot]
        if self.witness is not None:
            self.witness.saw_empty(run)

    def ask_to_end(self, run: Run, signal: str, *, whole_tree: bool) -> None:
        """Send a signal to a main process, or to what it left behind."""
        if signal == "SIGKILL":
            run.is_killed = True
            if not run.program.unkillable:
                self.later(PROMPT, lambda: self.end(run, signal="SIGKILL", leaves_child=False))
            return
        if run.asked_at is None:
            run.asked_at = self.now()
        run.is_halted = False
        if run.exit is None and run.program.ends_in is not None:
            self.later(run.program.ends_in, lambda: self.end(run, signal=signal))
        if run.exit is not None and whole_tree and not run.program.child_ignores:
            self.later(PROMPT, lambda: self.empty(run))

    def load(self, run: Run) -> None:
        """Let a process load its configuration anew."""
        if run.exit is None:
            run.reloads += 1
            run.loaded_at = self.now()
            run.loaded = dict(self.contents)

    def behave(self, program: Program) -> None:
        """Let every process be like this from now on; what was killed in vain dies at last."""
        self.programs = dict.fromkeys(self.programs, program)
        self.fates.clear()
        for run in self.all_live():
            run.program, run.is_silent = program, False
            if run.is_endless and program.oneshot_takes is not None:
                self._end_later(run, program.oneshot_takes)
            if run.is_killed:
                self.end(run, signal="SIGKILL", leaves_child=False)

    def recover(self) -> None:
        """Let every process pass its checks again."""
        self.sick.clear()
        for run in self.all_live():
            run.is_sick = False

    def _end_later(self, run: Run, span: Nanos) -> None:
        run.is_endless = False
        self.later(span, lambda: self.end(run, code=0))

    def reboot(self) -> None:
        """End everything without a word, and begin another boot."""
        self.witness = None
        for run in self.all_live():
            self.empty(run)
            run.exit = run.exit or Exit(at=Nanos(0), unknown=True)
        number = int(self.boot.rpartition("-")[2]) + 1
        self.boot, self._ticks = f"boot-{number}", 0
