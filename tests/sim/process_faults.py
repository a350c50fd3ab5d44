"""What happens to a process, from within or by somebody's hand."""

from __future__ import annotations

from reconciler.model.event import Measured
from reconciler.model.observed import Role
from reconciler.model.units import Digest, seconds
from tests.core.building import slot
from tests.sim import documents as made_up
from tests.sim.drawing import count
from tests.sim.machine import Run
from tests.sim.world import World

MUCH = 64
"""More than the least that services may use, in MiB."""


def pick(world: World, which: int) -> Run | None:
    """Give one of the processes that run, never the bystander's."""
    runs = [
        run
        for run in world.host.machine.all_live()
        if run.exit is None and run.slot.service != made_up.BYSTANDER
    ]
    return runs[which % len(runs)] if runs else None


def behave(world: World, name: str, program: int) -> None:
    """Let the next processes of a service be like one of the programs there are."""
    world.become(**{name: made_up.PROGRAMS[program]})
    count(world, "program replaced", program)


def end(world: World, which: int, code: int | None) -> None:
    run = pick(world, which)
    if run is not None:
        world.host.end(run, code=code, signal="SIGKILL" if code is None else None)
        count(world, "process ended" if code == 0 else "process crashed")


def starve(world: World, which: int) -> None:
    """Let the kernel kill a process for want of memory."""
    run = pick(world, which)
    if run is not None and run.role is Role.MAIN:
        world.host.starve(run)
        count(world, "killed for its memory")


def measure(world: World, which: int, size: int) -> None:
    """Let a process be measured, and tell what it used only after it may have been replaced."""
    run = pick(world, which)
    if run is not None and run.role is Role.MAIN:
        news = Measured(slot=run.slot, run=run.id, memory=size << 20)
        world.tell(news)
        world.tell_later(seconds(2), news)
        count(world, "memory grown", size >= MUCH)


def change(world: World, which: int, program: int) -> None:
    """Let a process that runs behave otherwise from now on: deaf, unkillable, slow to end."""
    run = pick(world, which)
    if run is not None:
        run.program = made_up.PROGRAMS[program]
        count(world, "process changed its ways", program)


SAYINGS = (
    "READY=1",
    "RELOADING=1",
    "STOPPING=1",
    "STATUS=busy",
    "WATCHDOG=trigger",
    "EXTEND_TIMEOUT_USEC=30000000",
    "WATCHDOG=1",
)


def say(world: World, which: int, words: str) -> None:
    """Let a process say something of itself."""
    run = pick(world, which)
    if run is not None and run.speaks:
        world.host.machine.say(run, words)
        count(world, f"said {words.partition('=')[0]}")


def halt(world: World, which: int) -> None:
    """Let somebody stop a process by SIGSTOP."""
    run = pick(world, which)
    if run is not None and run.role is Role.MAIN:
        run.is_halted = True
        world.patrol()
        count(world, "stopped by hand")


def renice(world: World, which: int, nice: int) -> None:
    """Let somebody renice a process, be its manifest's nice another one or not."""
    run = pick(world, which)
    if run is not None and run.role is Role.MAIN:
        run.nice = nice
        world.patrol()
        count(world, "reniced by hand")


def go_on(world: World, which: int) -> None:
    """Let somebody undo by hand what was done by hand."""
    run = pick(world, which)
    if run is not None and run.role is Role.MAIN:
        count(world, "put right by hand", run.is_halted or run.nice is not None)
        run.is_halted, run.nice = False, None


def fall_silent(world: World, which: int) -> None:
    """Let a process go on, and say no more that it is well."""
    run = pick(world, which)
    if run is not None and run.watchdog:
        run.is_silent = True
        count(world, "watchdog not fed")


def start_by_hand(world: World, name: str) -> None:
    """Start a process in a slot by hand, beside what Weaver started there."""
    taken = slot(name)
    if world.host.holder is not None and len(world.host.live(taken)) == 1:
        world.host.start(taken, Digest("by hand"), made_up.GOOD)
        count(world, "started by hand")
