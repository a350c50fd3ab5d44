"""When a slot is checked, whatever the interval and whenever the last check began."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.rhythm import TICK, first, following
from reconciler.model.health import CheckType, HealthCheck
from reconciler.model.units import Nanos, milliseconds, minutes, seconds

PARTS = st.floats(0, 1, exclude_max=True)
SPANS = st.integers(milliseconds(10), minutes(120)).map(Nanos)
MOMENTS = st.integers(0, minutes(100_000)).map(Nanos)


@given(part=PARTS, every=SPANS, begun=MOMENTS)
def test_the_next_check_is_neither_too_soon_nor_too_far_away(
    part: float, every: Nanos, begun: Nanos
) -> None:
    gap = following(part, every, begun) - begun
    assert every // 2 <= gap < every // 2 + every


@given(part=PARTS, every=SPANS, begun=MOMENTS)
def test_checks_that_begin_in_time_are_an_interval_apart(
    part: float, every: Nanos, begun: Nanos
) -> None:
    due = following(part, every, begun)
    assert following(part, every, due) == due + every


@given(part=PARTS, every=SPANS, begun=MOMENTS, late=st.floats(0, 0.49))
def test_one_that_begins_late_puts_no_other_off(
    part: float, every: Nanos, begun: Nanos, late: float
) -> None:
    due = following(part, every, begun)
    assert following(part, every, Nanos(due + int(every * late))) == due + every


@given(part=PARTS, interval=SPANS, start=SPANS, now=MOMENTS)
def test_the_first_check_comes_soon(part: float, interval: Nanos, start: Nanos, now: Nanos) -> None:
    check = HealthCheck(type=CheckType.TCP, interval=interval, start_interval=start)
    assert 0 <= first(part, check, now, is_adopted=False) - now < min(start, interval)
    assert 0 <= first(part, check, now, is_adopted=True) - now < min(seconds(10), interval)


@given(first_part=PARTS, second_part=PARTS)
def test_those_whose_places_are_apart_are_checked_apart(
    first_part: float, second_part: float
) -> None:
    every = seconds(10)
    places = [following(part, every, Nanos(0)) % every for part in (first_part, second_part)]
    apart = abs(first_part - second_part) * every
    assert abs(apart - abs(places[0] - places[1])) <= TICK
