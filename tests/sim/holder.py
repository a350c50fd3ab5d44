"""A simulated holder: the real ledger of the holder, kept over the processes of a machine.

Its journal outlives it. A new holder takes over what lives, and of what ended meanwhile nobody
can say how.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from reconciler.adapters.native.translate import (
    exit_of,
    holder_slot,
    notice_of,
    process_of,
    signal_number,
    tag_of,
)
from reconciler.holder import notice
from reconciler.holder.ledger import Ledger
from reconciler.model.event import (
    Event,
    Exited,
    Notified,
    Scope,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.observed import HeldSocket, Process, Role, Slot
from reconciler.model.put_right import PutRight
from reconciler.model.units import Nanos, RunId, ServiceName, amount
from tests.sim.machine import Machine, Program, Run

Entry = dict[str, Any]
Place = tuple[Slot, Role]
Tell = Callable[[int, Event], None]
"""Takes the number of an event, and the event."""


RELOADS = ("SIGHUP", "SIGUSR1", "SIGUSR2")
"""Signals that end nothing here: programs load their configuration on them."""


class Holder:
    """The parent of all services."""

    def __init__(
        self,
        machine: Machine,
        journal: list[Entry],
        tell: Tell,
        former: Holder | None = None,
    ) -> None:
        """Begin after a holder that died, or in the place of `former`, whose children stay ours."""
        self._machine = machine
        self._tell = tell
        self.ledger = Ledger()
        for entry in journal:
            self.ledger.apply(entry)
        self.ledger.begin_boot(machine.boot)
        self._journal = journal
        self._journal[:] = list(self.ledger.entries())
        self.adopted: set[str] = set() if former is None else former.adopted
        self.held: set[str] = set() if former is None else former.held
        """The addresses that we listen on."""
        machine.witness = self
        if former is None:
            self._recover()

    # --- requests --------------------------------------------------------------------------

    def spawn(self, command: Spawn, *, dies: str = "") -> Event | None:
        """Start a process; `dies` says at which point of it the holder is killed."""
        slot, spec, errand = command.slot, command.spec, command.errand
        role, place = command.role, errand.place if errand is not None else 0
        if self.ledger.holding(holder_slot(slot, role)) is not None:
            text = "a process of its former run is still there"
            return _refusal(command, "slot", errno.EBUSY, text, is_busy=True)
        if errand is None and (put_off := self._put_off(command)) is not None:
            return put_off
        run_id = self._machine.next_run()
        tag = tag_of(slot, spec.digest, role, place)
        entry: Entry = {"run": run_id, "slot": holder_slot(slot, role), "tag": tag}
        watchdog = spec.watchdog_timeout or Nanos(0)
        if spec.has_notify and errand is None:
            entry["notice"] = {"watchdog": watchdog}
        self._record({"is": "spawning", "at": self._machine.now()} | entry)
        if dies == "before the fork":
            return None
        program = self._machine.program(slot.service, spec.digest)
        failure = self._failure(command, program)
        if failure is not None:
            self._record({"is": "failed", "run": run_id})
            return failure
        if errand is not None:
            run = self._machine.start_errand(slot, spec.digest, program, role, place, run_id)
        else:
            run = self._machine.start(
                slot,
                spec.digest,
                program,
                run_id=run_id,
                is_oneshot=spec.is_oneshot,
                speaks=spec.has_notify,
                watchdog=watchdog,
            )
            run.sockets = tuple(one.listen for one in spec.sockets)
        if dies == "after it":
            return None
        self._charge(run)
        if dies:
            return None
        return Spawned(serial=command.serial, process=self._process(run))

    def _put_off(self, command: Spawn) -> SpawnFailed | None:
        """Give why a service, unlike its hooks, has to wait, if it has."""
        if self._machine.refuses:
            return _refusal(command, "hook", 0, self._machine.refuses, is_refused=True)
        has, needs = self._machine.available, command.spec.max_memory
        if has is not None and needs is not None and has < needs:
            text = f"needs {amount(needs)}, {amount(has)} available"
            return _refusal(command, "memory", errno.ENOMEM, text, is_short=True)
        return self._listen(command)

    def _failure(self, command: Spawn, program: Program) -> SpawnFailed | None:
        """Give why a child does not come to execute its program, if it does not."""
        is_main = command.errand is None
        if self._machine.is_short and is_main:
            return _refusal(command, "fork", errno.EAGAIN, "resource temporarily unavailable")
        if step := self._machine.failing.get(command.slot.service):
            return _refusal(command, step, errno.EPERM, f"cannot start as it is told: {step}")
        why = program.cannot_run if is_main else program.hooks_cannot_run
        return _refusal(command, "exec", errno.ENOENT, why) if why else None

    def _listen(self, command: Spawn) -> SpawnFailed | None:
        """Have the sockets of a service bound, each once; give why that cannot be."""
        service = command.slot.service
        for one in command.spec.sockets:
            known = self.ledger.sockets.get(one.listen)
            who = ""
            if one.listen not in self.held and not self._regain(one.listen):
                who = self._machine.listener_at(one.listen)
            elif known is not None and known["service"] != service:
                who = f"the service {known['service']}"
            if who:
                text = f"{one.listen} is in use by {who}"
                return _refusal(command, "socket", errno.EADDRINUSE, text, is_taken=True)
            self.hold(one.listen, service)
        return None

    def hold(self, address: str, service: str) -> None:
        """Hold a socket, bound just now or handed to us."""
        self.held.add(address)
        self._machine.denied.discard(address)
        if self.ledger.sockets.get(address, {}).get("service") != service:
            entry = {"address": address, "service": service, "file": None}
            self._record({"is": "listening"} | entry)

    def close_sockets(self, command: CloseSockets) -> Event:
        """Close sockets of a service that nobody wants any more."""
        for address in command.addresses:
            known = self.ledger.sockets.get(address)
            if known is not None and known["service"] == command.service:
                self._let_go(address)
        return SocketsClosed(serial=command.serial, service=command.service)

    def close(self) -> None:
        """Let go of everything, as who leaves for good."""
        for address in [*self.ledger.sockets]:
            self._let_go(address)

    def _let_go(self, address: str) -> None:
        self.held.discard(address)
        self._record({"is": "closed", "address": address})

    def sockets(self) -> tuple[HeldSocket, ...]:
        """Give all sockets that we know of."""
        return tuple(
            HeldSocket(
                service=ServiceName(known["service"]),
                address=address,
                is_held=address in self.held,
            )
            for address, known in self.ledger.sockets.items()
        )

    def _regain(self, address: str) -> bool:
        """Take a socket back out of a living process, where the kernel lets us."""
        if self._machine.has_socket(address):
            (self.held if self._machine.traces else self._machine.denied).add(address)
        return address in self.held

    def take(self, run: Run) -> None:
        """Take charge of a process that somebody else started."""
        entry = {"run": run.id, "slot": str(run.slot), "tag": tag_of(run.slot, run.digest)}
        self._record({"is": "spawning", "at": run.started} | entry)
        self._charge(run)

    def signal(self, command: Signal) -> Event:
        """Send a signal to exactly the process that is meant."""
        if self._machine.refuses and command.begins_stop:
            return SignalAnswered(
                serial=command.serial,
                slot=command.slot,
                problem=self._machine.refuses,
                is_refused=True,
            )
        run, known = self._machine.runs.get(command.run), self.ledger.runs.get(command.run)
        problem = ""
        who = (command.target.pid or None, command.target.born or None)
        if run is None or known is None or run.is_empty or (known.pid, known.born) != who:
            problem = f"process {command.target.pid} is not there any more"
        elif run.exit is not None and command.scope is Scope.MAIN:
            problem = f"nothing is left of process {command.target.pid}"
        elif self._machine.undelivered and run.exit is None:
            self._machine.undelivered -= 1
            problem = "its control group is not there any more"
        elif command.signal in RELOADS:
            self._machine.load(run)
        else:
            is_tree = command.scope is Scope.TREE
            self._machine.ask_to_end(run, command.signal, whole_tree=is_tree)
        return SignalAnswered(serial=command.serial, slot=command.slot, problem=problem)

    def put_right(self, command: PutRight) -> Event:
        """Let a process go on, and renice it, if it is exactly the one that is meant."""
        run, problem = self._machine.runs.get(command.run), ""
        if run is None or run.exit is not None or command.target != run.identity:
            problem = f"process {command.target.pid} is not there any more"
        elif self._machine.undelivered:
            self._machine.undelivered -= 1
            problem = "permission denied"
        else:
            run.is_halted = run.is_halted and not command.resumes
            run.nice = run.nice if command.nice is None else None
        return SignalAnswered(serial=command.serial, slot=command.slot, problem=problem)

    def listed(self) -> tuple[int, tuple[Process, ...]]:
        """Give the number of the last event, and all runs that live or are not acknowledged."""
        shown = (run.shown() for run in self.ledger.runs.values())
        return self.ledger.seq, tuple(process_of(run, self._machine.boot) for run in shown)

    def acknowledge(self, seq: int) -> set[RunId]:
        """Forget the events up to a number; give the runs that this makes an end of."""
        before = set(self.ledger.runs)
        if seq > self.ledger.acked:
            self._record({"is": "acked", "seq": seq})
        return {RunId(run) for run in before.difference(self.ledger.runs)}

    # --- what happens by itself ------------------------------------------------------------

    def saw_exit(self, run: Run) -> None:
        """Note how a main process ended, if it was our child."""
        if run.id not in self.ledger.runs or run.exit is None:
            return
        is_unseen = run.id in self.adopted and not self._machine.tells
        end = run.exit
        code = None if is_unseen else end.code
        place = (run.slot, run.role)
        self._note_exit(place, run.id, code, end.signal, is_unseen, oom=end.oom)

    def saw_empty(self, run: Run) -> None:
        """Note that nothing is left of a run."""
        known = self.ledger.runs.get(run.id)
        if known is not None and known.empty is None:
            self._note_empty((run.slot, run.role), run.id)

    def heard(self, run: Run, words: bytes) -> None:
        """Keep what a run says of itself, and tell it whole."""
        known = self.ledger.runs.get(run.id)
        if known is None or known.exit is not None or known.pid is None:
            return
        now = self._machine.now()
        fresh = notice.said(known.notice or {}, notice.parse(words), now)
        self._record({"is": "noticed", "run": run.id, "notice": fresh})
        told = Notified(slot=run.slot, run=run.id, id=run.identity, notice=notice_of(fresh))
        # It has no number of its own.
        self._tell(0, told)

    def _recover(self) -> None:
        for address in self.ledger.sockets:
            self._regain(address)
        for known in self.ledger.unfinished():
            run = self._machine.runs.get(RunId(known.id))
            process = process_of(known.shown(), self._machine.boot)
            place = (process.slot, process.role)
            is_alive = run is not None and run.exit is None and not run.is_empty
            if run is not None and is_alive:
                self.adopted.add(known.id)
                self._charge(run)
                unheard, run.unheard = run.unheard, []
                for words in unheard:
                    self.heard(run, words)
                continue
            if known.exit is None:
                self._note_exit(place, RunId(known.id), None, None, is_unseen=True)
            if run is None or run.is_empty:
                self._note_empty(place, RunId(known.id))

    def _charge(self, run: Run) -> None:
        who = {"run": run.id, "pid": run.pid, "born": run.identity.born}
        self._record({"is": "spawned", "seen": self._machine.now()} | who)

    def _process(self, run: Run) -> Process:
        return process_of(self.ledger.runs[run.id].shown(), self._machine.boot)

    def _note_exit(
        self,
        place: Place,
        run: RunId,
        code: int | None,
        name: str | None,
        is_unseen: bool,
        *,
        oom: bool = False,
    ) -> None:
        verdict = {
            "seq": self.ledger.seq + 1,
            "at": self._machine.now(),
            "code": code,
            "signal": None if is_unseen or name is None else signal_number(name),
            "core": False,
            "unknown": is_unseen,
        }
        if oom and not is_unseen:
            verdict["oom"] = True
        self._record({"is": "exited", "run": run} | verdict)
        slot, role = place
        end = exit_of(verdict)
        self._tell(self.ledger.seq, Exited(slot=slot, run=run, exit=end, role=role))

    def _note_empty(self, place: Place, run: RunId) -> None:
        self._record({"is": "empty", "run": run, "seq": self.ledger.seq + 1})
        slot, role = place
        self._tell(self.ledger.seq, TreeEmptied(slot=slot, run=run, role=role))

    def _record(self, entry: Entry) -> None:
        self._journal.append(entry)
        self.ledger.apply(entry)


def _refusal(
    command: Spawn,
    step: str,
    number: int,
    text: str,
    *,
    is_busy: bool = False,
    is_short: bool = False,
    is_refused: bool = False,
    is_taken: bool = False,
) -> SpawnFailed:
    return SpawnFailed(
        serial=command.serial,
        slot=command.slot,
        step=step,
        errno=number,
        because=text,
        is_busy=is_busy,
        is_short=is_short,
        is_refused=is_refused,
        is_taken=is_taken,
    )
