"""A storm of crashes, of changes or of words is no storm of starts."""

from __future__ import annotations

from reconciler.core.storms import MOST
from reconciler.model.event import Spawn
from reconciler.model.observed import State
from reconciler.model.spec import Backoff, DesiredState, ServiceType
from reconciler.model.units import MILLISECOND, Nanos, seconds
from tests.core.building import STOPPED, service, slot
from tests.sim.host import Program
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


def test_v14_a_hundred_changes_of_mind_in_a_second_end_as_the_last_one_says() -> None:
    world = World(service("web"), web=Program(ends_in=Nanos(30 * MILLISECOND)))
    world.settle()
    for number in range(100):
        world.save(service("web", state=DesiredState.RUNNING if number % 2 else STOPPED))
        world.pass_time(0.01)
        assert len(world.host.live(slot("web"))) <= 1
    world.settle()
    assert world.state("web") is State.RUNNING
    assert len(world.host.live(slot("web"))) == 1
    assert 2 <= len(starts(world)) <= 51


def test_v9_time_that_is_asked_for_is_given_and_silence_ends_it() -> None:
    """READY comes never, late, or twice; RELOADING before it is no READY."""
    notify = service("web", type=ServiceType.NOTIFY, start_timeout=seconds(3))
    world = World(notify, web=Program(ready_after=None))
    world.pass_time(1)
    run, say = world.run_of("web"), world.host.machine.say
    for _ in range(10):
        say(run, "EXTEND_TIMEOUT_USEC=5000000\nRELOADING=1")
        world.pass_time(4)
        assert world.state("web") is State.STARTING
    world.pass_time(2)
    assert str(run.exit) == "killed by SIGTERM"
    assert "not ready within its startTimeout" in world.happened("service.crashed")[0]
    world.until(lambda: bool(world.host.live(slot("web"))))
    for _ in range(2):
        say(world.run_of("web"), "READY=1")
        world.pass_time(1)
    assert world.state("web") is State.RUNNING
    assert len(world.happened("service.ready")) == 1
