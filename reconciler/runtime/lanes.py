"""Give checks room, so that those that hang never keep the others waiting."""

from __future__ import annotations

from reconciler.model.observed import Slot


class Lane:
    """Room for so many checks at a time, of which those that may be slow get only a part."""

    def __init__(self, room: int, for_slow: int) -> None:
        self._room = room
        self._for_slow = for_slow
        self._inside: dict[Slot, bool] = {}
        self._slow_inside = 0
        self._waiting: dict[bool, dict[Slot, None]] = {False: {}, True: {}}

    def enter(self, slot: Slot, *, is_slow: bool) -> bool:
        """Let a slot's check in, or have it wait for its turn; tell which."""
        if self._has_room(is_slow=is_slow):
            self._let_in(slot, is_slow=is_slow)
            return True
        self._waiting[is_slow][slot] = None
        return False

    def leave(self, slot: Slot) -> list[Slot]:
        """Let a check out, wherever it is, and give those that get in instead, in their order."""
        for queue in self._waiting.values():
            queue.pop(slot, None)
        self._slow_inside -= self._inside.pop(slot, False)
        entering = []
        for is_slow, queue in self._waiting.items():
            while queue and self._has_room(is_slow=is_slow):
                following = next(iter(queue))
                del queue[following]
                self._let_in(following, is_slow=is_slow)
                entering.append(following)
        return entering

    def _has_room(self, *, is_slow: bool) -> bool:
        has_part = not is_slow or self._slow_inside < self._for_slow
        return len(self._inside) < self._room and has_part

    def _let_in(self, slot: Slot, *, is_slow: bool) -> None:
        self._inside[slot] = is_slow
        self._slow_inside += is_slow
