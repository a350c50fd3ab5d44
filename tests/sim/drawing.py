"""How the details of a deed are chosen, and how it is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.sim import documents as made_up
from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to disturb a world: how its details are chosen, and what is done."""

    draw: Callable[[Random], tuple[Any, ...]]
    act: Callable[..., None]
    weight: int = 1


def nothing(_: Random) -> tuple[Any, ...]:
    """Choose no details, since there are none."""
    return ()


def choose(*choices: Any) -> Callable[[Random], tuple[Any, ...]]:
    """Choose one of several details."""
    return lambda luck: (luck.choice(choices),)


def a_name(luck: Random) -> str:
    return luck.choice(made_up.NAMES)


def count(world: World, name: str, did: object = True) -> None:
    world.faults[name] += bool(did)


def two_names(luck: Random) -> tuple[Any, ...]:
    return (a_name(luck), a_name(luck))


def named(luck: Random) -> tuple[Any, ...]:
    return (a_name(luck),)


def seeded(luck: Random) -> tuple[Any, ...]:
    return (luck.randrange(100_000),)


def a_place(luck: Random) -> tuple[Any, ...]:
    return (luck.randrange(100),)


def which(*choices: Any) -> Callable[[Random], tuple[Any, ...]]:
    return lambda luck: (luck.randrange(100), luck.choice(choices))
