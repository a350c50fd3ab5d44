"""The rules of starts: whose time it is, what has to be there, and when to try again."""

from __future__ import annotations

from reconciler.model.event import (
    Spawn,
)
from reconciler.model.observed import Slot
from reconciler.model.spec import (
    Backoff,
    Condition,
    Need,
    OnRestart,
    RestartPolicy,
    ServiceSpec,
)
from reconciler.model.units import Nanos, RunId, ServiceName, seconds
from tests.sim.heard import CLEAN, Heard
from tests.sim.host import Run

IN_A_ROW, MOST_IN_A_ROW = seconds(20), 8
MOST_IN_A_SECOND = 20
"""Starts of one slot while its manifest stays as it is."""


class StartRules(Heard):
    """What must hold of each start."""

    def _may_start(self, start: Spawn, now: Nanos) -> None:
        self.reloads.starts(start)
        slot, spec = start.slot, start.spec
        self._may_act(start)
        live = [run for run in self._host.live(slot) if not run.is_by_hand]
        assert live == [] or self.is_lenient, f"{slot} is started beside {live[0].id}"
        assert not self.wanted.is_shutting_down, f"{slot} is started in a shutdown"
        assert slot.index < self.wanted.width(slot.service), f"{slot} is not wanted"
        assert spec == self.wanted.version(slot), f"{slot} is started in another version"
        for need in spec.needs:
            assert self._holds(need), f"{slot} is started while {need.service} is not there"
        self.hooks.may_start(start)
        is_other = self._tried.get(slot, spec.digest) != spec.digest
        self._tried[slot] = spec.digest
        if is_other or slot.index >= spec.instances:
            # What another version, or an earlier rollout, went through is over.
            self._failures.pop(slot, None)
            self.ailments.starts_anew(slot)
        if spec.schedule is None or not self._is_its_time(start, now):
            self._may_try_again(slot, spec, now)
        self._is_no_echo(slot, start, now)
        self._is_no_circle(slot, now)
        self._starts = {
            serial: known for serial, known in self._starts.items() if known[0] != slot
        } | {start.serial: (slot, now, spec.digest)}

    def _is_no_echo(self, slot: Slot, start: Spawn, now: Nanos) -> None:
        """See that what changes its own code is not restarted for that again and again."""
        if (
            not self._host.machine.program(slot.service).writes_code
            or "app.py" not in start.because
        ):
            return
        before = [at for at in self._for_code.get(slot, []) if now - at < IN_A_ROW]
        self._for_code[slot] = [*before, now]
        assert len(before) < MOST_IN_A_ROW, f"{slot} restarts for ever by what it writes itself"

    def _is_no_circle(self, slot: Slot, now: Nanos) -> None:
        """See that a service is not started only to be stopped for its start, and so on."""
        lately = [at for at in self._lately.get(slot, []) if now - at < seconds(1)]
        self._lately[slot] = [*lately, now]
        assert len(lately) < MOST_IN_A_SECOND, f"{slot} is started again and again"

    def _is_its_time(self, start: Spawn, now: Nanos) -> bool:
        """See that a run is scheduled or asked for; tell whether it is, not one more try."""
        slot, spec = start.slot, start.spec
        is_void = self.timetables.has_come_to_nothing(slot, self._newest(slot))
        is_asked = self.timetables.is_asked_for(slot)
        is_claimed = start.because.startswith("its schedule")
        if is_claimed:
            serves = self.timetables.serves(slot, spec, start.because, self.wall)
            assert serves or self._lost, f"{slot} is started twice for one scheduled time"
        self.timetables.started(slot, now, is_serving=is_claimed)
        # A later daemon goes on behind the hooks of a start whose time had come.
        is_begun = start.because.startswith("adopted")
        if is_claimed or is_asked or is_begun:
            self._failures.pop(slot, None)
            self._done.pop(slot, None)
            return True
        last = self._last_run(slot)
        # It was decided that it has to end, be it that it ended before it could be told.
        is_asked_to_end = last is not None and (last.asked_at or self._is_asked(last.id))
        was_late = is_asked_to_end and spec.start_timeout
        has_failed = self._failures.get(slot) or slot in self._perhaps_failing
        if self.hooks.has_failed(slot):
            # What was done before is not what is tried again now.
            has_failed = True
            self._done.pop(slot, None)
        may = has_failed or is_void or was_late or self._lost
        assert may, f"{slot} is started, and its time has not come"
        return False

    def _may_try_again(self, slot: Slot, spec: ServiceSpec, now: Nanos) -> None:
        """See that back-off is kept, that who gave up stays so, and that work is done once."""
        failures = self._failures.get(slot, 0)
        if failures:
            wait = _least_wait(spec.backoff, failures)
            assert now >= self._failed_at[slot] + wait, f"{slot} is started before its back-off"
            may = spec.max_restarts is None or failures <= spec.max_restarts
            assert may, f"{slot} is started though it failed {failures} times"
            assert spec.restart is not RestartPolicy.NEVER, f"{slot} is started again"
        is_done = self._done.get(slot) == spec.digest
        if is_done and not any(need.on_restart is OnRestart.RESTART for need in spec.needs):
            raise AssertionError(f"{slot} is done and started again")
        self._done.pop(slot, None)

    def _holds(self, need: Need) -> bool:
        """Tell whether a need is really met, as far as the daemon can have heard."""
        if self._is_there(need):
            return True
        return not need.required and self._may_be_out_of_reach(need, frozenset())

    def _is_there(self, need: Need) -> bool:
        spec = self.wanted.in_force(need.service)
        slots = self._slots(need.service)
        if spec is None or not slots:
            return False
        found = [self._slot_serves(need.condition, spec, slot) for slot in slots]
        return any(found) if self.wanted.is_rolling(need.service) else all(found)

    def _may_be_out_of_reach(self, need: Need, above: frozenset[ServiceName]) -> bool:
        """Tell whether a need may come no more, be it that it waits for another in vain."""
        spec = self.wanted.in_force(need.service)
        slots = self._slots(need.service)
        if spec is None or not slots:
            return True
        if any(self._may_be_over(need, spec, slot) for slot in slots):
            return True
        above |= {need.service}
        return not all(self._host.live(slot) for slot in slots) and any(
            further.required
            and further.service not in above
            and self._may_be_out_of_reach(further, above)
            for further in spec.needs
        )

    def _slots(self, name: ServiceName) -> list[Slot]:
        return [Slot(service=name, index=index) for index in range(self.wanted.width(name))]

    def _may_be_over(self, need: Need, spec: ServiceSpec, slot: Slot) -> bool:
        """Tell whether a slot may be given up, as far as we can tell, or ended well for good."""
        is_of_use = need.condition in (Condition.READY, Condition.HEALTHY)
        if is_of_use and self._slot_serves(Condition.COMPLETED, spec, slot):
            return True
        runs = [run.id for run in self._host.machine.of(slot)]
        if need.condition is Condition.HEALTHY and self.ailments.is_ill(runs):
            return True
        last = self._last_run(slot)
        # What was late or silent is a failure that is not counted here.
        was_ended = last is not None and (last.asked_at or self._is_asked(last.id))
        # What others started, or no record tells of, is not judged here.
        is_unjudged = last is not None and (last.is_by_hand or last.id in self._lost)
        if was_ended or is_unjudged or slot in self._perhaps_failing:
            return True
        if self.hooks.has_failed(slot):
            return True
        failures = self._failures.get(slot, 0)
        is_last = spec.max_restarts is not None and failures > spec.max_restarts
        return failures > 0 and (is_last or spec.restart is RestartPolicy.NEVER)

    def _slot_serves(self, condition: Condition, spec: ServiceSpec, slot: Slot) -> bool:
        is_done = any(
            run.exit is not None
            and (run.exit.code == 0 or run.exit.signal in CLEAN)
            and run.digest == spec.digest
            for run in self._host.machine.of(slot)
        )
        # It may have gone a moment ago, and the daemon not have heard of it.
        known = {run.id for run in self._host.machine.of(slot)} & self._live
        is_up = any(run not in self._ended for run in known.union(map(_id, self._host.live(slot))))
        match condition:
            case Condition.COMPLETED:
                return is_done
            case Condition.READY:
                return is_done if spec.is_oneshot else is_up
            case Condition.HEALTHY if spec.is_oneshot:
                return is_done
            case Condition.HEALTHY:
                there = known.union(map(_id, self._host.live(slot))).difference(self._ended)
                return is_up and (spec.health is None or self.ailments.is_well(there))
            case Condition.STARTED:
                return is_up or is_done


def _id(run: Run) -> RunId:
    return run.id


def _least_wait(backoff: Backoff, failures: int) -> Nanos:
    wait = float(backoff.initial)
    for _ in range(failures - 1):
        wait = min(wait * backoff.factor, float(backoff.max))
    return Nanos(round(min(wait, backoff.max)))
