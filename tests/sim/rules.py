"""The safety rules, looked at after every step of a simulated world.

They are stated against what really runs on the simulated machine and what the daemon was told of
it, not against what the engine believes, and share no code with it but the nouns. Of the planner's
own rules the judge is the second statement; here it is only asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.engine import Engine
from reconciler.core.judge import judge
from reconciler.core.planner import plan
from reconciler.model.event import (
    Command,
    Decision,
    LookAtHost,
    NextTime,
    Probe,
    Signal,
    Spawn,
)
from reconciler.model.listening import CloseSockets
from reconciler.model.observed import Role
from reconciler.model.put_right import PutRight
from reconciler.model.units import Nanos, RunId, ServiceName
from tests.sim.heard import READY_AFTER, is_taken_on_trust, to_end
from tests.sim.record_rules import RecordRules
from tests.sim.rollout_rules import RolloutRules
from tests.sim.socket_rules import may_close, may_let_go
from tests.sim.start_rules import StartRules
from tests.sim.stop_rules import StopRules

LOOKS_EVERY = 8
"""Steps between two looks at what costs the most: the next plan, and what is shown."""


class Rules(RolloutRules, StartRules, StopRules, RecordRules):
    """What must hold after every step, whatever the world does."""

    def after(self, engine: Engine, decision: Decision, now: Nanos) -> None:
        """Look whether everything that was decided may be done."""
        self._steps += 1
        self._now = now
        self._stop_timeouts.clear()
        for name, memory in decision.remembered.services.items():
            before = self.wanted.in_force(name)
            if before is not None:
                self._stop_timeouts[name] = before.stop_timeout
                if is_taken_on_trust(before):
                    self._ready.update(self._spared(name, now))
            is_new = memory is not None and memory.spec.schedule is not None
            if is_new and (before is None or before.schedule is None):
                self._scheduled_at[name] = now
            self._note_version(name, before, memory)
            if self.wanted.put(name, memory):
                self._forgive([name])
        assert decision.wake_at is None or decision.wake_at > now, "it wants to wake in the past"
        self.wanted.has_come_back(may_be=not self.sees_host or self.is_lenient)
        self.wanted.told(decision.happenings)
        self.wanted.overlays.after(decision, is_told=self.wanted.is_told)
        self.appetites.told(decision.happenings)
        self.ailments.told(decision.happenings, self.wanted.version, now)
        self.drifts.told(decision.happenings)
        self.reloads.told(decision)
        self.refusals.told(decision)
        refused = [one.reason for one in decision.happenings if one.kind == "plan.refused"]
        assert refused == [] or self.is_lenient, f"the judge refused a plan: {refused}"
        for slot in decision.closes:
            may_let_go(slot, self.wanted)
        self._give_way_in_turn(decision, now)
        for command in decision.commands:
            self._may_do(command, now)
        self.hooks.after(decision)
        self._ends_one_by_one(decision, now)
        self._asked_here.update(to_end(decision.remembered.slots.values()))
        if decision.finished:
            self._failures.clear()
            self._perhaps_failing.clear()
            self._done.clear()
        if self._steps % LOOKS_EVERY == 0:
            self._is_judged_well(engine, now)
            self._shows_who_is_ill(engine, now)
            self._shows_what_is_for_a_while(engine, now)
            self._tells_the_truth(engine, now)

    def _shows_who_is_ill(self, engine: Engine, now: Nanos) -> None:
        if self.sees_host and self.wanted.is_told and not self.is_lenient:
            situation, known = engine.situation(now), self._host.runs
            self.ailments.shown(situation, known, self.wanted.version, now)

    def _shows_what_is_for_a_while(self, engine: Engine, now: Nanos) -> None:
        if self.wanted.is_told and not self.is_lenient:
            self.wanted.overlays.shown(engine.picture(now))

    def _spared(self, name: ServiceName, now: Nanos) -> Iterator[RunId]:
        """Give the processes that were ready by their age alone, as the manifest was till now."""
        for run in self._host.machine.of_service(name):
            if run.exit is None and now - run.started >= READY_AFTER:
                yield run.id

    def _may_do(self, command: Command, now: Nanos) -> None:
        assert command.serial > self._serial, "a serial was used twice"
        self._serial = command.serial
        match command:
            case Spawn(errand=None):
                self._may_come(command)
                self._may_start(command, now)
            case Spawn():
                self._may_act(command)
                self.hooks.may_run(command, self.asked)
                if command.role is Role.RELOAD:
                    self._may_reload_by_command(command, now)
            case Signal(run=run) if self._host.runs[run].role is not Role.MAIN:
                self._may_act(command)
                self.hooks.may_kill(command, now)
            case Signal():
                self._may_signal(command, now)
            case PutRight():
                self._may_put_right(command)
            case Probe():
                self._may_probe(command)
            case CloseSockets():
                may_close(command, self._host, self.wanted)
            case LookAtHost() | NextTime():
                pass

    def _may_put_right(self, command: PutRight) -> None:
        self._may_act(command)
        run = self._host.runs[command.run]
        is_going = run.id in self._ended or self._is_asked(run.id)
        assert not is_going, f"{run.slot} is put right, and has to end"
        self.drifts.may_put_right(command, run, self.wanted.version(run.slot))

    def _is_judged_well(self, engine: Engine, now: Nanos) -> None:
        situation = engine.situation(now)
        faults = judge(plan(situation), situation)
        # Before it has seen both what is wanted and what runs, no plan is made of what is known.
        may_plan = self.wanted.is_told and not (faults and engine.picture(now).host_unseen)
        is_excused = self.is_lenient or not may_plan
        assert faults == () or is_excused, f"the judge refuses the next plan: {faults}"

    def _may_probe(self, command: Probe) -> None:
        assert self._host.runs[command.run].slot == command.slot, "a probe of another slot"
