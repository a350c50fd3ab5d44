"""Keep a storm of crashes from becoming a storm of starts: so many restarts a second, in turn.

A cold start is not held back, nor is what people ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.core.wishes import Board, is_crash_restart
from reconciler.model.plan import Action, Hold, HoldCode, Start
from reconciler.model.units import Nanos, seconds

MOST = 20
"""Restarts after a crash, of the whole host, within `WINDOW`."""
WINDOW = seconds(1)


def recent(restarts: Iterable[Nanos], now: Nanos) -> tuple[Nanos, ...]:
    """Give the restarts that still count.

    >>> recent([Nanos(0), Nanos(1)], Nanos(WINDOW))
    (1,)
    """
    return tuple(at for at in restarts if now - at < WINDOW)


def in_turn(board: Board, steps: Iterable[Action | Hold]) -> Iterator[Action | Hold]:
    """Give the steps, in order, and hold back the restarts for which there is no room yet."""
    counted = list(recent(board.situation.crash_restarts, board.situation.now))
    for step in steps:
        if not isinstance(step, Start) or step.after or not _is_after_crash(board, step):
            yield step
        elif len(counted) < MOST:
            counted.append(board.situation.now)
            yield step
        else:
            yield Hold(
                service=step.slot.service,
                slot=step.slot,
                code=HoldCode.BACKING_OFF,
                because=f"many crashed at once, and {MOST} a second are started again, in turn",
                until=Nanos(counted[0] + WINDOW),
            )


def _is_after_crash(board: Board, start: Start) -> bool:
    spec = board.wishes[start.slot.service].spec
    record = board.record(start.slot.service, start.slot.index)
    return spec is not None and is_crash_restart(record, spec)
