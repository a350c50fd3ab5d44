"""A whole small world around the engine: a host, a clock, a record, and one daemon after another.

Nothing here waits: time jumps to the next moment at which something happens. The engine is driven
by `step` only, and the safety rules are looked at after every step (see rules.py).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

from reconciler.core.engine import Engine
from reconciler.model.desired import ManifestSet
from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    LookAtHost,
    ManifestsHeld,
    ManifestsRead,
    Operation,
    OperationKind,
)
from reconciler.model.observed import Slot, State
from reconciler.model.record import Memory
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import Nanos, ServiceName, minutes, seconds
from tests.core.building import manifests, name, slot
from tests.sim.host import BOOT, Host, Program, Run
from tests.sim.rules import Rules
from tests.sim.words import in_words

MANY_STEPS = 5_000
"""More than any of the small worlds here can need to come to rest."""
START = seconds(100)
CALMING = 30
"""Seconds after which the last fault has had its last effect."""
WELL_BEHAVED = Program()


class World:
    """A host on which one daemon after another follows manifests."""

    def __init__(self, *specs: ServiceSpec, seed: int = 0, **programs: Program) -> None:
        self.now = START
        self.seed = seed
        self.memory = Memory(boot=BOOT)
        self.host = Host(now=lambda: self.now, later=self._later, tell=self.tell, reply=self._reply)
        self.decisions: list[Decision] = []
        self.lives: list[tuple[Memory, list[tuple[list[Event], Nanos, Decision]]]] = []
        """What each daemon began with, and every step of it."""
        self.story: list[str] = []
        """What happened, in words."""
        self.rules = Rules(self.host)
        self._coming: list[tuple[Nanos, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._inbox: list[Event] = []
        self._taken_in: list[Event] = []
        self._life = 0
        self._wake_at: Nanos | None = None
        self._read: ManifestSet | None = None
        self.finished = False
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
        self.rules.manifests = found
        self.tell(ManifestsRead(manifests=found))

    def hold(self, because: str) -> None:
        """Keep the manifests from being trusted."""
        self.tell(ManifestsHeld(because=because))

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

    def kill_daemon(self, *, down_for: float = 0.0) -> None:
        """Let the daemon die where it stands, and a new one begin with what was written down."""
        until = Nanos(self.now + seconds(down_for))
        while self._coming and self._coming[0][0] <= until:
            self.now = max(self.now, self._coming[0][0])
            heapq.heappop(self._coming)[2]()
        self.now = until
        self._inbox.clear()
        self._taken_in.clear()
        self._begin()

    def forget_manifests(self) -> None:
        """Let nothing be read any more, as if the folder of manifests were out of reach."""
        self._read = None
        self._inbox = [event for event in self._inbox if not isinstance(event, ManifestsRead)]

    def sleep(self, span: float) -> None:
        """Let the whole host stand still for some seconds, as a closed laptop does."""
        later = seconds(span)
        self.now = Nanos(self.now + later)
        self._coming = [(Nanos(at + later), count, act) for at, count, act in self._coming]

    def reboot(self) -> None:
        """Restart the host: nothing runs, and what was remembered of slots means nothing."""
        self.host.reboot()
        self.rules.reboot()
        self.memory = replace(self.memory, slots={})
        self.kill_daemon()

    def lose_holder(self, *, seconds_long: float) -> None:
        """Cut the connection to the holder for a while."""
        self.host.lose()

        def mend() -> None:
            self.host.is_lost = False

        self._later(seconds(seconds_long), mend)

    def end(self, service: str, index: int = 0, *, code: int | None = None) -> None:
        """End a process from outside: with a code of its own, or by SIGKILL."""
        run = self.run_of(service, index)
        signal = "SIGKILL" if code is None else None
        self.host.end(run, code=code, signal=signal)

    def calm(self) -> None:
        """Let nothing go wrong any more: every answer arrives, and programs behave."""
        self.mend()
        self.host.programs = dict.fromkeys(self.host.programs, WELL_BEHAVED)
        for run in self.host.runs.values():
            run.program = WELL_BEHAVED
        self.pass_time(CALMING)

    def mend(self) -> None:
        """Let every answer arrive; programs go on as they are."""
        host = self.host
        host.is_lost = False
        for faults in (host.loses_next, host.drops_next, host.doubles_next):
            faults.clear()
        host.delays.clear()

    def let_go(self) -> None:
        """Agree to every removal, and let everything that failed for good be tried again."""
        self.pass_time(1)
        if self.picture.prune is not None:
            self.ask(OperationKind.APPROVE_PRUNE, prune_id=self.picture.prune.id)
        self.ask(OperationKind.START, *self.picture.services)

    # --- letting time pass -----------------------------------------------------------------

    def step(self) -> Decision:
        """Let everything happen that is due next, and the engine take it in."""
        self.now = max(self.now, self._next_moment())
        while self._coming and self._coming[0][0] <= self.now:
            heapq.heappop(self._coming)[2]()
        events, self._inbox = self._inbox, []
        self.rules.before(events, self.now)
        decision = self.engine.step(events, self.now)
        self.lives[-1][1].append((events, self.now, decision))
        self._write_down(decision)
        self._taken_in += events
        if decision.may_acknowledge:
            self.host.acknowledge(self._taken_in)
            self._taken_in = []
        self.story += in_words(events, decision, Nanos(self.now - START))
        try:
            self.rules.after(self.engine, decision, self.now)
        except AssertionError as breach:
            breach.add_note(self.told())
            raise
        for command in decision.commands:
            self.host.perform(command)
        self._wake_at = decision.wake_at
        self.finished = self.finished or decision.finished
        self.decisions.append(decision)
        return decision

    def _next_moment(self) -> Nanos:
        moments = [self.now] if self._inbox else []
        moments += [self._coming[0][0]] if self._coming else []
        moments += [self._wake_at] if self._wake_at is not None else []
        return min(moments, default=self.now)

    def pass_time(self, span: float) -> None:
        """Let seconds pass, and everything happen that is due in them."""
        until = Nanos(self.now + seconds(span))
        for _ in range(MANY_STEPS):
            if self._next_moment() > until:
                self.now = until
                return
            self.step()
        raise AssertionError(f"still busy after {MANY_STEPS} steps in {span} s\n{self.told()}")

    def until(self, condition: Callable[[], bool], *, within: float = 600) -> None:
        """Let time pass until something holds; fail if it does not come to hold."""
        limit = Nanos(self.now + seconds(within))
        while not condition():
            assert self.now <= limit, f"waited {within} s in vain\n{self.told()}"
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
        commands = [one for decision in self.decisions[since:] for one in decision.commands]
        assert all(isinstance(one, LookAtHost) for one in commands), self.told()
        return True

    # --- what can be seen of it ------------------------------------------------------------

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

    def told(self, lines: int = 60) -> str:
        """Give the end of the story."""
        return "\n".join(self.story[-lines:])

    # --- inside ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin a daemon's life with what an earlier one wrote down."""
        self._life += 1
        self.engine = Engine(self.memory, self.seed)
        self.lives.append((self.memory, []))
        self.rules.begin(self.memory)
        self._wake_at = self.now
        if self._read is not None:
            self.tell(ManifestsRead(manifests=self._read))

    def _later(self, span: Nanos, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (Nanos(self.now + span), next(self._count), act))

    def tell(self, event: Event) -> None:
        """Put an event into the daemon's inbox."""
        self._inbox.append(event)

    def _reply(self, span: Nanos, answer: Event) -> None:
        """Give an answer to the daemon that asked; it may be dead by then."""
        life = self._life
        self._later(span, lambda: self.tell(answer) if life == self._life else None)

    def _write_down(self, decision: Decision) -> None:
        """Keep what must outlive the daemon, before anything is done."""
        changed = decision.remembered
        services: dict[ServiceName, object] = {**self.memory.services, **changed.services}
        slots: dict[Slot, object] = {**self.memory.slots, **changed.slots}
        self.memory = Memory(
            boot=BOOT,
            services={key: value for key, value in services.items() if value is not None},  # type: ignore[misc]  # None means forgotten
            slots={key: value for key, value in slots.items() if value is not None},  # type: ignore[misc]  # None means forgotten
            prune=changed.prune if changed.prune_changed else self.memory.prune,
        )
