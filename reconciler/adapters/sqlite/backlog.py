"""What is still to be written: one decision as a rule, more while the disk refuses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from reconciler.model.event import Command, Decision, Happening, Signal, Spawn, Transition
from reconciler.model.observed import Slot
from reconciler.model.overlay import Overlay
from reconciler.model.record import PruneHold, ServiceMemory, SlotMemory
from reconciler.model.units import Nanos, ServiceName

K = TypeVar("K")
V = TypeVar("V")

ROWS_KEPT = 10_000
"""Of each kind of row, while nothing can be written; the oldest go first, and are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something was decided, and for whom."""

    wall: float
    boottime: Nanos
    revision: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a command ended."""

    serial: int
    text: str
    """`done`, or the problem."""
    at: Moment


@dataclass(slots=True)
class Backlog:
    """Rows and memory that wait for the next transaction. Not frozen: it is a queue."""

    services: dict[ServiceName, ServiceMemory | None] = field(default_factory=dict)
    slots: dict[Slot, SlotMemory | None] = field(default_factory=dict)
    prune: PruneHold | None = None
    prune_changed: bool = False
    overlays: tuple[Overlay, ...] | None = None
    """Where they changed."""
    removed: Mapping[ServiceName, Nanos] | None = None
    """Where it changed."""
    operations: deque[tuple[Moment, Spawn | Signal]] = field(default_factory=deque)
    transitions: deque[tuple[Moment, Transition]] = field(default_factory=deque)
    happenings: deque[tuple[Moment, Happening]] = field(default_factory=deque)
    answers: deque[Answer] = field(default_factory=deque)
    notes: deque[tuple[Moment, Happening]] = field(default_factory=deque)
    """About the record itself; told after everything else, so that nothing else is renumbered."""
    dropped: int = 0

    def add(self, decision: Decision, at: Moment) -> None:
        """Take in what a decision asks to be written."""
        remembered = decision.remembered
        self.services.update(remembered.services)
        self.slots.update(remembered.slots)
        if remembered.prune_changed:
            self.prune, self.prune_changed = remembered.prune, True
        if remembered.overlays is not None:
            self.overlays = remembered.overlays
        if remembered.removed is not None:
            self.removed = remembered.removed
        self.operations.extend((at, command) for command in acting(decision.commands))
        self.transitions.extend((at, transition) for transition in decision.transitions)
        self.happenings.extend((at, happening) for happening in decision.happenings)
        self._keep_bounds()

    def answer(self, answers: list[Answer]) -> None:
        """Take in how commands ended."""
        self.answers.extend(answers)
        self._keep_bounds()

    def note(self, text: str, at: Moment) -> None:
        """Take in what became of the record itself."""
        self.notes.append((at, _about_record(text)))
        self._keep_bounds()

    def told(self, now: Moment) -> Iterator[tuple[Moment, Happening]]:
        """Give the happenings, and at their end what is to be said of the record."""
        yield from self.happenings
        yield from self.notes
        if self.dropped:
            text = f"{self.dropped} rows were dropped while nothing could be written"
            yield now, _about_record(text)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        is_settled = self.overlays is None and self.removed is None and not self.prune_changed
        return is_settled and not (self.services or self.slots or self.rows)

    @property
    def rows(self) -> int:
        """Count the rows that wait."""
        acts = len(self.operations) + len(self.answers)
        return acts + len(self.transitions) + len(self.happenings) + len(self.notes)

    def clear(self) -> None:
        """Forget everything: it was written."""
        self.services.clear()
        self.slots.clear()
        self.prune, self.prune_changed = None, False
        self.overlays = self.removed = None
        self.dropped = 0
        for queue in (self.operations, self.answers, self.transitions):
            queue.clear()
        self.happenings.clear()
        self.notes.clear()

    def _keep_bounds(self) -> None:
        self.dropped += _trim(self.operations) + _trim(self.transitions)
        self.dropped += _trim(self.happenings) + _trim(self.answers)
        self.dropped += _trim(self.notes)


@dataclass(slots=True)
class Mirror:
    """The memory as last told, so that a database that was lost can be written anew, whole."""

    services: dict[ServiceName, ServiceMemory] = field(default_factory=dict)
    slots: dict[Slot, SlotMemory] = field(default_factory=dict)
    prune: PruneHold | None = None
    overlays: tuple[Overlay, ...] = ()
    removed: Mapping[ServiceName, Nanos] = field(default_factory=dict)

    def follow(self, decision: Decision) -> None:
        """Keep up with a decision."""
        for name, service in decision.remembered.services.items():
            _put(self.services, name, service)
        for slot, memory in decision.remembered.slots.items():
            _put(self.slots, slot, memory)
        if decision.remembered.prune_changed:
            self.prune = decision.remembered.prune
        if decision.remembered.overlays is not None:
            self.overlays = decision.remembered.overlays
        if decision.remembered.removed is not None:
            self.removed = decision.remembered.removed

    def pour_into(self, backlog: Backlog) -> None:
        """Ask for everything to be written again."""
        backlog.services = {**self.services, **backlog.services}
        backlog.slots = {**self.slots, **backlog.slots}
        backlog.prune, backlog.prune_changed = self.prune, True
        backlog.overlays = self.overlays
        backlog.removed = self.removed


def acting(commands: tuple[Command, ...]) -> list[Spawn | Signal]:
    """Give the commands that change the host: only these need a trace before they are done."""
    return [command for command in commands if isinstance(command, Spawn | Signal)]


def is_worth_writing(decision: Decision) -> bool:
    """Tell whether a decision leaves anything to be kept."""
    rows = chain(acting(decision.commands), decision.transitions, decision.happenings)
    return not decision.remembered.is_empty or next(iter(rows), None) is not None


def _about_record(text: str) -> Happening:
    """Give the event that tells people what became of the record itself."""
    return Happening(kind="record.trouble", reason=text)


def _put(kept: dict[K, V], key: K, value: V | None) -> None:
    """Set a key, or remove it for None."""
    if value is None:
        kept.pop(key, None)
    else:
        kept[key] = value


def _trim(queue: deque[V]) -> int:
    """Drop the oldest rows beyond the limit and count them."""
    excess = max(0, len(queue) - ROWS_KEPT)
    for _ in range(excess):
        queue.popleft()
    return excess
