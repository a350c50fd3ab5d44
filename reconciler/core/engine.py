"""The engine: facts and time in, commands and news out.

A synchronous state machine without clock, luck, files or logging. `step` takes in events, lets
time pass, plans, has the plan judged, and issues what may be done now. The same events at the
same times always give the same decisions, so that a whole life of a host can be replayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from reconciler.core.answers import probe_answered, signal_answered, spawn_failed, spawned
from reconciler.core.breaches import Fault, without_faults
from reconciler.core.doors import doors_to_close
from reconciler.core.drift import process_seen
from reconciler.core.ends import exited, tree_emptied
from reconciler.core.errands import run_errands
from reconciler.core.healing import health_told
from reconciler.core.issuing import issue
from reconciler.core.judge import judge
from reconciler.core.ledger import Ledger
from reconciler.core.limits import measured
from reconciler.core.looking import claim, has_heard_all, host_looked, host_lost, look_is_due
from reconciler.core.missing import tell_of_needs
from reconciler.core.noticing import notified
from reconciler.core.passing import let_time_pass, make_up_for_sleep, next_wake
from reconciler.core.planner import plan
from reconciler.core.rolling import roll
from reconciler.core.sides import (
    side_answered,
    side_emptied,
    side_exited,
    side_failed,
    side_spawned,
)
from reconciler.core.sight import Sight
from reconciler.core.sockets import close_sockets, sockets_closed
from reconciler.core.status import picture
from reconciler.core.tidying import is_finished, release_at_end, tidy
from reconciler.core.timing import follow_schedules, next_runs, time_told
from reconciler.core.wants import (
    asked,
    end_overlays,
    guard_removals,
    manifests_held,
    manifests_read,
    overlays_asked,
)
from reconciler.core.watching import files_changed
from reconciler.core.wishes import Layout, arrange, lay_out
from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    Exited,
    FilesChanged,
    HealthTold,
    HostLooked,
    HostLost,
    LookAtHost,
    ManifestsHeld,
    ManifestsRead,
    Measured,
    Notified,
    ProbeAnswered,
    SignalAnswered,
    Spawned,
    SpawnFailed,
    TimeTold,
    TreeEmptied,
)
from reconciler.model.listening import SocketsClosed
from reconciler.model.observed import Role, Slot
from reconciler.model.overlay import LayOver, TakeAway
from reconciler.model.plan import Forget, Hold, HoldCode, Plan, Situation, Update
from reconciler.model.put_right import ProcessSeen
from reconciler.model.record import Memory
from reconciler.model.status import Picture
from reconciler.model.units import Nanos


class Engine:
    """Decides everything, waits for nothing."""

    def __init__(self, memory: Memory, seed: int = 0) -> None:
        """Begin with what an earlier engine remembered; `seed` is all its luck."""
        self._ledger = Ledger.of(memory, seed)
        self._plan = Plan()
        self._faults: tuple[Fault, ...] = ()
        self._layout: Layout | None = None
        self._kept: set[Slot] = set()
        """Slots for which looks have shown something kept, until that was decided on."""
        self._closes: tuple[Slot, ...] = ()

    def step(self, events: Iterable[Event], now: Nanos) -> Decision:
        """Take in events, in order, and give all that follows from them at this moment."""
        ledger = self._ledger
        ledger.now = max(now, ledger.now)
        make_up_for_sleep(ledger)
        for event in events:
            self._take(event)
        may_decide = ledger.host_seen and (ledger.manifests_seen or ledger.shutting_down)
        if may_decide:
            claim(ledger)
        let_time_pass(ledger)
        end_overlays(ledger)
        ledger.is_unsettled = False
        if may_decide and ledger.host_seen:
            run_errands(ledger)
        self._look_if_due()
        if may_decide:
            follow_schedules(ledger)
            self._decide()
        return self._decision()

    def situation(self, now: Nanos) -> Situation:
        """Give all that a plan depends on, as it is now: later steps do not change it."""
        ledger = self._ledger
        slots = {name: dict(records) for name, records in ledger.slots.items()}
        return replace(
            self._present(now),
            services=dict(ledger.services),
            slots=slots,
            noisy=dict(ledger.noisy),
            sockets={name: dict(known) for name, known in ledger.sockets.items()},
            rollouts=dict(ledger.rollouts),
            condemned=tuple(ledger.condemned),
        )

    def picture(self, now: Nanos) -> Picture:
        """Give what people are shown."""
        ledger, situation = self._ledger, self._present(now)
        sight = Sight(
            source_held=ledger.source_held,
            host_unseen="" if ledger.host_seen else ledger.host_lost,
            is_read=ledger.manifests_seen or ledger.shutting_down,
            is_looked_at=ledger.looked_at is not None,
        )
        return picture(situation, self._plan, sight, self._laid_out(situation))

    def _present(self, now: Nanos) -> Situation:
        """Give the situation as the ledger has it, which goes on changing."""
        ledger = self._ledger
        return Situation(
            now=max(now, ledger.now),
            desired=ledger.desired,
            services=ledger.services,
            slots=ledger.slots,
            prune=ledger.prune,
            removed=ledger.removed,
            shutting_down=ledger.shutting_down,
            hurry=ledger.hurry,
            hurried=ledger.hurried,
            strays=ledger.strays,
            next_runs=next_runs(ledger),
            noisy=ledger.noisy,
            sockets=ledger.sockets,
            rollouts=ledger.rollouts,
            crash_restarts=ledger.crash_restarts,
            condemned=ledger.condemned,
        )

    def _laid_out(self, situation: Situation) -> Layout:
        """Give the layout of a situation, which is nearly always the last one."""
        self._layout = lay_out(situation, self._layout)
        return self._layout

    # --- taking in -------------------------------------------------------------------------

    def _take(self, event: Event) -> None:  # noqa: C901, PLR0912 - one arm for each event
        ledger = self._ledger
        match event:
            case ManifestsRead():
                manifests_read(ledger, event)
            case ManifestsHeld():
                manifests_held(ledger, event)
            case HostLooked():
                host_looked(ledger, event)
                self._kept.update(event.look.kept)
            case HostLost():
                host_lost(ledger, event)
            case Spawned():
                is_main = event.process.role is Role.MAIN
                (spawned if is_main else side_spawned)(ledger, event)
            case SpawnFailed():
                spawn_failed(ledger, event)
                side_failed(ledger, event)
            case Exited():
                (exited if event.role is Role.MAIN else side_exited)(ledger, event)
            case TreeEmptied():
                (tree_emptied if event.role is Role.MAIN else side_emptied)(ledger, event)
            case Notified():
                notified(ledger, event)
            case SignalAnswered():
                signal_answered(ledger, event)
                side_answered(ledger, event)
            case SocketsClosed():
                sockets_closed(ledger, event)
            case ProbeAnswered():
                probe_answered(ledger, event)
            case Measured():
                measured(ledger, event)
            case HealthTold():
                health_told(ledger, event)
            case ProcessSeen():
                process_seen(ledger, event)
            case TimeTold():
                time_told(ledger, event)
            case FilesChanged():
                files_changed(ledger, event)
            case Asked():
                asked(ledger, event)
            case LayOver() | TakeAway():
                overlays_asked(ledger, event)
            case _:
                assert_never(event)

    def _look_if_due(self) -> None:
        ledger = self._ledger
        if look_is_due(ledger):
            ledger.look_again = False
            serial = ledger.next_serial()
            ledger.looking = ledger.pending(serial)
            ledger.commands.append(LookAtHost(serial=serial))

    # --- deciding --------------------------------------------------------------------------

    def _decide(self) -> None:
        ledger = self._ledger
        tidy(ledger)
        roll(ledger)
        made, updates = self._planned()
        self._plan = self._judged(made, self._present(ledger.now))
        for action in self._plan.actions:
            if isinstance(action, Update | Forget) or not action.after:
                issue(ledger, action)
        if ledger.host_seen:
            run_errands(ledger)
            close_sockets(ledger)
        self._settle_removals()
        if ledger.host_seen:
            self._closes = doors_to_close(ledger, self._kept)
            self._kept.clear()
        if ledger.transitions or updates or ledger.proved:
            situation = self._present(ledger.now)
            board = arrange(situation, self._laid_out(situation))
            tell_of_needs(ledger, board, [update.service for update in updates])

    def _planned(self) -> tuple[Plan, list[Update]]:
        """Plan by new versions of manifests, which come into force first; give both."""
        situation = self._present(self._ledger.now)
        made = plan(situation, self._laid_out(situation))
        updates = Plan(actions=tuple(one for one in made.actions if isinstance(one, Update)))
        allowed = without_faults(updates, judge(updates, situation)).actions
        if not allowed:
            return made, []
        for update in allowed:
            issue(self._ledger, update)
        roll(self._ledger)
        situation = self._present(self._ledger.now)
        made = plan(situation, self._laid_out(situation))
        return made, [one for one in allowed if isinstance(one, Update)]

    def _settle_removals(self) -> None:
        """Drop from the plan what is forgotten by now: nothing more will be heard of it."""
        actions = tuple(one for one in self._plan.actions if not isinstance(one, Forget))
        if len(actions) < len(self._plan.actions):
            self._plan = replace(self._plan, actions=actions)
            guard_removals(self._ledger)

    def _judged(self, made: Plan, situation: Situation) -> Plan:
        """Hold back what the judge refuses."""
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
        ledger.wake_at, ledger.stepped_at = next_wake(ledger), ledger.now
        decision = Decision(
            commands=tuple(ledger.commands),
            happenings=tuple(ledger.happenings),
            transitions=tuple(ledger.transitions),
            remembered=ledger.take_remembered(),
            wake_at=ledger.wake_at,
            may_acknowledge=has_heard_all(ledger),
            finished=is_over,
            closes=self._closes,
        )
        self._closes = ()
        ledger.commands, ledger.happenings, ledger.transitions = [], [], []
        return decision
