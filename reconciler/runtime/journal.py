"""Write decisions down before they are acted on, and tell listeners what happened.

The record never stands in the way of supervision: what cannot be written, or not in time, is
kept by the store and tried again, and meanwhile everything goes on from memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from reconciler.model.event import Decision, Happening, Signal, Spawn
from reconciler.ports import Clock, EventRecord, Store, StoreError

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long a decision waits for its record before it is acted on all the same."""
RETRY_S = 5.0
"""Between tries to write what could not be written."""
LISTENER_LIMIT = 1000
"""Events a listener may fall behind before it is dropped."""
WAITING_LIMIT = 1000
"""Decisions that may wait for a disk that does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A decision on its way to the record."""

    decision: Decision
    revision: str
    actor: str
    is_written: asyncio.Event = field(default_factory=asyncio.Event)


class Listener:
    """Somebody who wants to hear of events."""

    def __init__(self, others: list[Listener]) -> None:
        self._others = others
        self._heard: deque[EventRecord] = deque()
        self._more = asyncio.Event()
        self._is_closed = False

    def hear(self, events: Sequence[EventRecord]) -> None:
        """Take events in; one who has too many of them unread is let go."""
        self._heard.extend(events)
        self._more.set()
        if len(self._heard) > LISTENER_LIMIT:
            self.close()

    def drain(self) -> list[EventRecord]:
        """Give what was heard since the last time, without waiting."""
        events = list(self._heard)
        self._heard.clear()
        self._more.clear()
        return events

    def close(self) -> None:
        """Hear nothing more."""
        self._is_closed = True
        self._more.set()
        with suppress(ValueError):
            self._others.remove(self)

    async def __aiter__(self) -> AsyncIterator[EventRecord]:
        """Give each event as it comes; ends when the listener is closed."""
        while True:
            for event in self.drain():
                yield event
            if self._is_closed:
                return
            await self._more.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Journal:
    """The one writer of the record."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: asyncio.Queue[Entry] = asyncio.Queue(WAITING_LIMIT)
        self._listeners: list[Listener] = []
        self._told_unwritten = 0
        self._is_slow = False

    @property
    def trouble(self) -> str:
        """Say why the record is not up to date; empty when it is."""
        if self._is_slow:
            return "cannot save the record: the disk does not answer"
        return self._store.trouble

    async def run(self) -> None:
        """Write what comes, in order; retry what could not be written."""
        while True:
            try:
                async with asyncio.timeout(RETRY_S if self._store.trouble else None):
                    entry = await self._waiting.get()
            except TimeoutError:
                entry = Entry(decision=Decision(), revision="", actor="")
            await self._write(entry)
            entry.is_written.set()

    async def write(self, decision: Decision, *, revision: str, actor: str = "") -> bool:
        """Write a decision down; tell whether that is done. Never raises, never waits for long."""
        if is_silent(decision):
            return True
        entry = Entry(decision=decision, revision=revision, actor=actor)
        if self._waiting.full():
            log.error("cannot save the record: %d decisions wait for the disk", WAITING_LIMIT)
            return False
        self._waiting.put_nowait(entry)
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._is_slow else PATIENCE_S):
                await entry.is_written.wait()
        self._is_slow = not entry.is_written.is_set()
        return not self.trouble

    async def answered(self, answers: Sequence[tuple[int, str]]) -> None:
        """Note how commands ended; what cannot be noted is found out by the next look."""
        with suppress(StoreError):
            await self._store.answered(answers)

    def listen(self) -> Listener:
        """Hear each event from now on, until the listener is closed or falls too far behind."""
        listener = Listener(self._listeners)
        self._listeners.append(listener)
        return listener

    async def _write(self, entry: Entry) -> None:
        before = self._store.trouble
        try:
            events = await self._store.record(
                entry.decision, revision=entry.revision, actor=entry.actor
            )
        except StoreError as why:
            if not before:
                log.error("%s", why)  # noqa: TRY400 - the store's sentence says it all
            self._tell(
                [self._unwritten(happening, entry) for happening in entry.decision.happenings]
            )
            self._told_unwritten += len(entry.decision.happenings)
            return
        self._is_slow = False
        if before:
            log.info("the record can be saved again")
        self._tell(events[self._told_unwritten :])
        self._told_unwritten = 0

    def _tell(self, events: Sequence[EventRecord]) -> None:
        for listener in list(self._listeners):
            listener.hear(events)

    def _unwritten(self, happening: Happening, entry: Entry) -> EventRecord:
        """Give an event that has no number yet, so that people see it although it is not saved."""
        return EventRecord(
            seq=0,
            time=self._clock.wall(),
            kind=happening.kind,
            service=happening.service or "",
            instance=str(happening.slot) if happening.slot else "",
            reason=happening.reason,
            revision=entry.revision,
            actor=happening.actor or entry.actor,
            data=happening.data,
        )


def is_silent(decision: Decision) -> bool:
    """Tell whether a decision leaves nothing to be written."""
    return not (
        any(isinstance(command, Spawn | Signal) for command in decision.commands)
        or decision.happenings
        or decision.transitions
        or not decision.remembered.is_empty
    )
