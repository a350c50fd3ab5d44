"""Wait for the check that is due next, and for the loop to turn: what runs may be another then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reconciler.model.plan import Situation
from reconciler.model.units import Nanos, in_seconds
from reconciler.ports import Clock
from reconciler.runtime.checks import Checks

log = logging.getLogger(__name__)

CALM_S = 0.05
"""Between two looks at what runs: what comes in a burst is seen at once."""


class Checking:
    """Waits for the checks that are due, and for what the loop does."""

    def __init__(self, checks: Checks, clock: Clock) -> None:
        self._checks = checks
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = Nanos(0)
        self.problem = ""
        """A defect of ours that keeps slots from being checked; empty while there is none."""

    async def run(
        self, turn: Callable[[], Awaitable[object]], situation: Callable[[], Situation]
    ) -> None:
        """Go on for ever; `turn` returns whenever the situation may be another."""
        self._checks.sooner = self._set
        try:
            while True:
                self._look(situation)
                self._set()
                await turn()
                await asyncio.sleep(CALM_S)
        finally:
            self._checks.sooner = lambda: None
            if self._timer is not None:
                self._timer.cancel()
            self._checks.close()

    def _look(self, situation: Callable[[], Situation]) -> None:
        """Follow what runs; a defect of ours ends no check of what is followed already."""
        try:
            self._checks.survey(situation())
        except Exception as why:
            if self.problem != (problem := f"cannot follow what is to be checked: {why!r}"):
                log.exception("cannot follow what is to be checked")
                self.problem = problem
        else:
            self.problem = ""

    def _set(self) -> None:
        """Have the alarm ring when the next check is due."""
        due = self._checks.due
        if due is None or (self._timer is not None and self._rings_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        left_s = max(0.0, in_seconds(Nanos(due - self._clock.now())))
        self._rings_at = due
        self._timer = asyncio.get_running_loop().call_later(left_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        try:
            self._checks.begin_due()
        finally:
            self._set()
