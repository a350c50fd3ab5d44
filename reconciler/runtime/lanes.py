"""Give checks room, so that those that hang never keep the others waiting."""

from __future__ import annotations

from enum import IntEnum

from reconciler.model.observed import Slot


class Pace(IntEnum):
    """How long a check will take, as far as one can tell."""

    QUICK = 0
    NEW = 1
    """Nobody knows: it was never made."""
    SLOW = 2


class Lane:
    """Room for so many checks at a time.

    There is less of it for those that nobody knows, and still less for those that were slow.
    """

    def __init__(self, room: int) -> None:
        self._rooms = {
            Pace.QUICK: room,
            Pace.NEW: max(1, room * 3 // 4),
            Pace.SLOW: max(1, room // 2),
        }
        self._inside: dict[Slot, Pace] = {}
        self._numbers = dict.fromkeys(Pace, 0)
        self._waiting: dict[Pace, dict[Slot, None]] = {pace: {} for pace in Pace}

    def enter(self, slot: Slot, pace: Pace) -> bool:
        """Let a slot's check in, or have it wait for its turn; tell which."""
        if self._has_room(pace):
            self._let_in(slot, pace)
            return True
        self._waiting[pace][slot] = None
        return False

    def leave(self, slot: Slot) -> list[Slot]:
        """Let a check out, wherever it is, and give those that get in instead, in their order."""
        for queue in self._waiting.values():
            queue.pop(slot, None)
        left = self._inside.pop(slot, None)
        if left is not None:
            self._numbers[left] -= 1
        entering = []
        for pace, queue in self._waiting.items():
            while queue and self._has_room(pace):
                following = next(iter(queue))
                del queue[following]
                self._let_in(following, pace)
                entering.append(following)
        return entering

    def _has_room(self, pace: Pace) -> bool:
        """Tell whether a check gets in: for each pace up to its own, among all no quicker ones."""
        return all(
            sum(self._numbers[other] for other in Pace if other >= limit) < self._rooms[limit]
            for limit in Pace
            if limit <= pace
        )

    def _let_in(self, slot: Slot, pace: Pace) -> None:
        self._inside[slot] = pace
        self._numbers[pace] += 1
