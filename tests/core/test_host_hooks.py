"""What follows from a start or a stop that a hook of the host refused."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.event import OperationKind
from reconciler.model.observed import State
from reconciler.model.plan import HoldCode
from reconciler.model.spec import DesiredState
from tests.core.building import service
from tests.sim.host import Program
from tests.sim.world import World

NO = "refused by the hook: closed"


def test_a_refused_start_waits_counts_no_failure_and_is_told_once() -> None:
    world = World(service("a", max_restarts=0))
    world.host.machine.refuses = NO
    world.pass_time(60)
    assert world.state("a") is State.STOPPED
    assert world.reason("a") == NO
    assert world.status("a").reason_code == HoldCode.REFUSED
    assert len(world.happened("service.refused")) == 1
    assert world.happened("service.crashed") == []
    world.host.machine.refuses = ""
    world.pass_time(17)
    assert world.state("a") is State.RUNNING
    assert world.status("a").slots[0].restarts == 0


def moves(world: World) -> list[tuple[State, State]]:
    return [(m.before, m.after) for one in world.decisions for m in one.transitions]


def test_tries_that_are_refused_again_are_quiet_until_one_comes_to_more() -> None:
    world = World(service("a"))
    world.host.machine.refuses = NO
    world.pass_time(60)
    begun = [(State.STOPPED, State.STARTING), (State.STARTING, State.STOPPED)]
    assert moves(world) == begun
    assert len(world.happened("service.starting")) == 1
    world.host.machine.refuses = "refused by the hook: full"
    world.pass_time(60)
    assert world.happened("service.refused") == [NO, "refused by the hook: full"]
    assert moves(world) == begun
    assert world.reason("a") == "refused by the hook: full"
    world.host.machine.refuses = ""
    world.pass_time(17)
    started = [(State.STOPPED, State.STARTING), (State.STARTING, State.RUNNING)]
    assert moves(world) == begun + started
    assert len(world.happened("service.starting")) == 2


def test_who_asks_for_a_start_that_is_refused_is_told_why_and_not_that_it_starts() -> None:
    world = World(service("a"))
    world.host.machine.refuses = NO
    world.pass_time(60)
    world.ask(OperationKind.START, "a")
    world.pass_time(30)
    assert world.happened("service.refused") == [NO, NO]
    assert len(world.happened("service.starting")) == 1


def test_a_start_that_was_put_off_and_then_fails_is_told_whole() -> None:
    world = World(service("a"))
    world.host.machine.is_short = True
    world.pass_time(30)
    world.host.machine.is_short = False
    world.become(a=Program(cannot_run="no such file"))
    world.pass_time(12)
    assert moves(world)[2:4] == [
        (State.STOPPED, State.STARTING),
        (State.STARTING, State.CRASHED),
    ]


def refused_stop() -> World:
    """Let a service run that shall stop, and may not."""
    world = World(service("a"))
    world.pass_time(5)
    world.host.machine.refuses = NO
    world.save(replace(service("a"), state=DesiredState.STOPPED))
    world.pass_time(60)
    assert world.host.live(world.run_of("a").slot)
    assert world.status("a").reason_code == HoldCode.REFUSED
    assert world.reason("a") == NO
    return world


def test_a_refused_stop_leaves_the_process_alone_however_long_and_goes_on_when_allowed() -> None:
    world = refused_stop()
    assert world.happened("service.killed") == []
    world.host.machine.refuses = ""
    world.pass_time(17)
    assert world.state("a") is State.STOPPED
    assert world.happened("service.killed") == []


def test_in_a_hurry_nobody_is_asked() -> None:
    world = refused_stop()
    world.ask(OperationKind.KILL)
    world.pass_time(2)
    assert not world.host.live(world.runs("a")[0].slot)
