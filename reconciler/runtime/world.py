"""What the loop stands between: the engine on one side, the ports on the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.event import Decision, Event, Signal, Spawn
from reconciler.model.observed import Slot
from reconciler.model.plan import Situation
from reconciler.model.status import Picture
from reconciler.model.units import Nanos
from reconciler.ports import Clock, Host, Manifests, Prober, Store, Timetable


class Decider(Protocol):
    """The engine, as far as the loop knows it."""

    def step(self, events: Iterable[Event], now: Nanos) -> Decision:
        """Take in events and give all that follows from them."""
        ...

    def situation(self, now: Nanos) -> Situation:
        """Give all that a plan depends on."""
        ...

    def picture(self, now: Nanos) -> Picture:
        """Give what people are shown."""
        ...


Tell = Callable[[Event], None]


def ignore(_: Spawn) -> None:
    """Do nothing before a start."""


async def allow(_: Spawn | Signal) -> Event | None:
    """Refuse nothing."""
    return None


def read_on(_: Situation) -> None:
    """Do nothing after a reading of the manifests."""


def identity(tell: Tell) -> Tell:
    """Let everything through."""
    return tell


def never() -> bool:
    """Hold nothing back."""
    return False


def keep(_: tuple[Slot, ...]) -> None:
    """Let the host keep what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the loop stands between."""

    clock: Clock
    host: Host
    prober: Prober
    store: Store
    manifests: Manifests
    timetable: Timetable
    may: Callable[[Spawn | Signal], Awaitable[Event | None]] = allow
    """Asked before each start and each signal; gives the refusal as its answer, or nothing."""
    before_start: Callable[[Spawn], None] = ignore
    """Told of each start just before it is asked for."""
    after_reading: Callable[[Situation], None] = read_on
    """Told how things stand each time that the manifests were read and decided on."""
    through: Callable[[Tell], Tell] = identity
    """What the host tells goes through this on its way to the engine."""
    close_doors: Callable[[tuple[Slot, ...]], None] = keep
    """Told of slots for which the host need keep nothing any more."""
    is_holding: Callable[[], bool] = never
    """Tells whether something that the host told is still on that way."""
