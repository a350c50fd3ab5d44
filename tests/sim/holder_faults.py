"""What happens to the holder, and to what is said between it and the daemon."""

from __future__ import annotations

from random import Random
from typing import Any

from reconciler.model.units import Nanos, seconds
from tests.sim.drawing import choose, count
from tests.sim.host import Weather
from tests.sim.world import World


def lose_holder(world: World, span: float) -> None:
    world.lose_holder(seconds_long=span)
    count(world, "connection cut")


def kill_holder(world: World, down_for: float) -> None:
    if world.host.holder is not None:
        world.kill_holder(down_for=down_for)
        count(world, "holder killed")


def renew_holder(world: World) -> None:
    """Let the holder replace its program in place."""
    count(world, "holder replaced", world.host.renew_holder())


def see_ends(world: World, tells: bool) -> None:
    """Let the daemon hold on to processes itself, on a kernel that tells their codes or not."""
    world.host.sees_ends, world.host.machine.tells = True, tells


def kill_holder_in_spawn(world: World, point: str) -> None:
    world.host.dies_in_spawn = point

    def mend() -> None:
        world.host.begin_holder()

    world.host.later(seconds(4), mend)


POINTS = (
    "identity.recorded",
    "signal.before",
    "signal.after",
    "event.before",
    "event.told",
    "ack.before",
    "ack.taken",
)
"""Failpoints of the holder, but for those of a start, which have a deed of their own."""


def kill_holder_at(world: World, point: str) -> None:
    """Let the holder be killed when it comes to a point, and be there again after a while."""
    world.host.dies_at = point


def slow_holder(world: World, span: float) -> None:
    until = Nanos(world.now + seconds(span))
    # What waits for the holder is done in its order: nothing that comes later is done sooner.
    world.host.busy_until = max(world.host.busy_until, until)


def change_weather(
    world: World, salt: int, never: float, twice: float, late: float, held: float
) -> None:
    world.host.weather = Weather(salt=salt, never=never, twice=twice, late=late, held=held)


def draw_weather(luck: Random) -> tuple[Any, ...]:
    rates = [luck.choice((0.0, 0.0, 0.05, 0.2)) for _ in range(4)]
    return (luck.randrange(1000), *rates)


def lose_next(world: World, kind: str) -> None:
    world.host.loses_next.add(kind)


def double_next(world: World, kind: str) -> None:
    world.host.doubles_next.add(kind)


def drop_next(world: World, kind: str) -> None:
    """Let the next command of a kind never arrive."""
    world.host.drops_next.add(kind)


def delay(world: World, kind: str, span: float) -> None:
    """Let every answer to commands of a kind take so long from now on."""
    world.host.delays[kind] = seconds(span)
    count(world, "answers slow", span)


COMMANDS = choose("Spawn", "Signal", "LookAtHost", "Probe", "acknowledge", "PutRight")
