"""What happens to rollouts: versions that serve and that do not, and people who step in."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from reconciler.model.event import OperationKind
from reconciler.model.units import Nanos, ServiceName, milliseconds, seconds
from tests.sim import documents as made_up
from tests.sim.drawing import Kind, a_name, count
from tests.sim.machine import Program
from tests.sim.world import World

UPDATES: tuple[dict[str, Any], ...] = (
    {},
    {"minReady": "0s"},
    {"minReady": "6s", "maxUnavailable": 1},
    {"minReady": "4s", "onFailure": "rollback"},
    {"minReady": "1s", "maxSurge": 2, "maxUnavailable": 1, "onFailure": "rollback"},
    {"order": "stop-first", "minReady": "3s"},
    {"order": "stop-first", "maxUnavailable": 2, "onFailure": "rollback"},
)
"""How new versions may come."""
WIDTHS = (2, 2, 3, 4)
FATES: Mapping[str, Program] = {
    "good": Program(),
    "slow": Program(ready_after=seconds(2)),
    "dead": Program(lives_for=Nanos(0), code=1),
    "short": Program(lives_for=milliseconds(500), code=1),
    "done": Program(lives_for=milliseconds(1500), code=0),
    "dumb": Program(ready_after=None),
    "none": Program(cannot_run="no such file"),
    "deaf": Program(ends_in=seconds(2)),
}
"""What the processes of a version may be like, whatever those of the version before are."""
HURRY = 0.7
"""Seconds after which a version is followed by the next: the first has come into one slot."""


def roll(world: World, which: int, fates: tuple[str, ...], number: int) -> None:
    """Save one version of a service after another, each of which serves or not.

    A service that would not roll gets more instances first.
    """
    found = world.repository.read().definitions
    rolling = [name for name, one in found.items() if one.spec.rolls and name in made_up.NAMES]
    name = ServiceName(made_up.NAMES[which % made_up.FEW])
    if rolling:
        name = sorted(rolling)[which % len(rolling)]
    elif name not in found or not world.repository.set_line(name, "instances", 2):
        return
    for fate in fates:
        _save_version(world, name, fate, f"{fate}-{number}")
        world.pass_time(HURRY)


def draw_roll(luck: Random) -> tuple[Any, ...]:
    some = ("good", "good", *FATES)
    fates = tuple(luck.choice(some) for _ in range(luck.choice((1, 1, 1, 2))))
    return (luck.randrange(100), fates, luck.randrange(3))


def _save_version(world: World, name: ServiceName, fate: str, version: str) -> None:
    if not world.repository.set_line(name, "command", ["run", version]):
        return
    definition = world.repository.read().definitions.get(name)
    if definition is not None:
        world.host.machine.fates[definition.spec.digest] = FATES[fate]
        count(world, "new version", definition.spec.rolls)
        count(world, "new version does not serve", fate not in ("good", "slow", "deaf"))
    world.look_at_repository()


def spread(world: World, name: str, width: int, how: int) -> None:
    """Give a service more instances, and say how new versions of it come."""
    if world.repository.set_line(name, "instances", width):
        world.repository.set_line(name, "update", UPDATES[how])
        world.look_at_repository()
        count(world, "rollouts told how to go")


def step_in(world: World, verb: str, which: int) -> None:
    """Let somebody pause, resume or undo one of the rollouts that there are."""
    wanted = world.rules.wanted
    names = [name for name in made_up.NAMES if wanted.is_rolling(ServiceName(name))]
    name = (names or made_up.NAMES)[which % len(names or made_up.NAMES)]
    world.ask(OperationKind(f"{verb}-rollout"), name)
    count(world, f"rollout {verb} asked", names)


ROLLS: Mapping[str, Kind] = {
    "roll": Kind(draw_roll, roll, 4),
    "spread": Kind(
        lambda luck: (a_name(luck), luck.choice(WIDTHS), luck.randrange(len(UPDATES))), spread, 3
    ),
    "step-in": Kind(
        lambda luck: (luck.choice(("pause", "resume", "undo")), luck.randrange(100)), step_in, 3
    ),
}
