"""Fold the slots of a service into its one state, and count those that run.

Only the service's own slots count: one that helps out while others are replaced, or has to go
because fewer are wanted, says nothing about whether the service is as it should be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reconciler.core.wishes import Wish, is_up
from reconciler.model.observed import Slot, State
from reconciler.model.record import RolloutPhase, SlotRecord

_WORST = (State.CRASHED, State.UNKNOWN, State.STARTING, State.STOPPING, State.STOPPED)
_IN_TURN = frozenset((State.RUNNING, State.STARTING, State.STOPPING))
"""What slots are in while a rollout replaces one after the other."""


def own(wish: Wish, records: Sequence[SlotRecord]) -> Sequence[SlotRecord]:
    """Give the slots that a service has by itself; all that are left of one that is gone."""
    if wish.spec is None or wish.is_gone:
        return records
    return [record for record in records if record.memory.slot.index < wish.spec.instances]


def state_of(wish: Wish, records: Sequence[SlotRecord]) -> State:
    """Give the service's state: all alike, or partly running, or the worst.

    What a rollout replaces just now is no degradation; what crashed meanwhile is.
    """
    states = {record.state for record in own(wish, records)}
    if not states:
        return State.STOPPED
    if len(states) == 1:
        return states.pop()
    is_partly_up = wish.runs and any(is_up(record) for record in own(wish, records))
    if is_partly_up and not _are_in_turn(wish, states):
        return State.DEGRADED
    return next((state for state in _WORST if state in states), State.DEGRADED)


def counted(wish: Wish, records: Sequence[SlotRecord], because: str, slot: Slot | None) -> str:
    """Put in front how many slots run, when only some of them do, and which one is meant."""
    mine = own(wish, records)
    up = sum(is_up(record) for record in mine)
    if not 0 < up < len(mine) or _are_in_turn(wish, {record.state for record in mine}):
        return because
    who = f"{slot}: " if slot is not None else ""
    return f"{up} of {len(mine)} running" + (f"; {who}{because}" if because else "")


def _are_in_turn(wish: Wish, states: Collection[State]) -> bool:
    """Tell whether slots are only down because they are replaced, one after the other."""
    moving = (RolloutPhase.ROLLING, RolloutPhase.BACK)
    is_rolling = wish.rollout is not None and wish.rollout.phase in moving
    return is_rolling and _IN_TURN.issuperset(states)
