"""Fold the checks of one run into a verdict, so that one slow answer alarms nobody.

A run is `degraded` once `consecutiveFailures` checks failed in a row, or once the part that failed
of those in `timeWindow` reaches `failureRate`. It is well again once `successThreshold` checks in
a row have passed and the part that failed is at most half of `failureRate`. One that is degraded
again within `timeWindow` of that has to pass twice as many the next time, up to eight times as
many, so that what comes and goes is degraded, not both in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.model.health import CheckFault, CheckResult, HealthCheck, Verdict
from reconciler.model.units import Nanos, RunId, in_seconds

PARTS = 30
"""Into which `timeWindow` is divided; what is older than it is dropped part by part."""
LEAST_CHECKS = 5
"""In the window before a rate says anything, where as many fit into it."""
MOST_RELAPSES = 3
"""That count: each doubles the checks in a row that prove a run well again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The checks of one part of the window."""

    began: Nanos
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """What the checks of one run have come to so far."""

    run: RunId
    started: Nanos
    """When the process was started: `startPeriod` begins then."""
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    """Why the verdict is what it is, in words; empty while nothing is wrong."""
    failures: int = 0
    """Failed checks in a row up to now, without those that do not count in `startPeriod`."""
    successes: int = 0
    has_passed: bool = False
    relapses: int = 0
    recovered_at: Nanos | None = None
    window: tuple[Tally, ...] = ()
    last: CheckResult | None = None


def begin(run: RunId, started: Nanos, verdict: Verdict = Verdict.UNKNOWN) -> HealthState:
    """Begin with a run, or go on with one of which no more is known than the last verdict.

    >>> begin(RunId("r"), Nanos(0), Verdict.DEGRADED).verdict
    <Verdict.DEGRADED: 'degraded'>
    """
    known = verdict if verdict is Verdict.DEGRADED else Verdict.UNKNOWN
    return HealthState(run=run, started=started, verdict=known)


def heed(state: HealthState, result: CheckResult, check: HealthCheck) -> HealthState:
    """Give the state after one more check; one of another run, or out of turn, changes nothing."""
    if result.run != state.run or (state.last is not None and result.at < state.last.at):
        return state
    if result.fault is CheckFault.HOST:
        return replace(state, last=result)
    if not result.ok and is_excused(state, result.at, check):
        return replace(state, last=result)
    counted = _counted(state, result, check)
    verdict = _verdict(counted, check)
    counted = replace(counted, verdict=verdict, reason=_reason(counted, verdict, check))
    if verdict is Verdict.DEGRADED and state.verdict is not Verdict.DEGRADED:
        return replace(counted, relapses=_relapses(state, result.at, check))
    if state.verdict is Verdict.DEGRADED and verdict is Verdict.HEALTHY:
        return replace(counted, recovered_at=result.at)
    return counted


def is_excused(state: HealthState, at: Nanos, check: HealthCheck) -> bool:
    """Tell whether a failure says nothing yet: in `startPeriod`, before the first success."""
    is_new = not state.has_passed and state.verdict is not Verdict.DEGRADED
    return is_new and at - state.started < check.start_period


def needed(state: HealthState, check: HealthCheck) -> int:
    """Give how many checks in a row have to pass until a degraded run is well again."""
    return check.success_threshold << min(state.relapses, MOST_RELAPSES)


def failed_percent(state: HealthState, check: HealthCheck) -> float | None:
    """Give the part that failed of the checks in the window; None: too few to say."""
    passed = sum(tally.passed for tally in state.window)
    failed = sum(tally.failed for tally in state.window)
    fitting = check.threshold.time_window // max(1, check.interval)
    if passed + failed < min(LEAST_CHECKS, max(1, fitting)):
        return None
    return 100 * failed / (passed + failed)


def _counted(state: HealthState, result: CheckResult, check: HealthCheck) -> HealthState:
    return replace(
        state,
        failures=0 if result.ok else state.failures + 1,
        successes=state.successes + 1 if result.ok else 0,
        has_passed=state.has_passed or result.ok,
        window=_tallied(state.window, result, check),
        last=result,
    )


def _tallied(
    window: tuple[Tally, ...], result: CheckResult, check: HealthCheck
) -> tuple[Tally, ...]:
    """Count a check in its part of the window, and drop the parts that are over."""
    threshold = check.threshold
    if threshold.failure_rate is None:
        return ()
    width = max(1, threshold.time_window // PARTS)
    began = Nanos(result.at - result.at % width)
    kept = [one for one in window if began - threshold.time_window < one.began <= began]
    tally = kept.pop() if kept and kept[-1].began == began else Tally(began=began)
    passed, failed = tally.passed + result.ok, tally.failed + (not result.ok)
    return (*kept, replace(tally, passed=passed, failed=failed))


def _verdict(state: HealthState, check: HealthCheck) -> Verdict:
    if state.verdict is Verdict.DEGRADED:
        is_well = state.successes >= needed(state, check) and not _is_often(state, check, parts=2)
        return Verdict.HEALTHY if is_well else Verdict.DEGRADED
    if state.failures >= check.threshold.consecutive_failures or _is_often(state, check):
        return Verdict.DEGRADED
    return Verdict.FAILING if state.failures else Verdict.HEALTHY


def _is_often(state: HealthState, check: HealthCheck, parts: int = 1) -> bool:
    """Tell whether checks fail as often as the rate says, or more than a part of it says."""
    rate, percent = check.threshold.failure_rate, failed_percent(state, check)
    if rate is None or percent is None or not percent:
        return False
    return percent >= rate if parts == 1 else percent > rate / parts


def _relapses(before: HealthState, at: Nanos, check: HealthCheck) -> int:
    """Give how often in a row a run was degraded again soon after it was well."""
    well_at = before.recovered_at
    is_soon = well_at is not None and at - well_at < check.threshold.time_window
    return min(before.relapses + 1, MOST_RELAPSES) if is_soon else 0


def _reason(state: HealthState, verdict: Verdict, check: HealthCheck) -> str:
    """Say what is wrong; of a degraded run, what made it so."""
    if verdict is Verdict.HEALTHY or state.last is None:
        return ""
    if verdict is state.verdict is Verdict.DEGRADED and state.reason:
        return state.reason
    said = state.last.detail if not state.last.ok else ""
    what = f"{check.type} check: {said}" if said else f"{check.type} check fails"
    most = check.threshold.consecutive_failures
    if verdict is Verdict.FAILING:
        return f"{what}, {state.failures} of {most}"
    if state.failures < most and _is_often(state, check):
        percent = failed_percent(state, check) or 0
        minutes = in_seconds(check.threshold.time_window) / 60
        return f"{what}, {percent:.0f} % in {minutes:g} min"
    return f"{what}, {state.failures} in a row" if state.failures > 1 else what
