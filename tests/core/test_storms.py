"""A storm of crashes is no storm of starts."""

from __future__ import annotations

from reconciler.core.storms import MOST
from reconciler.model.event import Spawn
from reconciler.model.spec import Backoff
from reconciler.model.units import Nanos, seconds
from tests.core.building import service
from tests.sim.world import World

COUNT = 2 * MOST + 2
AT_ONCE = Backoff(initial=Nanos(0), jitter=Nanos(0))


def starts(world: World) -> list[Nanos]:
    return [
        step.now
        for _, steps in world.lives
        for step in steps
        for command in step.decision.commands
        if isinstance(command, Spawn)
    ]


def test_v23_what_crashes_in_one_moment_is_back_within_seconds_in_turn() -> None:
    world = World(*[service(f"s{number:02}", backoff=AT_ONCE) for number in range(COUNT)])
    world.settle()
    assert len(set(starts(world))) == 1, "a cold start is not held back"
    for run in list(world.host.machine.all_live()):
        world.host.end(run, code=1)
    world.pass_time(0.5)
    assert len(starts(world)) == COUNT + MOST
    assert "20 a second" in world.reason(f"s{COUNT - 1}")
    world.settle(within=60)
    found = starts(world)[COUNT:]
    assert len(found) == COUNT
    for at in found:
        assert sum(at <= other < at + seconds(1) for other in found) <= MOST
    assert found[-1] - found[0] <= seconds(5)
