"""The rules of what is shown and put on record: each end once, and as it was."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.engine import Engine
from reconciler.model.event import Decision
from reconciler.model.observed import Role, State
from reconciler.model.units import Nanos, RunId
from tests.sim.heard import Heard, to_end

ENDS = ("service.crashed", "service.completed", "service.stopped")


class RecordRules(Heard):
    """What must hold of what people are told, and of what is written down."""

    def _tells_the_truth(self, engine: Engine, now: Nanos) -> None:
        """See that nothing is shown as running that is known to have ended."""
        for status in engine.picture(now).services.values():
            for shown in status.slots:
                if shown.process is not None:
                    assert shown.process.run not in self._ended, f"{shown.slot} is dead"
                    is_empty = shown.state in (State.STOPPED, State.CRASHED)
                    assert not is_empty, f"{shown.slot} is not {shown.state}"

    def recorded(self, decision: Decision, *, is_written: bool) -> None:
        """See that each end is on record once, and truly; what cannot be written waits."""
        self._is_carried_out = True
        self.hooks.recorded(decision)
        self._unwritten.append(decision)
        if is_written:
            written, self._unwritten = self._unwritten, []
            self.wanted.overlays.recorded()
            self.reloads.recorded(written)
            self.ailments.recorded()
            for one in written:
                self._asked.update(to_end(one.remembered.slots.values()))
                self._count_ends(one)

    def _count_ends(self, decision: Decision) -> None:
        for memory in decision.remembered.slots.values():
            run = self._host.runs.get(memory.exited) if memory and memory.exited else None
            if run is None or memory is None or self._exits[run.id]:
                continue
            self._exits[run.id] += 1
            end, truth = memory.last_exit, run.exit
            assert end is not None, f"the end of {run.id} is not on record"
            heard = self._told_as.get(run.id)
            is_known = heard is not None and not heard.unknown
            assert not (end.unknown and is_known), f"{run.id} {heard}, which is not on record"
            if not end.unknown and truth is not None:
                said = (end.code, end.signal, end.oom)
                known = (truth.code, truth.signal, truth.oom)
                assert said == known, f"{run.id} did not end like that"
        for told in decision.happenings:
            if told.kind in ENDS and "run" in told.data:
                self._count_end(RunId(str(told.data["run"])))

    def _count_end(self, run: RunId) -> None:
        self._told_ends[run] += 1
        is_first = self._told_ends[run] == 1 or run in self._lost
        assert is_first, f"the end of {run} is told twice"

    def forgotten(self, runs: Iterable[RunId]) -> None:
        """See that the holder forgets no end that is not on record."""
        for run_id in runs:
            run = self._host.runs.get(run_id)
            if run is None or run.role is not Role.MAIN:
                continue
            is_ours = run.slot.index < self.wanted.width(run.slot.service)
            is_of_today = run.identity.boot == self._host.machine.boot
            is_stray = any(other.is_by_hand for other in self._host.machine.of(run.slot))
            if is_ours and is_of_today and not is_stray:
                is_known = run_id in self._lost or self._exits[run_id] or self._told_ends[run_id]
                assert is_known, f"the end of {run_id} is forgotten, not on record"
