"""Small decisions to record, and a clock that tests own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from reconciler.model.diagnostic import Source
from reconciler.model.event import Decision, Happening, Spawn, Transition
from reconciler.model.observed import Slot, State
from reconciler.model.record import ServiceMemory, SlotMemory, Trouble
from reconciler.model.remembered import Remembered
from reconciler.model.spec import Need, ServiceSpec
from reconciler.model.units import Digest, Nanos, Serial, ServiceName, seconds
from reconciler.ports import EventRecord, Store

T = TypeVar("T")
BOOT = "11111111-2222-3333-4444-555555555555"


class StillClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.nanos = seconds(1000)
        self.seconds_1970 = 1_700_000_000.0

    def now(self) -> Nanos:
        return self.nanos

    def wall(self) -> float:
        return self.seconds_1970

    def boot(self) -> str:
        return BOOT

    def pass_by(self, count: float) -> None:
        self.nanos = Nanos(self.nanos + seconds(count))
        self.seconds_1970 += count


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one question to its end."""
    return asyncio.run(coroutine)


def slot(name: str = "web", index: int = 0) -> Slot:
    return Slot(service=ServiceName(name), index=index)


def spec(name: str = "web", *needs: str, command: str = "true") -> ServiceSpec:
    return ServiceSpec(
        name=ServiceName(name),
        digest=Digest(f"digest-of-{command}"),
        command=(command,),
        needs=tuple(Need(service=ServiceName(need)) for need in needs),
    )


def service(name: str = "web", *needs: str, **extra: Any) -> ServiceMemory:
    return ServiceMemory(
        spec=spec(name, *needs), source=Source(file=f"services.d/{name}.yaml"), **extra
    )


def happening(kind: str = "service.starting", name: str = "web", reason: str = "") -> Happening:
    return Happening(kind=kind, service=ServiceName(name), slot=slot(name), reason=reason)


def starting(name: str = "web", serial: int = 1, *needs: str) -> Decision:
    """Give what an engine decides when it starts a service: one row of every kind."""
    return Decision(
        commands=(
            Spawn(
                serial=Serial(serial),
                slot=slot(name),
                spec=spec(name, *needs),
                because="not running",
            ),
        ),
        happenings=(happening(name=name, reason="not running"),),
        transitions=(moved(name),),
        remembered=Remembered(
            services={ServiceName(name): service(name, *needs)},
            slots={slot(name): SlotMemory(slot=slot(name), restarts=serial, trouble=Trouble())},
        ),
    )


def moved(
    name: str = "web", before: State = State.STOPPED, after: State = State.STARTING, index: int = 0
) -> Transition:
    return Transition(slot=slot(name, index), before=before, after=after, reason="because")


def told(number: int) -> Decision:
    """Give a decision that only tells something."""
    return Decision(happenings=(happening(reason=str(number)),))


async def record(store: Store, decision: Decision) -> list[EventRecord]:
    return await store.record(decision, revision="3f2c91a", actor="uid:0")
