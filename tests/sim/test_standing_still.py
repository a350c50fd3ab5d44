"""A daemon that stood still makes up for it."""

from __future__ import annotations

from reconciler.model.observed import State
from reconciler.model.units import seconds
from tests.core.building import probed, service
from tests.sim.host import Program
from tests.sim.world import World


def test_p7_deadlines_are_judged_anew_by_a_daemon_that_stood_still_for_a_minute() -> None:
    """SIGSTOP and SIGCONT: what ran runs on, and what got ready meanwhile was not too late."""
    slow = probed("slow", start_timeout=seconds(20))
    world = World(service("web"), slow)
    world.become(slow=Program(ready_after=seconds(5)))
    world.pass_time(2)
    before = {run.id for run in world.host.machine.all_live()}
    world.stall(60)
    world.settle()
    assert {run.id for run in world.host.machine.all_live()} == before
    assert world.state("slow") is State.RUNNING
