"""The record: what happened, and what must be known after a restart of the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reconciler.model.event import Decision
from reconciler.model.record import Memory
from reconciler.model.stored import EventRecord, TransitionRecord


class Store(Protocol):
    """The record: what happened, and what must be known after a restart of the daemon."""

    async def load(self, boot: str) -> Memory:
        """Give the memory; slots of another boot are left out."""
        ...

    async def record(self, decision: Decision, *, revision: str, actor: str) -> list[EventRecord]:
        """Write one decision durably, and give its happenings as numbered events.

        Commands are kept as operations, before they are performed. Raises StoreError; nothing
        is half-written.
        """
        ...

    async def answered(self, serials: Sequence[tuple[int, str]]) -> None:
        """Note how commands ended: (serial, `done` or the problem)."""
        ...

    async def events(
        self, *, after: int = 0, service: str = "", limit: int = 1000, since: float | None = None
    ) -> list[EventRecord]:
        """Give stored events in order, the newest `limit` of those that match."""
        ...

    async def history(self, service: str, limit: int) -> list[TransitionRecord]:
        """Give a service's state changes, newest first."""
        ...

    async def close(self) -> None:
        """Write what is queued and close."""
        ...

    @property
    def trouble(self) -> str:
        """Say why the record cannot be written just now; empty while it can.

        What could not be written is kept: `record` with an empty decision tries again.
        """
        ...


class Pending(Protocol):
    """Changes that were asked for and are not in the branch yet, so that no death loses one."""

    async def keep(self, change: str, text: str) -> None:
        """Keep a change by its operation id. Raises StoreError."""
        ...

    async def let_go(self, changes: Sequence[str]) -> None:
        """Forget these; they are in the branch, or refused. Raises StoreError."""
        ...

    async def kept(self) -> Sequence[tuple[str, str]]:
        """Give those that are kept, the oldest first. Raises StoreError."""
        ...
