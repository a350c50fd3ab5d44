"""The engine: facts and time in, commands and news out.

A synchronous state machine without clock, luck, files or logging. `step` takes in events, lets
time pass, plans, has the plan judged, and issues what may be done now. The same events at the
same times always give the same decisions, so that a whole life of a host can be replayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from reconciler.core import taking
from reconciler.core.issuing import issue
from reconciler.core.judge import Fault, judge, without_faults
from reconciler.core.ledger import Ledger
from reconciler.core.looking import host_looked
from reconciler.core.passing import let_time_pass, next_wake
from reconciler.core.planner import plan
from reconciler.core.status import picture
from reconciler.core.tidying import is_finished, release_at_end, tidy
from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    Exited,
    HostLooked,
    HostLost,
    LookAtHost,
    ManifestsHeld,
    ManifestsRead,
    ProbeAnswered,
    SignalAnswered,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Exit
from reconciler.model.plan import Forget, Hold, HoldCode, Plan, Situation, Update
from reconciler.model.record import Memory
from reconciler.model.status import Picture
from reconciler.model.units import Nanos, RunId, seconds

EARLY_ENDS_KEPT = 1000
"""Ends heard of before the answer to their start; more at once would be a broken host."""
LOOK_EVERY = seconds(30)
"""The slow look: what no event told of is noticed by then."""


class Engine:
    """Decides everything, waits for nothing."""

    def __init__(self, memory: Memory, seed: int = 0) -> None:
        """Begin with what an earlier engine remembered; `seed` is all its luck."""
        self._ledger = Ledger.of(memory, seed)
        self._plan = Plan()
        self._faults: tuple[Fault, ...] = ()
        self._early: dict[RunId, tuple[Exit | None, bool]] = {}

    def step(self, events: Iterable[Event], now: Nanos) -> Decision:
        """Take in events, in order, and give all that follows from them at this moment."""
        ledger = self._ledger
        ledger.now = max(now, ledger.now)
        for event in events:
            self._take(event)
        let_time_pass(ledger)
        self._look_if_due()
        if ledger.host_seen and (ledger.manifests_seen or ledger.shutting_down):
            self._decide()
        return self._decision()

    def situation(self, now: Nanos) -> Situation:
        """Give all that a plan depends on."""
        ledger = self._ledger
        return Situation(
            now=max(now, ledger.now),
            desired=ledger.desired,
            services=ledger.services,
            slots=ledger.slots,
            prune=ledger.prune,
            shutting_down=ledger.shutting_down,
            hurry=ledger.hurry,
            strays=ledger.strays,
        )

    def picture(self, now: Nanos) -> Picture:
        """Give what people are shown."""
        ledger = self._ledger
        return picture(
            self.situation(now),
            self._plan,
            source_held=ledger.source_held,
            host_unseen="" if ledger.host_seen else ledger.host_lost,
            is_read=ledger.manifests_seen,
        )

    # --- taking in -------------------------------------------------------------------------

    def _take(self, event: Event) -> None:  # noqa: C901, PLR0912 - one arm for each event
        ledger = self._ledger
        match event:
            case ManifestsRead():
                taking.manifests_read(ledger, event)
            case ManifestsHeld():
                taking.manifests_held(ledger, event)
            case HostLooked():
                host_looked(ledger, event)
            case HostLost():
                taking.host_lost(ledger, event)
            case Spawned():
                end, is_empty = self._early.pop(event.process.run, (None, False))
                early = None if end is None else (end, is_empty)
                self._look_unless(is_certain=taking.spawned(ledger, event, early))
            case SpawnFailed():
                taking.spawn_failed(ledger, event)
                self._look_unless(is_certain=not event.is_busy)
            case Exited():
                if not taking.exited(ledger, event):
                    self._keep_early(event.run, event.exit, is_empty=False)
            case TreeEmptied():
                if not taking.tree_emptied(ledger, event):
                    end, _ = self._early.get(event.run, (None, False))
                    self._keep_early(event.run, end, is_empty=True)
            case SignalAnswered():
                self._look_unless(is_certain=taking.signal_answered(ledger, event))
            case ProbeAnswered():
                taking.probe_answered(ledger, event)
            case Asked():
                taking.asked(ledger, event)
            case _:
                assert_never(event)

    def _keep_early(self, run: RunId, end: Exit | None, *, is_empty: bool) -> None:
        """Keep an end whose start was not answered yet, and look in case it never is."""
        self._early[run] = (end, is_empty)
        while len(self._early) > EARLY_ENDS_KEPT:
            del self._early[next(iter(self._early))]

    def _look_unless(self, *, is_certain: bool) -> None:
        if not is_certain:
            self._ledger.look_again = True

    def _look_if_due(self) -> None:
        ledger = self._ledger
        waited = ledger.looking
        if waited is not None and waited.overdue_at <= ledger.now:
            ledger.looking = None
        overdue = any(r.pending and r.pending.overdue_at <= ledger.now for r in ledger.records())
        looked_at = ledger.looked_at
        is_old = looked_at is None or ledger.now - looked_at >= LOOK_EVERY
        is_due = not ledger.host_seen or overdue or is_old or ledger.look_again
        if is_due and ledger.looking is None and ledger.now >= ledger.look_not_before:
            ledger.look_again = False
            serial = ledger.next_serial()
            ledger.looking = ledger.pending(serial)
            ledger.commands.append(LookAtHost(serial=serial))

    # --- deciding --------------------------------------------------------------------------

    def _decide(self) -> None:
        ledger = self._ledger
        tidy(ledger)
        self._plan = self._judged(self.situation(ledger.now))
        updates = [action for action in self._plan.actions if isinstance(action, Update)]
        for update in updates:
            issue(ledger, update)
        if updates:
            # With the new versions in force the same plan holds, with their times and signals.
            self._plan = self._judged(self.situation(ledger.now))
        for action in self._plan.actions:
            if isinstance(action, Update | Forget) or not action.after:
                issue(ledger, action)
        taking.guard_removals(ledger)

    def _judged(self, situation: Situation) -> Plan:
        """Plan, and hold back what the judge refuses."""
        made = plan(situation)
        faults = judge(made, situation)
        for fault in faults:
            if fault not in self._faults:
                self._ledger.tell("plan.refused", service=fault.service, reason=fault.text)
        self._faults = faults
        held = tuple(
            Hold(
                service=fault.service,
                code=HoldCode.JUDGE_REFUSED,
                because=f"the judge refused the plan: {fault.text}; this is a defect of weaver",
            )
            for fault in faults
        )
        kept = without_faults(made, faults)
        return replace(kept, holds=kept.holds + held)

    def _decision(self) -> Decision:
        ledger = self._ledger
        is_over = is_finished(ledger)
        if is_over:
            release_at_end(ledger)
        decision = Decision(
            commands=tuple(ledger.commands),
            happenings=tuple(ledger.happenings),
            transitions=tuple(ledger.transitions),
            remembered=ledger.take_remembered(),
            wake_at=next_wake(ledger, LOOK_EVERY),
            finished=is_over,
        )
        ledger.commands, ledger.happenings, ledger.transitions = [], [], []
        return decision
