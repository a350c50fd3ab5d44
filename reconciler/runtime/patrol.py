"""Go round the processes that run, and tell the engine where one was stopped or reniced by hand.

Every process is looked at, whatever its manifest says, so a round is one small read of each, and
the more there are the longer it is until the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from reconciler.model.event import Event
from reconciler.model.observed import Process, ProcessId, State
from reconciler.model.plan import Situation
from reconciler.model.put_right import ProcessSeen
from reconciler.model.status import Condition
from reconciler.model.units import RunId

EVERY_S = (3.0, 30.0)
"""Between two rounds, at least and at most."""
EACH_S = 0.1
"""What each process adds to that."""
MOMENT_S = 1.0
"""Who is stopped for less than this is left alone: some stop themselves, and go on."""
AT_ONCE = 100
"""Processes looked at before the rest of the daemon has its turn."""

_ALIVE = (State.STARTING, State.RUNNING, State.DEGRADED)

Look = Callable[[Iterable[ProcessId]], Mapping[ProcessId, Condition]]
"""Gives how processes are; those that are gone are left out."""


class Patrol:
    """Sees what no event tells of, within seconds."""

    def __init__(
        self, situation: Callable[[], Situation], look: Look, tell: Callable[[Event], None]
    ) -> None:
        self._situation = situation
        self._look = look
        self._tell = tell
        self._odd: set[RunId] = set()
        """Those that were told of, and not as well again since."""

    async def run(self) -> None:
        """Go on for ever."""
        pause_s, most_s = EVERY_S
        while True:
            await asyncio.sleep(min(pause_s, most_s))
            pause_s = max(EVERY_S[0], EACH_S * await self.once())

    async def once(self) -> int:
        """Go round once, and give how many processes there were."""
        wanted = _running(self._situation())
        seen = await self._conditions([process.id for process, _ in wanted])
        halted = [process.id for process, _ in wanted if _is_halted(seen.get(process.id))]
        if halted:
            await asyncio.sleep(MOMENT_S)
            seen = seen | await self._conditions(halted)
        known = self._odd
        self._odd = {process.run for process, nice in wanted if _is_odd(seen.get(process.id), nice)}
        for process, _ in wanted:
            condition = seen.get(process.id)
            if condition is not None and process.run in known | self._odd:
                self._tell(
                    ProcessSeen(
                        slot=process.slot,
                        run=process.run,
                        is_halted=condition.is_halted,
                        nice=condition.nice,
                    )
                )
        return len(wanted)

    async def _conditions(self, targets: list[ProcessId]) -> dict[ProcessId, Condition]:
        found: dict[ProcessId, Condition] = {}
        for begin in range(0, len(targets), AT_ONCE):
            found |= self._look(targets[begin : begin + AT_ONCE])
            await asyncio.sleep(0)
        return found


def _running(situation: Situation) -> list[tuple[Process, int | None]]:
    """Give the processes that are to go on, each with the nice of its manifest."""
    return [
        (process, memory.spec.nice if process.digest == memory.spec.digest else None)
        for name, memory in situation.services.items()
        for record in situation.slots.get(name, {}).values()
        if (process := record.process) is not None
        and process.exit is None
        and record.state in _ALIVE
    ]


def _is_halted(condition: Condition | None) -> bool:
    return condition is not None and condition.is_halted


def _is_odd(condition: Condition | None, nice: int | None) -> bool:
    if condition is None:
        return False
    return condition.is_halted or nice not in (None, condition.nice)
