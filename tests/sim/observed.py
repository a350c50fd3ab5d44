"""The real engine, with a look at each event to see whether it changes anything."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.engine import Engine
from reconciler.model.event import Decision, Event
from reconciler.model.units import Nanos


class ObservedEngine(Engine):
    """An engine that counts the events that changed what it knows."""

    changed = 0
    """How many of the last step's events did."""

    def step(self, events: Iterable[Event], now: Nanos) -> Decision:
        """Take in events, and count."""
        self.changed = 0
        return super().step(events, now)

    def _take(self, event: Event) -> None:
        before = self._knowledge()
        super()._take(event)
        self.changed += before != self._knowledge()

    def _knowledge(self) -> tuple[object, ...]:
        """Give all that an event may change, so that it can be compared quickly.

        Records and memories are frozen, so who they are says what they hold.
        """
        ledger = self._ledger
        return (
            [id(record) for slots in ledger.slots.values() for record in slots.values()],
            [id(memory) for memory in ledger.services.values()],
            (ledger.desired.services, ledger.source_held, ledger.prune),
            (ledger.host_seen, ledger.unclaimed, ledger.strays),
            (ledger.shutting_down, ledger.hurry, frozenset(ledger.released)),
            {run: (early.exit, early.is_empty) for run, early in ledger.early.items()},
            dict(ledger.early_notices),
        )
