"""A daemon that stood still, for long or again and again, makes up for it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.observed import State
from reconciler.model.units import Digest, seconds
from tests.core.building import probed, service, slot
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


def test_r13_a_daemon_that_gets_a_twentieth_of_a_core_is_late_and_right() -> None:
    """It stands still for 1.9 s of each 2 s, while services start, crash and change."""
    db, web = probed("db", start_timeout=seconds(20)), service("web", "db")
    world = World(db, web)
    world.become(db=Program(ready_after=seconds(3)))

    def starve(turns: int) -> None:
        for _ in range(turns):
            world.stall(1.9)
            world.pass_time(0.1)
            assert all(len(world.host.live(slot(name))) <= 1 for name in ("db", "web"))

    starve(6)
    assert world.states() == {"db": "running", "web": "running"}
    world.host.end(world.run_of("web"), code=1)
    starve(4)
    world.save(db, replace(web, digest=Digest("web@2")))
    starve(4)
    assert world.run_of("web").digest == "web@2"
    assert (len(world.runs("db")), len(world.runs("web"))) == (1, 3)
