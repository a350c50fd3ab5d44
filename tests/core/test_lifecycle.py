"""The table of a slot's life: complete, and that of the design."""

from __future__ import annotations

import itertools

import pytest

from reconciler.core.lifecycle import NEXT, Signal, follow
from reconciler.model.observed import State

STOPPED, STARTING, RUNNING = State.STOPPED, State.STARTING, State.RUNNING
STOPPING, CRASHED, DEGRADED, UNKNOWN = (
    State.STOPPING,
    State.CRASHED,
    State.DEGRADED,
    State.UNKNOWN,
)

DESIGN = [
    (STOPPED, Signal.START, STARTING),
    (STARTING, Signal.READY, RUNNING),
    (STARTING, Signal.EXEC_FAILED, CRASHED),
    (STARTING, Signal.DIED, CRASHED),
    (STARTING, Signal.START_TIMED_OUT, STOPPING),
    (STOPPING, Signal.TREE_EMPTY_AFTER_TIMEOUT, CRASHED),
    (STARTING, Signal.STOP, STOPPING),
    (RUNNING, Signal.CHECK_FAILING, DEGRADED),
    (RUNNING, Signal.DIED, CRASHED),
    (RUNNING, Signal.EXITED_WELL, STOPPED),
    (RUNNING, Signal.STOP, STOPPING),
    (DEGRADED, Signal.CHECK_RECOVERED, RUNNING),
    (DEGRADED, Signal.DIED, CRASHED),
    (DEGRADED, Signal.STOP, STOPPING),
    (STOPPING, Signal.TREE_EMPTY, STOPPED),
    (STOPPING, Signal.UNKILLABLE, UNKNOWN),
    (CRASHED, Signal.START, STARTING),
    (CRASHED, Signal.STOP, STOPPED),
    (STARTING, Signal.LOST, UNKNOWN),
    (RUNNING, Signal.LOST, UNKNOWN),
    (DEGRADED, Signal.LOST, UNKNOWN),
    (STOPPING, Signal.LOST, UNKNOWN),
    (UNKNOWN, Signal.FOUND_STARTING, STARTING),
    (UNKNOWN, Signal.FOUND_RUNNING, RUNNING),
    (UNKNOWN, Signal.FOUND_DEGRADED, DEGRADED),
    (UNKNOWN, Signal.FOUND_STOPPING, STOPPING),
    (UNKNOWN, Signal.TREE_EMPTY, STOPPED),
]


@pytest.mark.parametrize(("before", "signal", "after"), DESIGN)
def test_every_row_of_the_design_is_there(before: State, signal: Signal, after: State) -> None:
    assert follow(before, signal) is after


@pytest.mark.parametrize(("state", "signal"), list(itertools.product(State, Signal)))
def test_every_state_answers_every_signal(state: State, signal: Signal) -> None:
    after = follow(state, signal)
    assert after is NEXT.get((state, signal), state)
    assert (state, signal) not in NEXT or after is not state, "a row that changes nothing"


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached_and_left(state: State) -> None:
    assert any(after is state for after in NEXT.values())
    assert any(before is state for before, _ in NEXT)


def test_nothing_leads_to_a_process_but_a_start_or_one_that_is_found() -> None:
    for (before, signal), after in NEXT.items():
        if before in (STOPPED, CRASHED) and after in (STARTING, RUNNING):
            assert signal in (Signal.START, Signal.FOUND_STARTING, Signal.FOUND_RUNNING)
