"""What follows from a start or a stop that a hook of the host refused."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.event import OperationKind
from reconciler.model.observed import State
from reconciler.model.plan import HoldCode
from reconciler.model.spec import DesiredState
from tests.core.building import service
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
