"""The rules of stops: why, in which order, and with how much patience."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.event import (
    Decision,
    Signal,
    Spawn,
)
from reconciler.model.observed import Slot
from reconciler.model.spec import (
    Need,
    OnRestart,
    Overlap,
    ServiceSpec,
)
from reconciler.model.units import Nanos, RunId, ServiceName, seconds
from tests.sim.heard import READY_AFTER, Heard, is_taken_on_trust
from tests.sim.holder import RELOADS
from tests.sim.host import Host, Run

START_TIMEOUT = seconds(60)


class StopRules(Heard):
    """What must hold of each signal."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._aborted: set[RunId] = set()
        """Runs that were told to abort, be it that the word was lost."""

    def _may_signal(self, order: Signal, now: Nanos) -> None:
        run = self._host.runs[order.run]
        assert order.slot == run.slot, "a signal for another slot"
        # Of a start that was cut off nobody may know the pid.
        is_meant = order.target == run.identity or order.target.pid == 0
        assert is_meant, "a signal for another process"
        self._may_act(order)
        spec = self.wanted.in_force(run.slot.service)
        if order.signal == "SIGKILL":
            self._may_kill(run, now)
            return
        if order.signal in RELOADS:
            assert self._is_up(run, spec, now), f"{run.slot} is reloaded before it is ready"
            self._is_to_stay(run, spec)
            is_known = not run.is_by_hand and run.id not in self._lost
            is_known = is_known and not (spec and self.ailments.may_reload(run, spec))
            own = self.wanted.version(run.slot)
            self.reloads.may_reload(order, run, own, now, is_known=is_known)
            return
        if order.signal == "SIGABRT":
            self._may_abort(run, now)
        if spec is not None:
            # Asked again by a later daemon, it has the time that the manifest then gives.
            own = self.wanted.version(run.slot) or spec
            before = self._stop_timeouts.get(spec.name, spec.stop_timeout)
            may_take = min(spec.stop_timeout, own.stop_timeout, before)
            self._patience[run.id] = min(self._patience.get(run.id, may_take), may_take)
        reasons = list(self._reasons_to_end(run, spec, now))
        if reasons == ["its checks fail"] and spec is not None:
            slots = (Slot(service=spec.name, index=at) for at in range(spec.instances))
            others = [one for one in slots if one != run.slot and self._is_coming(one, spec, now)]
            assert others == [], f"{run.slot} is restarted for its checks together with {others}"
            self.ailments.ends(run, spec, now)
        assert reasons or self.is_lenient, f"{run.slot} is stopped without a reason"
        if reasons == ["unwanted"] and not self.wanted.width(run.slot.service):
            self._ends_in_order(run.slot.service)

    def _is_coming(self, slot: Slot, spec: ServiceSpec, now: Nanos) -> bool:
        """Tell whether a slot is down for its checks, or not up again yet."""
        runs = self._host.machine.of(slot)
        if not runs or slot in self._failures:
            return False
        last, before = runs[-1], runs[-2:-1]
        if last.is_killed or last.is_by_hand:
            return False
        if self.ailments.was_treated(last):
            return True
        is_new = any(map(self.ailments.was_treated, before))
        return is_new and last.exit is None and not self._is_up(last, spec, now)

    def _is_to_stay(self, run: Run, spec: ServiceSpec | None) -> None:
        """See that what is reloaded is not to be replaced; in a rollout its turn may be to come."""
        stays = spec is None or run.digest == spec.digest or self.wanted.is_rolling(spec.name)
        assert stays, f"{run.slot} is reloaded though it has to be replaced"

    def _may_reload_by_command(self, order: Spawn, now: Nanos) -> None:
        live = [run for run in self._host.live(order.slot) if run.exit is None]
        # It may have gone a moment ago, and the daemon not have heard of it.
        unheard = {run.id for run in self._host.machine.of(order.slot)} & self._live
        is_there = live or unheard.difference(self._ended)
        assert is_there, f"{order.slot} is reloaded, and nothing runs there"
        spec = self.wanted.in_force(order.slot.service)
        if len(live) != 1:
            return
        assert self._is_up(live[0], spec, now), f"{order.slot} is reloaded before it is ready"
        self._is_to_stay(live[0], spec)
        is_known = not live[0].is_by_hand and live[0].id not in self._lost
        is_known = is_known and not (spec and self.ailments.may_reload(live[0], spec))
        self.reloads.may_run(order, live[0], spec, now, is_known=is_known)

    def _may_abort(self, run: Run, now: Nanos) -> None:
        """See that a watchdog acts only where a process was silent, or said so itself."""
        is_silent = 0 < run.watchdog <= now - run.well_at
        has_said = "WATCHDOG=trigger" in run.has_said
        # A word that may have been lost is said again, whatever was heard since.
        may = is_silent or has_said or run.id in self._aborted
        assert may, f"{run.slot} is aborted, and said in time that it is well"
        self._aborted.add(run.id)

    def _is_up(self, run: Run, spec: ServiceSpec | None, now: Nanos) -> bool:
        """Tell whether a process may have proved ready."""
        if run.id in self._ready or run.id in self._lost or spec is None:
            return True
        return is_taken_on_trust(spec) and now - run.started >= READY_AFTER

    def _may_kill(self, run: Run, now: Nanos) -> None:
        is_stray = len(self._host.live(run.slot)) > 1
        if self.wanted.is_hurried or is_stray or run.is_by_hand or run.is_killed:
            return
        assert run.asked_at is not None, f"{run.slot} is killed unasked"
        patience = self._patience.get(run.id, Nanos(0))
        spec = self.wanted.in_force(run.slot.service)
        if self.hooks.has_drained(run) or (spec is not None and spec.hooks.pre_stop):
            # Its preStop hooks had their part of it.
            patience = min(seconds(2), Nanos(patience // 2))
        assert now - run.asked_at >= patience, f"{run.slot} is killed before its time"

    def _reasons_to_end(  # noqa: C901, PLR0912 - one arm for each reason
        self, run: Run, spec: ServiceSpec | None, now: Nanos
    ) -> Iterator[str]:
        """Give every reason there is to end a process."""
        if run.slot.index >= self.wanted.width(run.slot.service):
            yield "unwanted"
        if run.asked_at is not None or self._is_asked(run.id):
            yield "asked before"
        if run.id in self._ended:
            yield "left behind"
        if spec is None:
            return
        if spec.schedule is not None:
            # A run is finished as it was begun, and gives way to the next only where that is said.
            if spec.schedule.overlap is Overlap.REPLACE:
                yield "its time came"
            is_of_another = run.digest != spec.digest
            if is_of_another and run.started < self._scheduled_at.get(spec.name, Nanos(-1)):
                yield "none of its runs"
        elif run.digest != spec.digest or self._is_of_another_version(run):
            yield "changed"
        if run.started < self._restart_asked.get(spec.name, Nanos(-1)):
            yield "restart asked"
        if self.appetites.has_outgrown(run):
            yield "uses too much"
        if self.ailments.may_replace(run, self.wanted.version(run.slot) or spec):
            yield "its checks fail"
        if self._is_late(run, spec, now):
            yield "start timeout"
        if "WATCHDOG=trigger" in run.has_said or 0 < run.watchdog <= now - run.well_at:
            yield "watchdog"
        if "STOPPING=1" in run.has_said:
            yield "said that it stops"
        if any(self._is_renewed(need, run) for need in spec.needs):
            yield "need restarted"

    def _is_of_another_version(self, run: Run) -> bool:
        version = self.wanted.version(run.slot)
        return version is not None and run.digest != version.digest

    def _is_late(self, run: Run, spec: ServiceSpec, now: Nanos) -> bool:
        limit = spec.start_timeout
        if not spec.is_oneshot:
            limit = limit or START_TIMEOUT
            if is_taken_on_trust(spec) or run.id in self._ready:
                return False
        if limit is None:
            return False
        began = self.hooks.began(run)
        # Nobody gets ready asleep; what works is at work since then by the clock.
        asleep = 0 if spec.is_oneshot else sum(span for at, span in self._slept if at >= began)
        return now >= max(began + limit + asleep, run.extended)

    def _is_renewed(self, need: Need, run: Run) -> bool:
        """Tell whether a need that takes its dependents along was restarted, or is about to be."""
        if need.on_restart is not OnRestart.RESTART:
            return False
        name, spec = need.service, self.wanted.in_force(need.service)
        runs = self._host.machine.of_service(name)
        if any(other.started > run.started for other in runs):
            return True
        return spec is not None and any(
            other.digest != spec.digest
            or other.started < self._restart_asked.get(name, Nanos(-1))
            or self.appetites.has_outgrown(other)
            or self.ailments.may_replace(other, self.wanted.version(other.slot) or spec)
            or any(self._is_renewed(further, other) for further in spec.needs)
            for other in runs
            if not other.is_empty or other.id not in self._ended
        )

    def _ends_in_order(self, need: ServiceName) -> None:
        """See that no dependent that has to end as well still runs."""
        for name in self.wanted.dependents(need):
            if self.wanted.width(name):
                continue
            running = [run for run in self._running(name) if not run.is_by_hand]
            left = [run.slot for run in running if not run.is_killed]
            assert left == [], f"{need} is stopped before {left[0]}"

    def _running(self, name: ServiceName) -> Iterator[Run]:
        for run in self._host.machine.all_live():
            if run.slot.service == name and run.id in self._live and run.id not in self._ended:
                yield run

    def _ends_one_by_one(self, decision: Decision, now: Nanos) -> None:
        """See that no need is asked to end in the very moment in which its dependent is.

        A need that is not ready in its time serves nobody, so its end waits for nobody's.
        """
        orders = [
            command
            for command in decision.commands
            if isinstance(command, Signal)
            and command.signal != "SIGKILL"
            and self._is_ending(command.run)
        ]
        asked = {order.slot.service for order in orders}
        needs = {order.slot.service for order in orders if not self._is_failing(order, now)}
        for need in needs:
            both = asked.intersection(self.wanted.dependents(need))
            assert not both, f"{need} and its dependents {sorted(both)} are stopped at once"

    def _is_failing(self, order: Signal, now: Nanos) -> bool:
        """Tell whether a process is stopped, and said to be, since it did not come up or hangs."""
        if order.signal == "SIGABRT":
            return True
        spec = self.wanted.in_force(order.slot.service)
        is_said = "startTimeout" in order.because
        return is_said and spec is not None and self._is_late(self._host.runs[order.run], spec, now)

    def _is_ending(self, run_id: RunId) -> bool:
        """Tell whether a running process has to give way, rather than having failed."""
        run = self._host.runs[run_id]
        spec = self.wanted.in_force(run.slot.service)
        is_begun = run.asked_at is not None or self._is_asked(run_id)
        if run_id in self._ended or is_begun or spec is None:
            return False
        width = self.wanted.width(run.slot.service)
        is_replaced = run.digest != spec.digest and spec.schedule is None
        return not width or (is_replaced and run.slot.index < width)
