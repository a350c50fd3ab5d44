"""Nobody waits while there is room for him, and nobody gets in where there is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.observed import Slot
from reconciler.model.units import ServiceName
from reconciler.runtime.lanes import Lane

SLOTS = [Slot(service=ServiceName("web"), index=index) for index in range(12)]
STEPS = st.lists(st.tuples(st.sampled_from(SLOTS), st.booleans(), st.booleans()), max_size=60)


@given(room=st.integers(1, 6), part=st.integers(1, 6), steps=STEPS)
def test_room_is_used_and_never_exceeded(
    room: int, part: int, steps: list[tuple[Slot, bool, bool]]
) -> None:
    lane = Lane(room, min(room, part))
    inside: dict[Slot, bool] = {}
    waiting: dict[Slot, bool] = {}
    for slot, is_slow, leaves in steps:
        if leaves:
            inside.pop(slot, None)
            waiting.pop(slot, None)
            for following in lane.leave(slot):
                inside[following] = waiting.pop(following)
        elif slot not in inside and slot not in waiting:
            target = inside if lane.enter(slot, is_slow=is_slow) else waiting
            target[slot] = is_slow
        slow = sum(inside.values())
        assert len(inside) <= room
        assert slow <= min(room, part)
        has_room = len(inside) < room
        assert not (has_room and any(not one for one in waiting.values()))
        assert not (has_room and slow < min(room, part) and waiting)


def test_those_who_wait_get_in_by_their_order() -> None:
    lane = Lane(1, 1)
    assert lane.enter(SLOTS[0], is_slow=False)
    assert not any(lane.enter(slot, is_slow=False) for slot in SLOTS[1:4])
    assert lane.leave(SLOTS[2]) == []
    assert [lane.leave(slot) for slot in (SLOTS[0], SLOTS[1])] == [[SLOTS[1]], [SLOTS[3]]]
