"""The checks of a made-up world: a daemon asks each process how it is, and tells what it finds.

Folding checks into a verdict is the shipped code's work; it is looked at by rules in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from reconciler.core.health import HealthState, begin, heed
from reconciler.model.event import Event, HealthTold
from reconciler.model.health import CheckResult, HealthCheck, Verdict
from reconciler.model.observed import State
from reconciler.model.plan import Situation
from reconciler.model.record import SlotRecord
from reconciler.model.units import Nanos
from tests.sim.machine import Later, Machine, Run

_ALIVE = (State.STARTING, State.RUNNING, State.DEGRADED)
MOST_RELAPSES = 3
"""Doublings of what has to pass, after which it is enough."""


@dataclass(slots=True)
class Patient:
    """A run that is checked, and how it did so far."""

    run: Run
    check: HealthCheck
    state: HealthState
    results: list[tuple[Nanos, bool]] = field(default_factory=list)
    """What the checks said that counted, as this daemon has it: as far back as matters."""
    has_passed: bool = False
    was_degraded: bool = False

    @property
    def since(self) -> Nanos:
        """Give the begin of the window; it may be taken for a thirtieth longer."""
        window = self.check.threshold.time_window
        return Nanos(self.results[-1][0] - window - window // 30 if self.results else 0)

    def forget(self) -> None:
        """Drop what no verdict goes by any more."""
        check = self.check
        kept = max(check.threshold.consecutive_failures, check.success_threshold << MOST_RELAPSES)
        if len(self.results) > 2 * kept and self.results[kept][0] < self.since:
            del self.results[:kept]


class Checkups:
    """The part of a daemon that checks services; it knows nothing of what an earlier one did."""

    def __init__(self, machine: Machine, later: Later, tell: Callable[[Event], None]) -> None:
        self._machine = machine
        self._later = later
        self._tell = tell
        self._patients: dict[str, Patient] = {}
        self._life = 0

    def begin(self) -> None:
        """Begin a daemon's life."""
        self._life += 1
        self._patients.clear()

    def follow(self, situation: Situation) -> None:
        """Check what runs now, and say once more what the engine has otherwise."""
        seen = set()
        for name, memory in situation.services.items():
            for record in situation.slots.get(name, {}).values():
                process = record.process
                check = memory.version(record.memory.slot.index).health
                if check is None or process is None or process.exit is not None:
                    continue
                run = self._machine.runs.get(process.run)
                if run is not None and record.state in _ALIVE:
                    seen.add(run.id)
                    self._see(record, check, run)
        for gone in self._patients.keys() - seen:
            del self._patients[gone]

    def _see(self, record: SlotRecord, check: HealthCheck, run: Run) -> None:
        known = self._patients.get(run.id)
        if known is None:
            is_ill = record.state is State.DEGRADED
            verdict = Verdict.DEGRADED if is_ill else Verdict.UNKNOWN
            known = Patient(run, check, begin(run.id, run.started, verdict), was_degraded=is_ill)
            self._patients[run.id] = known
            self._plan(known, Nanos(round(check.interval * Random(run.id).random())))
        if known.check != check:
            known.check, known.results, known.has_passed = check, [], False
            known.state = begin(run.id, run.started, known.state.verdict)
        if record.verdict is not known.state.verdict:
            self._say(known)

    def _plan(self, patient: Patient, span: Nanos) -> None:
        life = self._life

        def check() -> None:
            if life == self._life and self._patients.get(patient.run.id) is patient:
                self._check(patient)
                self._plan(patient, patient.check.interval)

        self._later(span, check)

    def _check(self, patient: Patient) -> None:
        run, before, now = patient.run, patient.state, self._machine.now()
        is_well = run.exit is None and not run.is_sick and run.slot not in self._machine.sick
        result = CheckResult(
            slot=run.slot,
            run=run.id,
            type=patient.check.type,
            ok=is_well,
            at=now,
            took=Nanos(0),
            detail="" if is_well else "refused",
        )
        patient.state = heed(before, result, patient.check)
        is_new = not is_well and not patient.has_passed
        is_early = now - run.started < patient.check.start_period and not patient.was_degraded
        if not (is_new and is_early):
            patient.results.append((now, is_well))
            patient.has_passed |= is_well
            patient.forget()
        _is_right(patient, before.verdict)
        patient.was_degraded = patient.state.verdict is Verdict.DEGRADED
        if patient.state.verdict is not before.verdict:
            self._say(patient)

    def _say(self, patient: Patient) -> None:
        run, state = patient.run, patient.state
        told = HealthTold(slot=run.slot, run=run.id, verdict=state.verdict, reason=state.reason)
        self._tell(told)


def _is_right(patient: Patient, before: Verdict) -> None:
    """See that a verdict is what the checks so far allow, and what they demand."""
    check, after, slot = patient.check, patient.state.verdict, patient.run.slot
    answers = [ok for _, ok in patient.results]
    failed, passed = _last(answers, ok=False), _last(answers, ok=True)
    rate = _rate(patient)
    limit = check.threshold.failure_rate
    is_often = rate is not None and limit is not None and rate >= limit
    is_bad = failed >= check.threshold.consecutive_failures
    if after is Verdict.DEGRADED and before is not Verdict.DEGRADED:
        assert is_bad or is_often, f"{slot} counts as degraded, and is not that ill"
    if is_bad:
        assert after is Verdict.DEGRADED, f"{slot} is ill, and does not count as degraded"
    if before is Verdict.DEGRADED and after is not Verdict.DEGRADED:
        assert passed >= check.success_threshold, f"{slot} counts as well too early"
    most = check.success_threshold << MOST_RELAPSES
    if passed >= most and (limit is None or not rate):
        assert after is Verdict.HEALTHY, f"{slot} is well again, and does not count as that"
    if not answers and not patient.was_degraded:
        assert after is Verdict.UNKNOWN, f"{slot} is judged before it had its time to start"


def _last(answers: Iterable[bool], *, ok: bool) -> int:
    """Count the last answers that are all alike."""
    count = 0
    for answer in answers:
        count = count + 1 if answer is ok else 0
    return count


def _rate(patient: Patient) -> float | None:
    """Give the percentage of those in the window that failed."""
    since = patient.since
    answers = [ok for at, ok in patient.results if at >= since]
    return 100 * answers.count(False) / len(answers) if answers else None
