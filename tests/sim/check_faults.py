"""What happens to the checks of a service: they fail, pass again, and answer late."""

from __future__ import annotations

from reconciler.model.event import HealthTold
from reconciler.model.health import Verdict
from reconciler.model.observed import Role
from reconciler.model.units import seconds
from tests.sim.drawing import count
from tests.sim.process_faults import pick
from tests.sim.world import World


def sicken(world: World, which: int, is_slot: bool) -> None:
    """Let a process fail its checks from now on, or every process of its slot."""
    run = pick(world, which)
    if run is None or run.role is not Role.MAIN:
        return
    if is_slot:
        world.host.machine.sick.add(run.slot)
    run.is_sick = True
    spec = world.rules.wanted.in_force(run.slot.service)
    count(world, "check began to fail", spec is not None and spec.health is not None)


def get_well(world: World, which: int) -> None:
    """Let what fails its checks pass them again: one process, or all that run."""
    run = pick(world, which)
    if which % 2 or run is None:
        world.host.machine.recover()
        return
    run.is_sick = False
    world.host.machine.sick.discard(run.slot)


def judge_late(world: World, which: int, verdict: str, late: float) -> None:
    """Let a verdict about what runs now be told only after it may have been replaced."""
    run = pick(world, which)
    # Only what a daemon has found does it check.
    if run is None or run.role is not Role.MAIN or world.picture.host_unseen:
        return
    told = HealthTold(slot=run.slot, run=run.id, verdict=Verdict(verdict), reason="it was slow")
    world.tell_later(seconds(late), told)
    count(world, "check was slow")


def judge_the_dead(world: World, which: int, verdict: str) -> None:
    """Tell a verdict about a process that a slot had before."""
    live = pick(world, which)
    runs = world.host.machine.of(live.slot) if live is not None else []
    if live is not None and live.role is Role.MAIN and len(runs) > 1:
        old = runs[which % (len(runs) - 1)]
        world.tell(HealthTold(slot=old.slot, run=old.id, verdict=Verdict(verdict), reason="old"))
        count(world, "check of an older run")


VERDICTS = ("degraded", "degraded", "healthy", "failing", "unknown")
