"""The language of the engine's stories: what happens to a small world, one sentence a line.

A story is a text file. A line that begins with `$ ` says what happens; below it stands what the
engine did about it, with seconds since the beginning: `<` came in, `>` is done, `*` is told, and
the rest are changes of slots. Lines that begin with `#` are remarks.

`write NAME {...}` puts a manifest into a file, in the fields of docs/manifest.md; `name` and
`command` are filled in where they are not given, and back-off has no jitter unless one is given.
What is written is followed once it is saved; the daemon begins with the first save. Whatever
happens is noticed at once; time passes only where a sentence says so.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.manifest import sizes
from reconciler.model.event import HealthTold, Measured, OperationKind
from reconciler.model.health import Verdict
from reconciler.model.overlay import TakeAway
from reconciler.model.units import Nanos, ServiceName, in_seconds, seconds
from tests.sim.files import Files
from tests.sim.host import Program, Run
from tests.sim.kinds import KINDS
from tests.sim.sentences import Sentences, StoryError, nearest, span_of
from tests.sim.shown import INDENT, fault_lines, row, table, without_dull_looks
from tests.sim.words import in_words, place
from tests.sim.world import START, Doom, World

_KINDS = {
    "start": "Spawn",
    "signal": "Signal",
    "probe": "Probe",
    "look": "LookAtHost",
    "repair": "PutRight",
}
_POINTS = {"writes": "decided", "acts": "recorded"}

SENTENCES = Sentences("")
_says = SENTENCES.mean


def play(text: str, file: str = "story") -> str:
    """Give a story with what the engine really does below each sentence."""
    player = Player()
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            lines.append(line)
            try:
                lines += player.do(line[2:].strip())
            except StoryError as error:
                raise StoryError(f"{file}:{number}: {error}") from None
            except AssertionError as breach:
                breach.add_note(f"{file}:{number}: {line}")
                raise
        elif not line or line.startswith("#"):
            lines.append(line)
    return "\n".join(lines) + "\n"


class Player:
    """A small world to which happens what a story says."""

    def __init__(self) -> None:
        self.world = World()
        self._files = Files()
        self.world.host.machine.contents = self._files.contents
        self._answers: list[str] = []
        self._is_brief = False
        """Whether what happens now is not the story."""

    def do(self, sentence: str) -> list[str]:
        """Let happen what a sentence says, and give what the engine did about it."""
        told = len(self._told())
        self._answers, self._is_brief = [], False
        self._act(sentence)
        if self._files.reads:
            self.world.pass_time(0)
        new = [] if self._is_brief else self._told()[told:]
        return [*without_dull_looks(new), *self._answers]

    def _told(self) -> list[str]:
        """Give all that was told so far, and where one daemon came after another."""
        lines: list[str] = []
        for _, steps in self.world.lives:
            lines += [f"{INDENT}-- a new daemon --"] if lines else []
            for step in steps:
                lines += in_words(step.events, step.decision, Nanos(step.now - START))
        return lines

    def _act(self, sentence: str) -> None:
        act, arguments = SENTENCES.find(sentence)
        act(self, **arguments)

    # --- manifests -------------------------------------------------------------------------

    # What is said last is tried first: a file's name is no part of the fields.
    @_says("write NAME FIELDS")
    @_says("write NAME FIELDS in FILE")
    def _write(self, name: str, fields: str, file: str = "") -> None:
        """Put a manifest into a file of its own, or into another one; nobody reads it yet."""
        self._files.write(f"services.d/{file or name}.yaml", name, fields)

    @_says("delete FILE")
    def _delete(self, file: str) -> None:
        """Remove a file; nobody looks yet."""
        path = f"services.d/{file}.yaml"
        if not self._files.delete(path):
            raise StoryError(f"cannot delete {path}: it is not there")

    @_says("FILE holds WHY")
    def _holds(self, file: str, why: str) -> None:
        """Let a file that services load (`reloadOn`) have a content; nobody looks yet."""
        self._files.contents[file] = why

    @_says("FILE is gone")
    def _is_gone(self, file: str) -> None:
        """Let a file that services load be there no more; nobody looks yet."""
        self._files.contents.pop(file, None)

    @_says("code of NAME changes")
    def _code_changes(self, name: str) -> None:
        """Let a file of its code be changed, which is seen at once."""
        self.world.change_code(self._service(name))

    @_says("save")
    def _save(self) -> None:
        """Have all that was written and deleted be read, at once."""
        found = self._files.read()
        self.world.read(found)
        self._answers += [line for fault in found.diagnostics for line in fault_lines(fault)]

    @_says("bring up")
    def _bring_up(self) -> None:
        """Save and settle, where the way there is not the story: only the outcome is told."""
        self._is_brief = True
        self._save()
        self._settle()
        states = [f"{name} {state}" for name, state in self.world.states().items()]
        now = in_seconds(Nanos(self.world.now - START))
        self._answers.append(f"{now:8.3f}    {', '.join(states)}")

    @_says("git is busy: WHY")
    def _git_is_busy(self, why: str) -> None:
        """Keep the manifests from being followed until the next save."""
        self.world.hold(why)

    @_says("manifests get out of reach")
    def _manifests_out_of_reach(self) -> None:
        """Let no later daemon read any manifests."""
        self.world.forget_manifests()

    # --- programs --------------------------------------------------------------------------

    @_says("program NAME: TRAITS")
    def _program(self, name: str, traits: str) -> None:
        """Let a service's program behave like this from its next start on."""
        program = Program()
        for trait in traits.split(", "):
            fields, arguments = TRAITS.find(trait)
            program = replace(program, **fields(**arguments))
        self.world.become(**{name: program})

    # --- time ------------------------------------------------------------------------------

    @_says("settle")
    def _settle(self) -> None:
        """Let time pass until all is as wanted, as far as it can be."""
        self.world.pass_time(0)
        self.world.until(lambda: self.world.picture.converged)

    @_says("pass SPAN")
    def _pass(self, span: str) -> None:
        self.world.pass_time(_seconds(span))

    @_says("wait until NAME is STATE")
    def _wait(self, name: str, state: str) -> None:
        self._service(name)
        self.world.until(lambda: str(self.world.state(name)) == state)

    @_says("sleep SPAN")
    def _sleep(self, span: str) -> None:
        """Let the whole host stand still, as a closed laptop does."""
        self.world.sleep(_seconds(span))

    @_says("set the clock back by SPAN")
    def _set_back(self, span: str) -> None:
        """Let somebody set the wall clock, which shows midnight of a Monday in the beginning."""
        self.world.wall -= _seconds(span)

    @_says("set the clock forward by SPAN")
    def _set_forward(self, span: str) -> None:
        self.world.wall += _seconds(span)

    # --- mishaps ---------------------------------------------------------------------------

    @_says("in SPAN: SENTENCE")
    def _soon(self, span: str, sentence: str) -> None:
        """Let something happen while other things do."""
        act, arguments = SENTENCES.find(sentence)
        self.world.host.later(span_of(span), lambda: act(self, **arguments))

    @_says("end SLOT with CODE")
    def _end(self, service: str, code: str, index: str = "0") -> None:
        """Let a process end by itself."""
        self.world.host.end(self._run(service, index), code=int(code))

    @_says("SLOT says WORDS")
    def _say(self, service: str, words: str, index: str = "0") -> None:
        """Let a process say something of itself by sd_notify; ` and ` begins another line."""
        self.world.host.machine.say(self._run(service, index), words.replace(" and ", "\n"))

    @_says("SLOT falls silent")
    def _fall_silent(self, service: str, index: str = "0") -> None:
        """Let a process say no more that it is well."""
        self._run(service, index).is_silent = True

    @_says("kill SLOT")
    def _kill(self, service: str, index: str = "0") -> None:
        """Let somebody else kill a process."""
        self.world.host.end(self._run(service, index), signal="SIGKILL")

    @_says("stop SLOT by hand")
    def _halt(self, service: str, index: str = "0") -> None:
        """Let somebody stop a process by SIGSTOP; it is seen a few seconds later."""
        self._run(service, index).is_halted = True
        self.world.patrol()

    @_says("renice SLOT to CODE")
    def _renice(self, service: str, code: str, index: str = "0") -> None:
        """Let somebody renice a process."""
        self._run(service, index).nice = int(code)
        self.world.patrol()

    @_says("let SLOT go on by hand")
    def _go_on(self, service: str, index: str = "0") -> None:
        """Let somebody undo what was done to a process by hand."""
        run = self._run(service, index)
        run.is_halted, run.nice = False, None

    @_says("nothing can be signalled")
    def _fail_signals(self) -> None:
        """Let every signal, and all that is done to processes, be refused."""
        self.world.host.machine.undelivered = 1_000_000

    @_says("signals arrive again")
    def _deliver_signals(self) -> None:
        self.world.host.machine.undelivered = 0

    @_says("SLOT fails its checks")
    def _fail_checks(self, service: str, index: str = "0") -> None:
        """Let a process fail its checks from now on; another one in its place is well."""
        self._run(service, index).is_sick = True

    @_says("every SLOT fails its checks")
    def _always_fail_checks(self, service: str, index: str = "0") -> None:
        """Let every process of a slot fail its checks, whatever is done about it."""
        self.world.host.machine.sick.add(self._run(service, index).slot)

    @_says("SLOT passes its checks")
    def _pass_checks(self, service: str, index: str = "0") -> None:
        run = self._run(service, index)
        run.is_sick = False
        self.world.host.machine.sick.discard(run.slot)

    @_says("a late answer says that SLOT is STATE")
    def _judge_late(self, service: str, state: str, index: str = "0") -> None:
        """Tell a verdict about the process that a slot had before this one."""
        slot = self._run(service, index).slot
        old = self.world.host.machine.of(slot)[-2]
        told = HealthTold(slot=slot, run=old.id, verdict=Verdict(state), reason="it was slow")
        self.world.tell(told)

    @_says("the kernel kills SLOT for its memory")
    def _starve(self, service: str, index: str = "0") -> None:
        self.world.host.starve(self._run(service, index))

    @_says("SLOT uses SIZE")
    def _use(self, service: str, size: str, index: str = "0") -> None:
        """Let a process be measured, as those are whose limits no control group keeps."""
        run = self._run(service, index)
        self.world.tell(Measured(slot=run.slot, run=run.id, memory=sizes.read(size)))

    @_says("the host has SIZE of memory left")
    def _run_short(self, size: str) -> None:
        self.world.host.machine.available = sizes.read(size)

    @_says("somebody listens at ADDRESS")
    def _take_port(self, address: str) -> None:
        self.world.host.machine.strangers[address] = "nginx (pid 12)"

    @_says("nobody else listens at ADDRESS")
    def _free_port(self, address: str) -> None:
        del self.world.host.machine.strangers[address]

    @_says("the kernel gives no sockets back")
    def _deny(self) -> None:
        self.world.host.machine.traces = False

    @_says("the host has memory again")
    def _recover(self) -> None:
        self.world.host.machine.available = None

    @_says("daemon dies for SPAN")
    @_says("daemon dies")
    def _daemon_dies(self, span: str = "0") -> None:
        """Let a new daemon begin, some time later, with what the old one wrote down."""
        self.world.kill_daemon(down_for=_seconds(span))

    @_says("daemon will die before it POINT")
    def _doom(self, point: str) -> None:
        """Let it die the next time that it has something to do; a new one begins at once."""
        self.world.doom = Doom(_POINTS[point])

    @_says("holder dies for SPAN")
    def _holder_dies(self, span: str) -> None:
        """Kill the holder; what it held runs on, and a new one comes after a while."""
        self.world.kill_holder(down_for=_seconds(span))

    @_says("the journal of the holder is lost")
    def _journal_is_lost(self) -> None:
        """Have nothing left for the next holder to know what was held before."""
        self.world.host.journal.clear()

    @_says("holder is lost for SPAN")
    def _holder_is_lost(self, span: str) -> None:
        """Keep the daemon from reaching the holder, and from hearing of ends."""
        self.world.lose_holder(seconds_long=_seconds(span))

    @_says("daemon sees ends itself")
    def _sees_ends(self) -> None:
        """Let the daemon hold on to processes by pidfd, on a kernel that keeps their codes."""
        self.world.host.sees_ends = self.world.host.machine.tells = True

    @_says("holder replaces itself")
    def _renew_holder(self) -> None:
        """Let another program go on in the holder's place, with its children."""
        self.world.host.renew_holder()

    @_says("host reboots")
    def _reboot(self) -> None:
        """Let everything end; seconds are counted anew."""
        self.world.reboot()

    @_says("host runs short for SPAN")
    def _run_out_of_processes(self, span: str) -> None:
        """Let every fork fail with EAGAIN for a while."""
        KINDS["run-short"].act(self.world, _seconds(span))

    @_says("lose the next KIND")
    def _drop(self, kind: str) -> None:
        """Let what the daemon asks of the holder never arrive there."""
        self.world.host.drops_next.add(_KINDS[kind])

    @_says("lose the answer to the next KIND")
    def _lose(self, kind: str) -> None:
        """Let it be done, and never be told."""
        self.world.host.loses_next.add(_KINDS[kind])

    @_says("double the answer to the next KIND")
    def _double(self, kind: str) -> None:
        self.world.host.doubles_next.add(_KINDS[kind])

    @_says("each KIND is answered after SPAN")
    def _delay(self, kind: str, span: str) -> None:
        self.world.host.delays[_KINDS[kind]] = span_of(span)

    # --- people ----------------------------------------------------------------------------

    @_says("apply NAME FIELDS for SPAN")
    def _apply(self, name: str, fields: str, span: str) -> None:
        """Have a version of a service wanted for a while, of which nothing is written."""
        with_it = self._files.with_another(f"services.d/{name}.yaml", name, fields)
        lasts = seconds(_seconds(span))
        self.world.lay_over(with_it.definitions[ServiceName(name)].spec, lasts)
        self.world.pass_time(0)

    @_says("revert NAMES")
    def _revert(self, names: str) -> None:
        """End what was wanted for a while."""
        self.world.tell(TakeAway(services=tuple(map(ServiceName, names.split()))))
        self.world.pass_time(0)

    @_says("ask for a restart of NAMES")
    def _restart(self, names: str) -> None:
        self.world.ask(OperationKind.RESTART, *map(self._service, names.split()))

    @_says("ask for a reload of NAMES")
    def _reload(self, names: str) -> None:
        self.world.ask(OperationKind.RELOAD, *map(self._service, names.split()))

    @_says("ask for a start of NAMES")
    def _start(self, names: str) -> None:
        self.world.ask(OperationKind.START, *map(self._service, names.split()))

    @_says("ask to VERB the rollout of NAMES")
    def _ask_of_rollout(self, verb: str, names: str) -> None:
        kind = OperationKind(f"{verb}-rollout")
        self.world.ask(kind, *map(self._service, names.split()))

    @_says("ask for a shutdown")
    def _shut_down(self) -> None:
        self.world.ask(OperationKind.SHUTDOWN)

    @_says("ask for a shutdown at once")
    def _shut_down_at_once(self) -> None:
        self.world.ask(OperationKind.KILL)

    @_says("agree to the removal")
    def _agree(self) -> None:
        """Approve the removal that is held."""
        held = self.world.picture.prune
        if held is None:
            raise StoryError("cannot agree to the removal: none is held")
        self.world.ask(OperationKind.APPROVE_PRUNE, prune_id=held.id)

    @_says("agree to the removal of NAMES")
    def _let_go(self, names: str) -> None:
        """Approve beforehand that these go, as `weaver unregister` does."""
        self.world.ask(OperationKind.APPROVE_PRUNE, *map(self._service, names.split()))

    # --- questions -------------------------------------------------------------------------

    @_says("status")
    def _status(self) -> None:
        """Tell what people are shown."""
        picture = self.world.picture
        prune = picture.prune
        notes = {
            "removal held": prune.because if prune is not None and not prune.approved else "",
            "manifests held": picture.source_held,
            "host unseen": picture.host_unseen,
        }
        self._answers += table([row(one) for one in picture.services.values()], "no services")
        self._answers += [f"{INDENT}{what}: {why}" for what, why in notes.items() if why]

    @_says("processes")
    def _processes(self) -> None:
        """Tell what really lives on the host, whatever the daemon believes."""
        live = [run for run in self.world.host.runs.values() if not run.is_empty]
        rows = [[place(run.slot, run.role), run.id] for run in live]
        self._answers += table(rows, "no processes")

    # --- inside ----------------------------------------------------------------------------

    def _service(self, name: str) -> str:
        known = self.world.states()
        if name not in known:
            raise StoryError(f"cannot find the service {name}: {nearest(name, known)}")
        return name

    def _run(self, service: str, index: str) -> Run:
        for run in self.world.runs(service, int(index)):
            if not run.is_empty:
                return run
        raise StoryError(f"cannot end {service}-{index}: no process of it lives")


TRAITS = Sentences(
    "a program that ",
    {
        "works": dict,
        "is ready after SPAN": lambda span: {"ready_after": span_of(span)},
        "is never ready": lambda: {"ready_after": None},
        "ends after SPAN with CODE": lambda span, code: {
            "lives_for": span_of(span),
            "code": int(code),
        },
        "takes SPAN": lambda span: {"oneshot_takes": span_of(span)},
        "hangs": lambda: {"oneshot_takes": None},
        "takes SPAN to stop": lambda span: {"ends_in": span_of(span)},
        "is silent after SPAN": lambda span: {"silent_after": span_of(span)},
        "ignores signals": lambda: {"ends_in": None},
        "changes its own code": lambda: {"writes_code": True},
        "leaves a child": lambda: {"leaves_child": True},
        "leaves a child that ignores signals": lambda: {
            "leaves_child": True,
            "child_ignores": True,
        },
        "cannot be killed": lambda: {"ends_in": None, "unkillable": True},
        "hooks take SPAN": lambda span: {"hooks_take": span_of(span)},
        "hooks hang": lambda: {"hooks_take": None},
        "hooks exit with CODE": lambda code: {"hooks_code": int(code)},
        "hooks leave a child": lambda: {"hooks_leave_child": True},
        "hooks cannot run: WHY": lambda why: {"hooks_cannot_run": why},
        "cannot run: WHY": lambda why: {"cannot_run": why},
    },
)
"""What can be said of a program."""


def _seconds(text: str) -> float:
    return in_seconds(span_of(text))
