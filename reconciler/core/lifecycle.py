"""The life of a slot as one table: which signal leads from which state to which.

A pair without a row changes nothing. The diagram in the docs is drawn from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from reconciler.model.observed import State


class Signal(StrEnum):
    """What can happen to a slot."""

    START = "start"
    REFUSED = "start refused, its place is taken"
    READY = "ready"
    EXEC_FAILED = "exec failed"
    DIED = "died"
    EXITED_WELL = "exited well and no restart wanted"
    START_TIMED_OUT = "startTimeout"
    WATCHDOG = "watchdog not fed"
    CHECK_FAILING = "check failing beyond the threshold"
    CHECK_RECOVERED = "check recovered"
    STOP = "stop"
    TREE_EMPTY = "tree empty"
    TREE_EMPTY_AFTER_TIMEOUT = "tree empty after a start that timed out"
    UNKILLABLE = "unkillable"
    LOST = "cannot be verified"
    FOUND_RUNNING = "verified again, running"
    FOUND_DEGRADED = "verified again, degraded"
    FOUND_STARTING = "verified again, not ready yet"
    FOUND_STOPPING = "verified again, stopping"


_LIVE = (State.STARTING, State.RUNNING, State.DEGRADED, State.STOPPING)
_EMPTY = (State.STOPPED, State.CRASHED)

NEXT: Mapping[tuple[State, Signal], State] = (
    {
        (State.STOPPED, Signal.START): State.STARTING,
        (State.CRASHED, Signal.START): State.STARTING,
        (State.CRASHED, Signal.STOP): State.STOPPED,
        (State.STARTING, Signal.REFUSED): State.STOPPED,
        (State.STARTING, Signal.READY): State.RUNNING,
        (State.STARTING, Signal.EXEC_FAILED): State.CRASHED,
        (State.STARTING, Signal.DIED): State.CRASHED,
        (State.STARTING, Signal.START_TIMED_OUT): State.STOPPING,
        (State.STARTING, Signal.STOP): State.STOPPING,
        (State.STARTING, Signal.WATCHDOG): State.STOPPING,
        (State.RUNNING, Signal.CHECK_FAILING): State.DEGRADED,
        (State.RUNNING, Signal.DIED): State.CRASHED,
        (State.RUNNING, Signal.EXITED_WELL): State.STOPPED,
        # A oneshot is running from its start, and its timeout bounds its whole run.
        (State.RUNNING, Signal.START_TIMED_OUT): State.STOPPING,
        (State.RUNNING, Signal.STOP): State.STOPPING,
        (State.RUNNING, Signal.WATCHDOG): State.STOPPING,
        (State.DEGRADED, Signal.CHECK_RECOVERED): State.RUNNING,
        (State.DEGRADED, Signal.DIED): State.CRASHED,
        (State.DEGRADED, Signal.EXITED_WELL): State.STOPPED,
        (State.DEGRADED, Signal.START_TIMED_OUT): State.STOPPING,
        (State.DEGRADED, Signal.STOP): State.STOPPING,
        (State.DEGRADED, Signal.WATCHDOG): State.STOPPING,
        (State.STOPPING, Signal.TREE_EMPTY): State.STOPPED,
        (State.STOPPING, Signal.TREE_EMPTY_AFTER_TIMEOUT): State.CRASHED,
        (State.STOPPING, Signal.UNKILLABLE): State.UNKNOWN,
        (State.UNKNOWN, Signal.TREE_EMPTY): State.STOPPED,
        (State.UNKNOWN, Signal.TREE_EMPTY_AFTER_TIMEOUT): State.CRASHED,
        (State.UNKNOWN, Signal.FOUND_RUNNING): State.RUNNING,
        (State.UNKNOWN, Signal.FOUND_DEGRADED): State.DEGRADED,
        (State.UNKNOWN, Signal.FOUND_STARTING): State.STARTING,
        (State.UNKNOWN, Signal.FOUND_STOPPING): State.STOPPING,
    }
    | {(state, Signal.LOST): State.UNKNOWN for state in _LIVE}
    # What a main process left behind when it died by itself may be unkillable too.
    | {(state, Signal.UNKILLABLE): State.UNKNOWN for state in _EMPTY}
    # A process may be found in a slot that was believed to be empty.
    | {(state, Signal.FOUND_RUNNING): State.RUNNING for state in _EMPTY}
    | {(state, Signal.FOUND_DEGRADED): State.DEGRADED for state in _EMPTY}
    | {(state, Signal.FOUND_STARTING): State.STARTING for state in _EMPTY}
    | {(state, Signal.FOUND_STOPPING): State.STOPPING for state in _EMPTY}
)

TOLD: Mapping[Signal, str] = {
    Signal.START: "service.starting",
    Signal.READY: "service.ready",
    Signal.EXEC_FAILED: "service.crashed",
    Signal.DIED: "service.crashed",
    Signal.START_TIMED_OUT: "service.stopping",
    Signal.CHECK_FAILING: "service.degraded",
    Signal.CHECK_RECOVERED: "service.recovered",
    Signal.STOP: "service.stopping",
    Signal.WATCHDOG: "service.stopping",
    Signal.TREE_EMPTY: "service.stopped",
    Signal.TREE_EMPTY_AFTER_TIMEOUT: "service.crashed",
    Signal.UNKILLABLE: "service.unknown",
    Signal.LOST: "service.unknown",
    Signal.FOUND_RUNNING: "service.adopted",
    Signal.FOUND_DEGRADED: "service.adopted",
    Signal.FOUND_STARTING: "service.adopted",
}
"""The kind of event by which a change of state is told; without a row it is not."""


def follow(state: State, signal: Signal) -> State:
    """Give the state after a signal; a signal without a row changes nothing.

    >>> follow(State.STARTING, Signal.READY)
    <State.RUNNING: 'running'>
    >>> follow(State.STOPPED, Signal.READY)
    <State.STOPPED: 'stopped'>
    """
    return NEXT.get((state, signal), state)
