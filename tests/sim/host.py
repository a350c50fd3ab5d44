"""What the daemon sees of a simulated machine: a connection to the holder, good or bad.

It knows no rule of Weaver. Commands and answers may get lost, come late, or come twice; the
connection may be cut; the holder may be slow, or dead.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.model.event import (
    Event,
    Exited,
    HostLooked,
    HostLost,
    LookAtHost,
    Probe,
    ProbeAnswered,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.observed import Exit, Look, Process, Slot
from reconciler.model.put_right import PutRight
from reconciler.model.units import MILLISECOND, Digest, Nanos, RunId, ServiceName, seconds
from tests.sim.holder import Entry, Holder
from tests.sim.machine import BOOT, PROMPT, Later, Machine, Program, Run

__all__ = ["BOOT", "PROMPT", "Host", "Program", "Run", "Weather"]

Errand = Spawn | Signal | PutRight | Probe | LookAtHost | CloseSockets
"""What the holder, or what it holds, is asked for."""
GONE = "the holder has left"
LATE = (Nanos(20 * MILLISECOND), Nanos(300 * MILLISECOND), seconds(2), seconds(12))
LOOK_PATIENCE = seconds(5)
"""How long a look waits for a holder that is out of reach."""
CONNECTING = seconds(0.25)
"""Between two attempts to reach it."""
LOOK_GIVEN_UP = seconds(15)
"""After which a look without an answer means that the host cannot be seen."""
PROBE_GIVEN_UP = seconds(6)
RECORDED = "identity.recorded"
BACK_AFTER = seconds(1)
"""When there is another holder after one that was killed at a failpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How likely it is that a message goes astray; all of it follows from `salt`."""

    salt: int = 0
    never: float = 0.0
    """An answer never comes."""
    twice: float = 0.0
    late: float = 0.0
    held: float = 0.0
    """The news of an end is held back while somebody looks into it."""


@dataclass(frozen=True, slots=True)
class _Fate:
    """What happens to one message."""

    copies: int = 1
    delay: Nanos = PROMPT


class Host:
    """The processes of one machine and the connection to the holder that holds them."""

    def __init__(
        self,
        *,
        now: Callable[[], Nanos],
        later: Later,
        tell: Callable[[Event], None],
        reply: Callable[[Nanos, Event], None],
    ) -> None:
        self.now, self.later, self._tell_daemon, self._reply = now, later, tell, reply
        self.machine = Machine(now=now, later=later)
        self.journal: list[Entry] = []
        self.holder: Holder | None = None
        self.is_lost = False
        """Whether the daemon has no connection to the holder, though there is one."""
        self.is_haunted = False
        """Whether every slot is refused as taken, though nothing shows in a look."""
        self.busy_refusals = 0
        self.weather: Weather | None = None
        self.busy_until = Nanos(0)
        """Until then the holder does nothing."""
        self.dies_in_spawn = ""
        """At which point of the next start the holder is killed."""
        self.dies_at = ""
        """At which other of its failpoints it is killed when it comes there."""
        self.loses_next: set[str] = set()
        """Kinds of commands whose next answer is lost: `Spawn`, `Signal`, `LookAtHost`, `Probe`."""
        self.drops_next: set[str] = set()
        """Kinds of commands of which the next one never arrives."""
        self.doubles_next: set[str] = set()
        self.delays: dict[str, Nanos] = {}
        """How long the answers to commands of a kind take, where not as long as usual."""
        self.faults: Counter[str] = Counter()
        """What went wrong, by its name."""
        self._messages: Counter[str] = Counter()
        self._connection = 0
        self._asker = 0
        """Counts the daemons: what one asked is not answered to the next."""
        self._waiting: dict[int, Errand] = {}
        """What the present daemon asked and was not answered, by serial."""
        self._told_seq: int | None = None
        self._held = 0
        self.sees_ends = False
        """Whether the daemon holds on to processes itself."""
        self._known: set[RunId] = set()
        """Of which the present daemon knows, to hold on to them."""
        self._seen: dict[RunId, Exit] = {}
        """How those ended that it saw end."""
        self.kept: dict[str, str] = {}
        """The sockets that the daemon has duplicates of while there is no holder, and whose."""
        self._has_daemon = True
        self.machine.onlooker = self._look_on
        self.begin_holder()

    # --- what runs -------------------------------------------------------------------------

    @property
    def runs(self) -> dict[RunId, Run]:
        """Give every process there ever was."""
        return self.machine.runs

    @property
    def programs(self) -> dict[ServiceName, Program]:
        """Give what each service's next process is like."""
        return self.machine.programs

    def live(self, slot: Slot) -> list[Run]:
        """Give the runs of a slot of which something lives."""
        return self.machine.live(slot)

    def end(self, run: Run, *, code: int | None = None, signal: str | None = None) -> None:
        """End a process from outside."""
        self.machine.end(run, code=code, signal=signal)

    def starve(self, run: Run) -> None:
        """Let the kernel kill a process that uses more memory than its group may."""
        self.machine.end(run, signal="SIGKILL", oom=True)

    def start(self, slot: Slot, digest: Digest, program: Program) -> Run:
        """Start a process in a slot without the daemon, as somebody might by hand."""
        run = self.machine.start(slot, digest, program, is_by_hand=True)
        if self.holder is not None:
            self.holder.take(run)
        return run

    @property
    def is_cut(self) -> bool:
        """Tell whether nothing can be asked of the holder."""
        return self.is_lost or self.holder is None

    # --- the holder and the connection -----------------------------------------------------

    def begin_holder(self) -> None:
        """Let there be a holder, which takes over what a former one left."""
        if self.holder is None:
            self.holder = Holder(self.machine, self.journal, self._told)
            for address, service in self.kept.items():
                self.holder.hold(address, service)
            self.kept = {}

    def renew_holder(self) -> bool:
        """Let another program go on in the holder's place; tell whether there was one."""
        if self.holder is None:
            return False
        self.holder = Holder(self.machine, self.journal, self._told, self.holder)
        return True

    def kill_holder(self) -> None:
        """Kill the holder; what it held runs on."""
        if self.holder is not None:
            held = self.holder.sockets() if self._has_daemon else ()
            self.kept = {one.address: one.service for one in held if one.is_held}
            self.holder = self.machine.witness = None
            self.lose()

    def end_holder(self) -> None:
        """Let the holder leave with the daemon, as it does once nothing runs."""
        if not self.machine.all_live():
            if self.holder is not None:
                self.holder.close()
            self.holder = self.machine.witness = None

    def lose(self) -> None:
        """Cut the connection; whoever waits for an answer hears so."""
        self._connection += 1
        self._told_seq = None
        self._held = 0
        self._tell_daemon(HostLost(because=GONE))
        waiting, self._waiting = self._waiting, {}
        for command in waiting.values():
            if not isinstance(command, Probe):
                self._send(PROMPT, _lost(command), self._connection)

    def forsake(self) -> None:
        """Be without a daemon, and without what it kept."""
        self._has_daemon, self.kept = False, {}

    def is_open(self, address: str) -> bool:
        """Tell whether connections to an address wait for somebody of ours, or are served."""
        held = self.holder.held if self.holder is not None else self.kept
        return address in held or self.machine.has_socket(address)

    def reconnect(self) -> None:
        """Begin a daemon's connection: what the last one waited for is nobody's any more."""
        self._has_daemon = True
        self._connection += 1
        self._asker += 1
        self._told_seq = None
        self._held = 0
        self._waiting.clear()
        self._known.clear()
        self._seen.clear()
        self.is_lost = False
        self.begin_holder()

    def reboot(self) -> None:
        """End every process, and the holder with them; its journal is on the disk."""
        self.machine.reboot()
        self.holder, self.kept = None, {}
        self.busy_until = Nanos(0)

    @property
    def is_holding_back(self) -> bool:
        """Tell whether the news of an end is still on its way."""
        return self._held > 0

    @property
    def told_seq(self) -> int | None:
        """Give the number of the last event that the daemon was told of."""
        return self._told_seq

    def acknowledge(self, seq: int) -> set[RunId]:
        """Let the holder forget what it told up to a number; give the runs that it then has not."""
        if self.is_cut or self._told_seq is None or self.holder is None:
            return set()
        if "acknowledge" in self.loses_next:
            self.loses_next.discard("acknowledge")
            return set()
        if self._dies_at("ack.before"):
            return set()
        forgotten = self.holder.acknowledge(seq)
        self._dies_at("ack.taken")
        return forgotten

    def _dies_at(self, point: str) -> bool:
        """Tell whether the holder is killed at a point; another one begins a little later."""
        if self.dies_at != point:
            return False
        self.dies_at = ""
        self.faults["holder killed at a failpoint"] += 1
        self.kill_holder()
        self.later(BACK_AFTER, self.begin_holder)
        return True

    def _look_on(self, run: Run) -> None:
        """Let the daemon see an end itself, and take it in where no holder can tell of it."""
        if not self.sees_ends or run.id not in self._known or run.exit is None:
            return
        end = run.exit
        if not self.machine.tells:
            end = Exit(at=end.at, unknown=True)
        self._seen[run.id] = end
        if self.is_cut:
            self.faults["end seen without a holder"] += 1
            self._tell_daemon(Exited(slot=run.slot, run=run.id, exit=end, role=run.role))

    def _as_seen(self, process: Process) -> Process:
        """Put in how a process ended that nobody but the daemon saw."""
        if process.exit is None or not process.exit.unknown or process.run not in self._seen:
            return process
        return replace(process, exit=self._seen[process.run])

    def _told(self, seq: int, event: Event) -> None:
        """Pass on what the holder tells unasked."""
        if self.is_cut or (isinstance(event, Exited) and self._dies_at("event.before")):
            return
        connection, weather = self._connection, self.weather
        if weather is None or self._luck("news") >= weather.held or not isinstance(event, Exited):
            if self._held and isinstance(event, TreeEmptied):
                self._pass_on_later(connection, seq, event)
            else:
                self._pass_on(seq, event)
                if isinstance(event, Exited):
                    self._dies_at("event.told")
            return
        self.faults["news held back"] += 1
        self._pass_on_later(connection, seq, event)

    def _pass_on_later(self, connection: int, seq: int, event: Event) -> None:
        self._held += 1
        if self._told_seq is not None:
            self._told_seq = max(self._told_seq, seq)

        def pass_on() -> None:
            if connection == self._connection:
                self._held -= 1
                self._pass_on(seq, event)

        self.later(seconds(0.5), pass_on)

    def _pass_on(self, seq: int, event: Event) -> None:
        if self._told_seq is not None:
            self._told_seq = max(self._told_seq, seq)
        self._tell_daemon(event)

    # --- commands --------------------------------------------------------------------------

    def perform(self, command: Errand) -> None:
        """Have a command done, now or when the holder has time, and answered a little later."""
        connection, holder = self._connection, self.holder
        self._waiting[command.serial] = command
        if isinstance(command, Probe) or self.is_cut or self.now() >= self.busy_until:
            self._do(command, connection)
        else:
            self.faults["holder slow"] += 1
            span = Nanos(self.busy_until - self.now())

            def hear() -> None:
                # What was said to a holder that died meanwhile is heard by no other one.
                if self.holder is holder:
                    self._do(command, connection)

            self.later(span, hear)

    def _do(self, command: Errand, connection: int, waited: Nanos = Nanos(0)) -> None:
        kind = type(command).__name__
        if kind in self.drops_next:
            self.drops_next.discard(kind)
            self.faults["command lost"] += 1
            return
        if connection != self._connection and (self.is_cut or self._luck("former") < 0.5):
            # A holder drops what a former connection still had to say.
            return
        if isinstance(command, LookAtHost) and self.is_cut and waited < LOOK_PATIENCE:
            # A look waits for a connection that is being made.
            longer = Nanos(waited + CONNECTING)
            asker = self._asker

            def ask_again() -> None:
                if asker == self._asker:
                    self._do(command, self._connection, longer)

            self.later(CONNECTING, ask_again)
            return
        answer = self._answer(command)
        if answer is None or connection != self._connection:
            return
        fate = self._fate(kind)
        for copy in range(fate.copies):
            # The second one comes when nobody waits for it any more.
            later = fate.delay if copy == 0 else Nanos(fate.delay + self._some_time())
            self._send(later, answer, connection)
        if not fate.copies:
            self._give_up(command, connection)

    def _send(self, delay: Nanos, answer: Event, connection: int) -> None:
        def arrive() -> None:
            if connection != self._connection:
                return
            if isinstance(answer, HostLooked):
                self._told_seq = looked_at
                self._known.update(process.run for process in answer.look.processes)
            elif isinstance(answer, Spawned):
                self._known.add(answer.process.run)
            self._waiting.pop(getattr(answer, "serial", 0), None)
            self._reply(Nanos(0), answer)

        looked_at = self.holder.ledger.seq if self.holder is not None else None
        self.later(delay, arrive)

    def _give_up(self, command: Errand, connection: int) -> None:
        """Let the daemon's patience end where an answer never comes."""
        if isinstance(command, LookAtHost):
            self._send(LOOK_GIVEN_UP, HostLost(because="the holder did not answer"), connection)
        elif isinstance(command, Probe):
            self._send(PROBE_GIVEN_UP, _probed(command, "no answer within 5 s"), connection)

    def _fate(self, kind: str) -> _Fate:
        if kind in self.loses_next:
            self.loses_next.discard(kind)
            self.faults["answer lost"] += 1
            return _Fate(copies=0)
        if kind in self.doubles_next:
            self.doubles_next.discard(kind)
            self.faults["answer twice"] += 1
            return _Fate(copies=2, delay=self.delays.get(kind, PROMPT))
        weather = self.weather
        if weather is None:
            return _Fate(delay=self.delays.get(kind, PROMPT))
        luck = self._luck(kind)
        delay = Nanos(PROMPT + int(self._luck(f"{kind} takes") * 500) * 1000)
        if luck < weather.never:
            self.faults["answer lost"] += 1
            return _Fate(copies=0)
        if luck < weather.never + weather.twice:
            self.faults["answer twice"] += 1
            return _Fate(copies=2, delay=delay)
        if luck < weather.never + weather.twice + weather.late:
            self.faults["answer late"] += 1
            return _Fate(delay=self._some_time())
        return _Fate(delay=delay)

    def _some_time(self) -> Nanos:
        return LATE[int(self._luck("late") * len(LATE))] if self.weather is not None else Nanos(0)

    def _luck(self, kind: str) -> float:
        """Give a number in [0, 1), for each kind of question the next one each time."""
        self._messages[kind] += 1
        salt = self.weather.salt if self.weather is not None else 0
        return zlib.crc32(f"{salt}:{self._messages[kind]}:{kind}".encode()) / (1 << 32)

    def _answer(self, command: Errand) -> Event | None:
        """Do what was asked for; no answer where the holder died of it."""
        holder = self.holder
        if isinstance(command, Probe):
            run = self.runs.get(command.run)
            passes = run is not None and run.is_ready(self.now())
            return _probed(command, "" if passes else "connection refused")
        if self.is_lost or holder is None:
            return _lost(command)
        match command:
            case LookAtHost():
                _, processes = holder.listed()
                shown = tuple(self._as_seen(process) for process in processes)
                return HostLooked(
                    look=Look(
                        serial=command.serial,
                        boot=self.machine.boot,
                        processes=shown,
                        sockets=holder.sockets(),
                    )
                )
            case CloseSockets():
                return holder.close_sockets(command)
            case Signal():
                if self._dies_at("signal.before"):
                    return None
                answered = holder.signal(command)
                return None if self._dies_at("signal.after") else answered
            case PutRight():
                return holder.put_right(command)
            case Spawn():
                return self._spawn(command, holder)

    def _spawn(self, command: Spawn, holder: Holder) -> Event | None:
        if self.is_haunted:
            self.busy_refusals += 1
            taken = "its former run is still there"
            return replace(_unstarted(command), step="slot", because=taken)
        dies, self.dies_in_spawn = self.dies_in_spawn, ""
        if not dies and self.dies_at == RECORDED:
            dies = RECORDED
        answer = holder.spawn(command, dies=dies)
        if answer is None and not self._dies_at(RECORDED):
            self.faults["holder died in a start"] += 1
            self.kill_holder()
        elif isinstance(answer, SpawnFailed):
            self.faults["start refused" if answer.is_busy else "exec failed"] += 1
            self.busy_refusals += answer.is_busy
        return answer


def _lost(command: Spawn | Signal | PutRight | LookAtHost | CloseSockets) -> Event:
    """Give the answer where the connection broke: nobody knows what became of the command."""
    match command:
        case Spawn():
            return _unstarted(command)
        case Signal() | PutRight():
            return SignalAnswered(serial=command.serial, slot=command.slot, problem=GONE)
        case LookAtHost():
            return HostLost(because=GONE)
        case CloseSockets():
            return SocketsClosed(serial=command.serial, service=command.service, problem=GONE)


def _unstarted(command: Spawn) -> SpawnFailed:
    return SpawnFailed(
        serial=command.serial,
        slot=command.slot,
        step="answer",
        errno=0,
        because=GONE,
        is_busy=True,
    )


def _probed(command: Probe, detail: str) -> ProbeAnswered:
    return ProbeAnswered(
        serial=command.serial,
        slot=command.slot,
        run=command.run,
        passed=not detail,
        detail=detail,
    )
