"""What checks come to: one that fails alarms nobody, many do, and what comes and goes stays so."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.health import (
    MOST_RELAPSES,
    PARTS,
    HealthState,
    begin,
    failed_percent,
    heed,
    needed,
)
from reconciler.model.health import (
    CheckFault,
    CheckResult,
    CheckType,
    HealthCheck,
    Threshold,
    Verdict,
)
from reconciler.model.units import Nanos, RunId, minutes, seconds
from tests.core.building import slot

RUN = RunId("r")
CHECK = HealthCheck(type=CheckType.HTTP, interval=seconds(10))
WORDS = {
    Verdict.UNKNOWN: "?",
    Verdict.HEALTHY: "h",
    Verdict.FAILING: "f",
    Verdict.DEGRADED: "D",
}


def check(**fields: Any) -> HealthCheck:
    """Give a check; what belongs to its threshold may be named with it."""
    keys = ("consecutive_failures", "failure_rate", "time_window")
    limits = {key: fields.pop(key) for key in keys if key in fields}
    return replace(CHECK, threshold=Threshold(**limits), **fields)


def result(at: Nanos, *, ok: bool, run: RunId = RUN, detail: str = "refused") -> CheckResult:
    return CheckResult(
        slot=slot("web"),
        run=run,
        type=CheckType.HTTP,
        ok=ok,
        at=at,
        took=Nanos(0),
        detail="" if ok else detail,
    )


def live(answers: str, how: HealthCheck, state: HealthState | None = None) -> list[HealthState]:
    """Live through checks, one an interval: `+` passes, `-` fails; give what each led to."""
    state = state or begin(RUN, Nanos(0))
    states = []
    at = state.last.at if state.last is not None else Nanos(0)
    for answer in answers:
        at = Nanos(at + how.interval)
        state = heed(state, result(at, ok=answer == "+"), how)
        states.append(state)
    return states


def verdicts(states: list[HealthState]) -> str:
    return "".join(WORDS[state.verdict] for state in states)


@pytest.mark.parametrize(
    ("how", "answers", "verdict"),
    [
        pytest.param(check(), "+++", "hhh", id="what passes is healthy from the first check on"),
        pytest.param(check(), "+-+-", "hfhf", id="a failure is no alarm"),
        pytest.param(check(), "+---", "hffD", id="three in a row are"),
        pytest.param(check(), "+--+--", "hffhff", id="two and two are not four in a row"),
        pytest.param(check(), "---", "ffD", id="one that never passed is degraded as well"),
        pytest.param(check(consecutive_failures=1), "+-", "hD", id="one may be enough"),
        pytest.param(check(), "+---+", "hffDh", id="one success brings it back"),
        pytest.param(
            check(success_threshold=3),
            "---++-+++",
            "ffDDDDDDh",
            id="as many in a row as successThreshold bring it back",
        ),
        pytest.param(
            check(success_threshold=3), "-+", "fh", id="what is not degraded needs only one"
        ),
        pytest.param(
            check(start_period=seconds(35)), "---" + "---", "???ffD", id="a start takes its time"
        ),
        pytest.param(
            check(start_period=seconds(600)),
            "--+---",
            "??hffD",
            id="after the first success the start is over",
        ),
        pytest.param(
            check(failure_rate=50.0, consecutive_failures=99),
            "-+-+-+",
            "fhfhDD",
            id="half of five is enough of 50 %, and fewer than five say nothing",
        ),
        pytest.param(
            check(failure_rate=100.0, consecutive_failures=99), "-----", "ffffD", id="all of them"
        ),
        pytest.param(
            check(failure_rate=50.0, consecutive_failures=99, time_window=seconds(20)),
            "+-",
            "hD",
            id="a window that holds two checks is judged by two",
        ),
        pytest.param(
            check(failure_rate=40.0, consecutive_failures=99, time_window=seconds(100)),
            "+++++----" + "++++++++++",
            "hhhhhfff" + "D" + "DDDDDDDDhh",
            id="the part that failed has to fall to half of the rate",
        ),
    ],
)
def test_checks_come_to(how: HealthCheck, answers: str, verdict: str) -> None:
    assert verdicts(live(answers, how)) == verdict


def test_h5_one_that_comes_and_goes_stays_degraded() -> None:
    """Each relapse within the window doubles what has to pass, up to eight times as many."""
    wave = "---" + "+" * 4
    states = live(wave * 12, CHECK)
    alarms = sum(
        after.verdict is Verdict.DEGRADED and before.verdict is not Verdict.DEGRADED
        for before, after in pairwise(states)
    )
    assert alarms == 4, verdicts(states)
    assert needed(states[-1], CHECK) == 8
    calm = live("+" * 40, CHECK, states[-1])
    assert calm[2].verdict is Verdict.DEGRADED
    assert calm[3].verdict is Verdict.HEALTHY


def test_a_relapse_after_a_long_time_is_none() -> None:
    states = live("---+" + "+" * 30 + "---", CHECK)
    assert states[-1].verdict is Verdict.DEGRADED
    assert needed(states[-1], CHECK) == 1


def test_the_reason_says_what_failed() -> None:
    one, two, three, still, well = live("----+", CHECK)
    assert one.reason == "http check: refused, 1 of 3"
    assert two.reason == "http check: refused, 2 of 3"
    assert three.reason == "http check: refused, 3 in a row"
    assert still.reason == three.reason, "it does not change with each further failure"
    assert well.reason == ""
    often = live("-+-+-", check(failure_rate=50.0, consecutive_failures=9))[-1]
    assert often.reason == "http check: refused, 60 % in 5 min"
    once = live("-", check(consecutive_failures=1))[-1]
    assert once.reason == "http check: refused"


def test_answers_about_another_run_and_answers_out_of_turn_change_nothing() -> None:
    state = live("+-", CHECK)[-1]
    assert heed(state, result(seconds(90), ok=True, run=RunId("old")), CHECK) == state
    assert heed(state, result(seconds(15), ok=True), CHECK) == state


def test_r10_what_this_host_was_too_poor_to_check_is_no_failure_of_the_service() -> None:
    state = live("+--", CHECK)[-1]
    poor = replace(result(seconds(90), ok=False), fault=CheckFault.HOST)
    assert heed(state, poor, CHECK) == replace(state, last=poor)


def test_what_was_degraded_for_an_earlier_daemon_has_to_prove_itself() -> None:
    how = check(success_threshold=2, start_period=minutes(9))
    states = live("-+-++", how, begin(RUN, Nanos(0), Verdict.DEGRADED))
    assert verdicts(states) == "DDDDh"
    assert states[0].reason == "http check: refused"
    assert begin(RUN, Nanos(0), Verdict.FAILING).verdict is Verdict.UNKNOWN


# --- properties ------------------------------------------------------------------------------

answers = st.text(alphabet="+-", max_size=120)
checks = st.builds(
    check,
    consecutive_failures=st.integers(1, 6),
    success_threshold=st.integers(1, 4),
    failure_rate=st.none() | st.floats(1, 100),
    time_window=st.integers(1, 300).map(seconds),
    start_period=st.integers(0, 200).map(seconds),
    interval=st.integers(1, 30).map(seconds),
)


@given(checks, answers)
@example(check(failure_rate=1.0), "+" * 40 + "-" + "+" * 40)
def test_nothing_is_degraded_or_well_without_a_reason(how: HealthCheck, text: str) -> None:
    """A fall needs failures in a row or a rate; a return needs what was passed in a row."""
    before = begin(RUN, Nanos(0))
    for state, answer in zip(live(text, how), text, strict=True):
        if state.verdict is Verdict.DEGRADED and before.verdict is not Verdict.DEGRADED:
            percent, rate = failed_percent(state, how), how.threshold.failure_rate
            is_often = rate is not None and percent is not None and percent >= rate
            assert is_often or state.failures >= how.threshold.consecutive_failures
        if before.verdict is Verdict.DEGRADED and state.verdict is not Verdict.DEGRADED:
            assert answer == "+"
            assert state.verdict is Verdict.HEALTHY
            assert state.successes >= how.success_threshold
        before = state


@given(checks, answers)
def test_what_passes_for_long_is_healthy_whatever_went_before(how: HealthCheck, text: str) -> None:
    state = (live(text, how) or [begin(RUN, Nanos(0))])[-1]
    most = how.success_threshold << MOST_RELAPSES
    in_window = how.threshold.time_window // how.interval + how.threshold.time_window
    calm = live("+" * min(700, most + in_window // seconds(1) + 2), how, state)
    assert calm[-1].verdict is Verdict.HEALTHY
    assert calm[-1].reason == ""


@given(checks, answers)
def test_what_fails_for_long_is_degraded(how: HealthCheck, text: str) -> None:
    state = (live(text, how) or [begin(RUN, Nanos(0))])[-1]
    count = how.threshold.consecutive_failures + how.start_period // how.interval + 1
    assert live("-" * count, how, state)[-1].verdict is Verdict.DEGRADED


@given(checks, answers)
def test_counts_and_memory_are_what_they_say(how: HealthCheck, text: str) -> None:
    for state in live(text, how):
        assert state.failures == 0 or state.successes == 0
        assert len(state.window) <= PARTS + 1
        assert state.relapses <= MOST_RELAPSES
        assert bool(state.reason) == (state.verdict in (Verdict.FAILING, Verdict.DEGRADED))
        assert state.has_passed or state.verdict is not Verdict.HEALTHY


@given(checks, answers, st.integers(0, 100))
def test_the_same_checks_at_other_times_of_the_day_come_to_the_same(
    how: HealthCheck, text: str, later: int
) -> None:
    """Only spans count, never the clock: but for where parts of the window begin."""
    how = replace(how, threshold=replace(how.threshold, failure_rate=None))
    shift = seconds(later)
    moved = begin(RUN, Nanos(shift))
    for one in live(text, how):
        assert one.last is not None
        moved = heed(moved, replace(one.last, at=Nanos(one.last.at + shift)), how)
        assert moved.verdict is one.verdict
