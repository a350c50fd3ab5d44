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
    READY = "ready"
    EXEC_FAILED = "exec failed"
    DIED = "died"
    EXITED_WELL = "exited well and no restart wanted"
    START_TIMED_OUT = "startTimeout"
    STOP = "stop"
    TREE_EMPTY = "tree empty"
    TREE_EMPTY_AFTER_TIMEOUT = "tree empty after a start that timed out"
    UNKILLABLE = "unkillable"
    LOST = "cannot be verified"
    FOUND_RUNNING = "verified again, running"
    FOUND_STARTING = "verified again, not ready yet"
    FOUND_GONE = "verified again, gone"


_LIVE = (State.STARTING, State.RUNNING, State.DEGRADED, State.STOPPING)

NEXT: Mapping[tuple[State, Signal], State] = {
    (State.STOPPED, Signal.START): State.STARTING,
    (State.CRASHED, Signal.START): State.STARTING,
    (State.STARTING, Signal.READY): State.RUNNING,
    (State.STARTING, Signal.EXEC_FAILED): State.CRASHED,
    (State.STARTING, Signal.DIED): State.CRASHED,
    (State.STARTING, Signal.START_TIMED_OUT): State.STOPPING,
    (State.STARTING, Signal.STOP): State.STOPPING,
    (State.STARTING, Signal.FOUND_GONE): State.STOPPED,
    (State.RUNNING, Signal.DIED): State.CRASHED,
    (State.RUNNING, Signal.EXITED_WELL): State.STOPPED,
    (State.RUNNING, Signal.START_TIMED_OUT): State.STOPPING,
    (State.RUNNING, Signal.STOP): State.STOPPING,
    (State.DEGRADED, Signal.DIED): State.CRASHED,
    (State.DEGRADED, Signal.EXITED_WELL): State.STOPPED,
    (State.DEGRADED, Signal.STOP): State.STOPPING,
    (State.STOPPING, Signal.TREE_EMPTY): State.STOPPED,
    (State.STOPPING, Signal.TREE_EMPTY_AFTER_TIMEOUT): State.CRASHED,
    (State.STOPPING, Signal.UNKILLABLE): State.UNKNOWN,
    (State.STOPPED, Signal.UNKILLABLE): State.UNKNOWN,
    (State.CRASHED, Signal.UNKILLABLE): State.UNKNOWN,
    (State.CRASHED, Signal.STOP): State.STOPPED,
    (State.UNKNOWN, Signal.TREE_EMPTY): State.STOPPED,
    (State.UNKNOWN, Signal.FOUND_RUNNING): State.RUNNING,
    (State.UNKNOWN, Signal.FOUND_STARTING): State.STARTING,
    (State.UNKNOWN, Signal.FOUND_GONE): State.STOPPED,
    (State.STOPPED, Signal.FOUND_RUNNING): State.RUNNING,
    (State.STOPPED, Signal.FOUND_STARTING): State.STARTING,
    (State.CRASHED, Signal.FOUND_RUNNING): State.RUNNING,
    (State.CRASHED, Signal.FOUND_STARTING): State.STARTING,
} | {(state, Signal.LOST): State.UNKNOWN for state in _LIVE}


def follow(state: State, signal: Signal) -> State:
    """Give the state after a signal; a signal without a row changes nothing.

    >>> follow(State.STARTING, Signal.READY)
    <State.RUNNING: 'running'>
    >>> follow(State.STOPPED, Signal.READY)
    <State.STOPPED: 'stopped'>
    """
    return NEXT.get((state, signal), state)
