"""State the rules of a plan a second time, without looking at how plans are made.

Imports nothing of the planner. A fault names the services whose part of the plan must not be
performed; the rest of the plan goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.core import judge_health
from reconciler.core.breaches import Fault, fault_of, one_action_a_slot, service_of
from reconciler.core.judge_drift import against_repair
from reconciler.core.judge_facts import Facts
from reconciler.core.judge_needs import is_done, is_met
from reconciler.core.judge_reload import against_reload
from reconciler.core.judge_rollout import against_rollout
from reconciler.core.judge_schedule import is_no_run, is_out_of_time
from reconciler.core.judge_storm import against_storm
from reconciler.model.observed import Process, Role, State
from reconciler.model.plan import (
    Forget,
    Kill,
    Plan,
    Reload,
    Repair,
    Restart,
    Situation,
    SlotAction,
    Start,
    Stop,
    Update,
)
from reconciler.model.record import SlotRecord
from reconciler.model.spec import OnRestart, ServiceSpec
from reconciler.model.units import Nanos, ServiceName


def judge(plan: Plan, situation: Situation) -> tuple[Fault, ...]:
    """Give every breach of the rules of a plan; an acceptable plan has none."""
    restarting = {action.slot.service for action in plan.actions if isinstance(action, Restart)}
    court = _Court(situation=situation, restarting=frozenset(restarting))
    faults = list(one_action_a_slot(plan))
    for action in plan.actions:
        match action:
            case Start():
                faults += fault_of(action, court.against_start(action))
            case Stop() | Restart():
                faults += fault_of(action, court.against_end(action))
            case Kill():
                faults += fault_of(action, court.against_kill(action))
            case Reload():
                faults += fault_of(action, court.against_reload(action))
            case Repair():
                faults += fault_of(action, against_repair(action, situation, court.version))
            case Forget():
                faults += court.against_forget(action)
            case Update():
                faults += court.against_update(action)
    faults += court.against_order(plan)
    faults += against_rollout(plan, situation)
    faults += against_storm(plan, situation, court.spec)
    return tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Court(Facts):
    restarting: frozenset[ServiceName]
    """Services of which the plan restarts a process."""

    def against_start(self, action: Start) -> Iterator[str]:
        """At most one live process a slot; every need holds; back-off and giving up are kept."""
        record = self.record(action.slot)
        spec = self.version(action.slot)
        if spec is None or action.slot.index >= self.width(action.slot.service):
            yield "it is not wanted"
            return
        if record.process is not None or self.is_haunted(action.slot):
            yield "its slot is not empty"
        yield from self._against_hooks(record, spec)
        if record.pending is not None:
            yield "an earlier command was not answered"
        if record.state not in (State.STOPPED, State.CRASHED, State.STARTING):
            yield f"it is {record.state}"
        yield from self._against_retry(record, spec)
        if not action.after:
            for need in spec.needs:
                if not is_met(self, need):
                    yield f"its need {need.service} is not {need.condition}"

    def _against_hooks(self, record: SlotRecord, spec: ServiceSpec) -> Iterator[str]:
        """Nothing of the last process runs on; what comes before this one has succeeded."""
        if any(side.role is not Role.ON_FAILURE and not side.stuck for side in record.sides):
            yield "a hook of its slot still runs"
        if any(one.role is Role.POST_STOP for one in record.memory.occasions):
            yield "its postStop hook is not over"
        if record.state is State.STARTING:
            done = [one.done for one in record.memory.occasions if one.role is Role.PRE_START]
            if not done or done[0] < len(spec.hooks.pre_start):
                yield "its preStart hooks have not succeeded"

    def _against_retry(self, record: SlotRecord, spec: ServiceSpec) -> Iterator[str]:
        memory = record.memory
        if is_out_of_time(spec, memory, self.restart_asked(spec.name)):
            yield "its scheduled time has not come"
        renewed = self._need_restarted_since(spec, memory.done_at or Nanos(0))
        if is_done(self, spec, record) and not renewed:
            yield "it ended well and was not asked to run again"
        if memory.tried != spec.digest:
            return
        if memory.trouble.gave_up:
            yield "it was given up"
        if (memory.trouble.retry_at or 0) > self.situation.now:
            yield "its back-off is not over"

    def against_end(self, action: Stop | Restart) -> Iterator[str]:
        """Only what was meant is ended, and only for a reason."""
        record = self.record(action.slot)
        process = record.process
        if process is None and record.state is State.STARTING and isinstance(action, Stop):
            yield from self._against_giving_up_a_start(action, record)
            return
        if process is None or process.id != action.target:
            yield "its target is not what runs there"
            return
        if record.state in (State.STOPPING, State.UNKNOWN):
            yield f"it is {record.state} already"
        if self._is_in_doubt(action.slot.service):
            yield "its manifest may be one of those that cannot be read"
        if action.slot.index >= self.width(action.slot.service):
            if isinstance(action, Restart):
                yield "it is not wanted"
            return
        if isinstance(action, Restart):
            yield from self._against_restart(action, record)
        elif action.aborts and not self._unfed(process):
            yield "its watchdog has nothing to say"
        elif process.exit is None and not self._may_stop(record, process):
            yield "it is wanted"

    def _against_giving_up_a_start(self, action: Stop, record: SlotRecord) -> Iterator[str]:
        """Only what is wanted no more, not now, or as another version, is not started after all."""
        spec = self.version(action.slot)
        if record.pending is not None:
            yield "an earlier command was not answered"
        if self._is_in_doubt(action.slot.service):
            yield "its manifest may be one of those that cannot be read"
        if spec is None or action.slot.index >= self.width(action.slot.service):
            return
        memory, asked = record.memory, self.restart_asked(spec.name)
        if memory.tried == spec.digest and not is_out_of_time(spec, memory, asked):
            yield "it is wanted"

    def _against_restart(self, action: Restart, record: SlotRecord) -> Iterator[str]:
        spec = self.version(action.slot)
        process = record.process
        if spec is None or process is None:
            return
        is_old = process.started < max(self.restart_asked(spec.name), self._rolled_since(action))
        wanted = self.spec(spec.name) or spec
        is_failing = bool(record.outgrown) or judge_health.may_be_replaced(spec, record)
        is_due = is_old or process.digest != spec.digest or is_failing
        if not (is_due or self._a_need_renews(spec, process.started)):
            yield "nothing asks for it"
        for need in wanted.needs:
            if not is_met(self, need) and not self._is_in_the_way(wanted):
                yield f"its successor would miss {need.service}"

    def _is_in_the_way(self, wanted: ServiceSpec) -> bool:
        """Tell whether a need, or one of its own, waits for an address that it leaves to it."""
        left = {*self.situation.sockets.get(wanted.name, ())} - wanted.listens
        below = filter(None, map(self.spec, self._below([wanted.name]) - {wanted.name}))
        return any(left & spec.listens for spec in below)

    def _rolled_since(self, action: Restart) -> Nanos:
        """Give when the rollout began whose version a slot has to run, started anew since."""
        memory = self.situation.services.get(action.slot.service)
        rollout = memory.rollout if memory is not None else None
        is_rolled = rollout is not None and action.slot.index in rollout.rolled
        return rollout.since if rollout is not None and is_rolled else Nanos(0)

    def _a_need_renews(self, spec: ServiceSpec, since: Nanos) -> bool:
        """Tell whether a need that asks for it was restarted, or is in this very plan."""
        return self._need_restarted_since(spec, since) or any(
            need.on_restart is OnRestart.RESTART and need.service in self.restarting
            for need in spec.needs
        )

    def _is_in_doubt(self, name: ServiceName) -> bool:
        """Tell whether nobody can say what should run of a service."""
        desired = self.situation.desired
        if self.situation.shutting_down or self.spec(name) is not None:
            return False
        if name in desired.services:
            return True
        is_unheard_of = name not in self.situation.services
        return is_unheard_of and any(not fault.is_warning for fault in desired.diagnostics)

    def _need_restarted_since(self, spec: ServiceSpec, since: Nanos) -> bool:
        return any(
            (record.memory.last_restart or 0) > since
            for need in spec.needs
            if need.on_restart is OnRestart.RESTART
            for record in self.situation.slots.get(need.service, {}).values()
        )

    def _may_stop(self, record: SlotRecord, process: Process) -> bool:
        """Tell whether a process is late, silent, or older than its service's schedule."""
        if self._overdue(record) or self._unfed(process):
            return True
        name = record.memory.slot.service
        return is_no_run(self.spec(name), self.situation.services.get(name), process)

    def _overdue(self, record: SlotRecord) -> bool:
        return record.deadline is not None and record.deadline <= self.situation.now

    def _unfed(self, process: Process) -> bool:
        """Tell whether a process owes a sign of life, or asked for its own end."""
        notice = process.notice
        silent_for = self.situation.now - max(notice.pinged, process.started)
        return notice.failed or (0 < notice.watchdog <= silent_for and not notice.stopping)

    def against_kill(self, action: Kill) -> Iterator[str]:
        """Nothing is killed before it had its full stop timeout, but strays and on demand."""
        record = self.record(action.slot)
        if any(stray.id == action.target for stray in self.situation.strays):
            if record.process is None:
                yield "nothing else runs in its slot"
            return
        if record.process is None or record.process.id != action.target:
            yield "its target is not what runs there"
        elif self.situation.hurries(action.slot, self.width(action.slot.service)):
            return
        elif record.state not in (State.STOPPING, State.STOPPED, State.CRASHED):
            yield "it was not asked to stop"
        elif not self._overdue(record):
            yield "its stopTimeout is not over"

    def against_reload(self, action: Reload) -> Iterator[str]:
        """Only what runs as wanted is reloaded."""
        record, spec = self.record(action.slot), self.version(action.slot)
        if spec is None or action.slot.index >= self.width(action.slot.service):
            return iter(["it is not wanted"])
        return against_reload(self.situation, action, record, spec)

    def against_forget(self, action: Forget) -> Iterator[Fault]:
        """Refuse to forget a service that is wanted, or of which something is left."""
        name = action.service
        if name in self.situation.desired.services or self.is_removal_held(name):
            yield Fault(service=name, text=f"forget {name}: it is wanted")
        for record in self.situation.slots.get(name, {}).values():
            due = {one.role for one in record.memory.occasions}
            is_due = not due.isdisjoint((Role.POST_STOP, Role.ON_FAILURE))
            is_busy = is_due or any(not one.stuck for one in record.sides)
            if record.process is not None or record.pending is not None or is_busy:
                yield Fault(service=name, text=f"forget {name}: {record.memory.slot} is not empty")
        if any(stray.slot.service == name and stray.is_live for stray in self.situation.strays):
            yield Fault(service=name, text=f"forget {name}: a second process of it lives")

    def against_update(self, action: Update) -> Iterator[Fault]:
        """Only a version that is valid comes into force."""
        wanted = self.situation.desired.services.get(action.service)
        if wanted is None or wanted.spec is None:
            yield Fault(service=action.service, text=f"update {action.service}: to nothing")
        elif wanted.invalid:
            yield Fault(service=action.service, text=f"update {action.service}: it is invalid")

    def against_order(self, plan: Plan) -> Iterator[Fault]:
        """Of two that end, the dependent ends first, also where others lie between them."""
        ends = [action for action in plan.actions if self._ends_service(action)]
        at_once = {service_of(action) for action in ends if not getattr(action, "after", ())}
        if not at_once:
            return
        failed = {
            action.slot.service
            for action in plan.actions
            if isinstance(action, Stop) and (action.start_failed or action.aborts)
        }
        going = failed.union(map(service_of, ends), self._stopping())
        for need in sorted(at_once & self._below(going)):
            # Of services that need each other neither can be the first.
            for dependent in sorted(going - {need} - self._below([need])):
                if need in self._below([dependent]):
                    text = f"{need} would end before its dependent {dependent}"
                    yield Fault(service=need, text=text)

    def _below(self, names: Iterable[ServiceName]) -> set[ServiceName]:
        """Give everything that these services need, directly or through others."""
        found: set[ServiceName] = set()
        todo = [need for name in names for need in self._needs(name)]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self._needs(name)
        return found

    def _ends_service(self, action: SlotAction | Update | Forget) -> bool:
        """Tell whether an action is part of ending a service, not of one slot's own trouble."""
        is_last = isinstance(action, Stop) and self.width(action.slot.service) == 0
        return is_last or isinstance(action, Restart)

    def _stopping(self) -> set[ServiceName]:
        slots = self.situation.slots.items()
        return {name for name, one in slots if State.STOPPING in {r.state for r in one.values()}}

    def _needs(self, name: ServiceName) -> list[ServiceName]:
        memory = self.situation.services.get(name)
        spec = self.spec(name) or (memory.spec if memory else None)
        return [need.service for need in spec.needs] if spec else []
