"""What must hold of checks: who is called degraded, what is done about it, when and how often.

Stated against what the daemons were told of each run, and what manifests say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.model.event import Event, Happening, HealthTold
from reconciler.model.health import OnUnhealthy, Verdict
from reconciler.model.observed import Slot, State
from reconciler.model.plan import Situation
from reconciler.model.spec import Backoff, OnRestart, ServiceSpec
from reconciler.model.units import Nanos, RunId, ServiceName, seconds
from tests.sim.machine import Run

PATIENCE = seconds(60)
"""For what a slot may have to wait for besides its back-off."""
Version = Callable[[Slot], ServiceSpec | None]
"""Gives the spec that a slot has to run."""


class AilmentRules:
    """What is known of the checks of each run."""

    def __init__(self) -> None:
        self._ill_here: dict[RunId, Nanos] = {}
        """Since when a run is ill, as the present daemon was told."""
        self._last: dict[RunId, Verdict] = {}
        """What the present daemon was told last."""
        self._ill: dict[RunId, Nanos] = {}
        """Since when a run is ill, as any daemon was told; until it is on record that it is not."""
        self._well: set[RunId] = set()
        """Runs that passed a check, as any daemon was told."""
        self._well_since: dict[Slot, Nanos] = {}
        self._healed: set[RunId] = set()
        """Runs that were told to be well again in a step that is not on record yet."""
        self._called: dict[RunId, str] = {}
        """As what each run was last called: degraded, recovered."""
        self._calls: dict[RunId, str] = {}
        """... in a step that is not on record yet."""
        self._treated: dict[Slot, list[RunId]] = {}
        """The runs that were ended for their checks, in a row."""
        self._left: set[RunId] = set()
        """Runs that were told to be left as they are."""
        self._alerts: dict[Slot, Nanos] = {}
        self._alerts_now: dict[Slot, Nanos] = {}
        """... in a step that is not on record yet."""

    def begin(self, *, is_lost: bool) -> None:
        """Begin a daemon's life: what was not written down is told again."""
        self._last.clear()
        self._ill_here.clear()
        self._healed.clear()
        self._calls.clear()
        self._alerts_now.clear()
        if is_lost:
            self._called.clear()
            self._alerts.clear()
            self._treated.clear()

    def reboot(self) -> None:
        """Begin anew: nothing that was known of slots outlives the host's boot."""
        for known in (self._last, self._ill, self._well_since, self._called, self._calls):
            known.clear()
        self._treated.clear()
        self._alerts.clear()
        self._healed.clear()

    def rests(self) -> None:
        """Note that everything stops, and begins afresh if it is started again."""
        for known in (self._treated, self._alerts, self._alerts_now):
            known.clear()

    def starts_anew(self, slot: Slot) -> None:
        """Note that a slot gets another version, for which nothing was done yet."""
        for known in (self._treated, self._alerts, self._alerts_now):
            known.pop(slot, None)

    def forgive(self, names: Iterable[ServiceName]) -> None:
        """Begin to count anew: people asked for it, or there is another version."""
        gone = set(names)
        for slot in [slot for slot in self._treated if slot.service in gone]:
            del self._treated[slot]
        for alerts in (self._alerts, self._alerts_now):
            for slot in [slot for slot in alerts if slot.service in gone]:
                del alerts[slot]

    def before(
        self, events: Iterable[Event], runs: dict[RunId, Run], version: Version, now: Nanos
    ) -> None:
        """Note what the engine is about to hear."""
        for event in events:
            run = runs.get(event.run) if isinstance(event, HealthTold) else None
            if isinstance(event, HealthTold) and run is not None and run.slot == event.slot:
                self._hear(event, run, version(run.slot), now)

    def _hear(self, event: HealthTold, run: Run, spec: ServiceSpec | None, now: Nanos) -> None:
        if spec is None or spec.health is None:
            return  # it is the answer of a check that is none any more
        self._last[run.id] = event.verdict
        if event.verdict is Verdict.HEALTHY:
            self._ill_here.pop(run.id, None)
        elif event.verdict is Verdict.DEGRADED:
            self._ill_here.setdefault(run.id, now)
        if event.verdict is Verdict.HEALTHY:
            self._well.add(run.id)
            self._well_since.setdefault(run.slot, now)
            self._healed.add(run.id)
        elif event.verdict is Verdict.DEGRADED:
            self._healed.discard(run.id)
            if run.id in self._ill:
                return
            self._ill[run.id] = now
            since = self._well_since.pop(run.slot, now)
            if now - since >= spec.backoff.reset_after:
                self._treated.pop(run.slot, None)

    def recorded(self) -> None:
        """Note that all that was heard and told is on record."""
        for run in self._healed:
            self._ill.pop(run, None)
        self._healed.clear()
        self._called.update(self._calls)
        self._calls.clear()
        self._alerts.update(self._alerts_now)
        self._alerts_now.clear()

    def is_well(self, runs: Iterable[RunId]) -> bool:
        """Tell whether one of these has passed a check."""
        return not self._well.isdisjoint(runs)

    def is_ill(self, runs: Iterable[RunId]) -> bool:
        """Tell whether the checks of one of these fail, as far as anybody was told."""
        return not self._ill.keys().isdisjoint(runs)

    def may_replace(self, run: Run, spec: ServiceSpec) -> bool:
        """Tell whether a process may have to give way because its checks fail."""
        is_said = spec.health is not None and spec.on_unhealthy is OnUnhealthy.RESTART
        return is_said and run.id in self._ill

    def may_reload(self, run: Run, spec: ServiceSpec) -> bool:
        """Tell whether a process may be reloaded because its checks fail."""
        is_said = spec.health is not None and spec.on_unhealthy is OnUnhealthy.RELOAD
        return is_said and run.id in self._ill

    def was_treated(self, run: Run) -> bool:
        """Tell whether a process was ended for its checks, in the present row."""
        return run.id in self._treated.get(run.slot, [])

    def ends(self, run: Run, spec: ServiceSpec, now: Nanos) -> None:
        """See that a process which ends for its checks alone had its time, and that it helps."""
        row = self._treated.setdefault(run.slot, [])
        if run.id in row:
            return
        wait = _least(spec.backoff, len(row))
        is_early = now < self._ill[run.id] + wait
        assert not is_early, f"{run.slot} is restarted for its checks before its back-off"
        is_last = spec.max_restarts is not None and len(row) >= spec.max_restarts
        assert not is_last, f"{run.slot} is restarted for its checks again and again"
        row.append(run.id)

    def told(self, happenings: Iterable[Happening], version: Version, now: Nanos) -> None:
        """See that people are told the truth, and once."""
        for told in happenings:
            run = RunId(str(told.data.get("run", "")))
            spec = version(told.slot) if told.slot is not None else None
            if told.kind == "service.degraded":
                assert self._last.get(run) is Verdict.DEGRADED, f"{told.slot} is called degraded"
                is_known = self._calls.get(run, self._called.get(run)) == "degraded"
                assert not is_known, f"{told.slot} is called degraded a second time"
                self._calls[run] = "degraded"
            elif told.kind == "service.recovered":
                is_checked = spec is not None and spec.health is not None
                is_right = not is_checked or self._last.get(run) is Verdict.HEALTHY
                assert is_right, f"{told.slot} is called well, and is not"
                self._calls[run] = "recovered"
                if not is_checked:
                    # What was told of it before is about a check that is none any more.
                    self._last.pop(run, None)
            elif told.kind == "health.gave-up":
                assert run in self._ill, f"{told.slot} is left as it is, and was not ill"
                is_limited = spec is None or spec.max_restarts is not None
                assert is_limited, f"{told.slot} is left as it is, and may be restarted for ever"
                self._left.add(run)
            elif told.kind == "health.alert" and told.slot is not None:
                self._may_alert(told.slot, run, spec, now)

    def _may_alert(self, slot: Slot, run: RunId, spec: ServiceSpec | None, now: Nanos) -> None:
        assert run in self._ill, f"{slot} is alerted about, and was not told to be ill"
        if spec is None or spec.health is None:
            return
        last = {**self._alerts, **self._alerts_now}.get(slot)
        window = spec.health.threshold.time_window
        assert last is None or now - last >= window, f"{slot} is alerted about too often"
        self._alerts_now[slot] = now

    def shown(
        self, situation: Situation, runs: dict[RunId, Run], version: Version, now: Nanos
    ) -> None:
        """See that every slot is shown as its checks say, and that what is due is done."""
        for records in situation.slots.values():
            for record in records.values():
                run = runs.get(record.process.run) if record.process is not None else None
                spec = version(record.memory.slot)
                if run is None or spec is None or spec.health is None or run.exit is not None:
                    continue
                if "STOPPING=1" in run.has_said or run.is_by_hand or record.pending is not None:
                    continue
                last = self._last.get(run.id)
                is_missed = record.state is State.RUNNING and last is Verdict.DEGRADED
                assert not is_missed, f"{run.slot} is ill, and shown as if it were not"
                is_called = record.state is State.DEGRADED and last is Verdict.HEALTHY
                assert not is_called, f"{run.slot} is well again, and shown as ill"
                if record.state is not State.DEGRADED or situation.shutting_down:
                    continue
                if not _holds_up(runs.values(), run.slot.service, version):
                    self._is_treated_in_time(run, spec, now)

    def _is_treated_in_time(self, run: Run, spec: ServiceSpec, now: Nanos) -> None:
        row = self._treated.get(run.slot, [])
        is_alone = spec.instances == 1 and not spec.needs and spec.wants_to_run
        is_over = spec.max_restarts is not None and len(row) >= spec.max_restarts
        if not is_alone or is_over or run.asked_at is not None:
            return
        if run.id in self._left or run.id in row:
            return
        since = self._ill_here.get(run.id)
        if spec.on_unhealthy is not OnUnhealthy.RESTART or since is None:
            return
        is_late = now - since > spec.backoff.max + PATIENCE
        assert not is_late, f"{run.slot} is ill, and nothing is done about it"


def _holds_up(runs: Iterable[Run], name: ServiceName, version: Version) -> bool:
    """Tell whether something has to stop before a service may, as the host may long refuse."""
    live = (version(run.slot) for run in runs if not run.is_empty)
    needs = (need for spec in live if spec is not None for need in spec.needs)
    return any(need.service == name and need.on_restart is OnRestart.RESTART for need in needs)


def _least(backoff: Backoff, times: int) -> Nanos:
    """Give how long a slot is left to get well by itself, after so many restarts in a row."""
    if times == 0:
        return Nanos(0)
    return Nanos(round(min(backoff.initial * backoff.factor ** min(times - 1, 60), backoff.max)))
