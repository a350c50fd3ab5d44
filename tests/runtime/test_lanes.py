"""Nobody waits while there is room for him, and nobody gets in where there is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.observed import Slot
from reconciler.model.units import ServiceName
from reconciler.runtime.lanes import Lane, Pace

SLOTS = [Slot(service=ServiceName("web"), index=index) for index in range(12)]
STEPS = st.lists(
    st.tuples(st.sampled_from(SLOTS), st.sampled_from(Pace), st.booleans()), max_size=60
)


@given(room=st.integers(1, 9), steps=STEPS)
def test_room_is_used_and_never_exceeded(room: int, steps: list[tuple[Slot, Pace, bool]]) -> None:
    lane = Lane(room)
    rooms = {Pace.QUICK: room, Pace.NEW: max(1, room * 3 // 4), Pace.SLOW: max(1, room // 2)}
    inside: dict[Slot, Pace] = {}
    waiting: dict[Slot, Pace] = {}
    for slot, pace, leaves in steps:
        if leaves:
            inside.pop(slot, None)
            waiting.pop(slot, None)
            for following in lane.leave(slot):
                inside[following] = waiting.pop(following)
        elif slot not in inside and slot not in waiting:
            target = inside if lane.enter(slot, pace) else waiting
            target[slot] = pace
        free = {
            least: rooms[least] - sum(one >= least for one in inside.values()) for least in Pace
        }
        assert min(free.values()) >= 0
        assert [
            one for one in waiting.values() if min(free[least] for least in Pace if least <= one)
        ] == []


def test_those_who_wait_get_in_by_their_order() -> None:
    lane = Lane(1)
    assert lane.enter(SLOTS[0], Pace.QUICK)
    assert not any(lane.enter(slot, Pace.QUICK) for slot in SLOTS[1:4])
    assert lane.leave(SLOTS[2]) == []
    assert [lane.leave(slot) for slot in (SLOTS[0], SLOTS[1])] == [[SLOTS[1]], [SLOTS[3]]]
