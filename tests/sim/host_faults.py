"""What happens to the host and its daemon: time, deaths, and what is lacking or refused."""

from __future__ import annotations

from random import Random
from typing import Any

from reconciler.model.units import ServiceName, seconds
from tests.sim.drawing import count
from tests.sim.world import Doom, World


def pass_time(world: World, span: float) -> None:
    world.pass_time(span)


def stall(world: World, span: float) -> None:
    world.stall(span)
    count(world, "daemon stalled")


def sleep(world: World, span: float) -> None:
    world.sleep(span)
    count(world, "host slept")


def set_wall(world: World, by: float) -> None:
    world.wall += by
    count(world, "wall clock stepped")


def run_short(world: World, span: float) -> None:
    """Let the host have no process to give for a while."""
    machine = world.host.machine
    machine.is_short = True
    count(world, "host short of processes")

    def mend() -> None:
        machine.is_short = False

    world.host.later(seconds(span), mend)


def shorten_memory(world: World, size: int | None) -> None:
    """Let the host have so much memory left for what is started."""
    world.host.machine.available = None if size is None else size << 20
    count(world, "memory short", size is not None)


REFUSALS = ("", "", "it is not a good time", "ask somebody else")


def refuse(world: World, why: str) -> None:
    """Let the hooks of the host refuse starts and stops, with a reason, or no more."""
    world.host.machine.refuses = why
    count(world, "host refused", why)


FAILING_STEPS = ("user", "group", "cgroup", "limits")
"""Steps of a start between the fork and the exec: who it is to be, and where it is to live."""


def fail_step(world: World, name: str, step: str) -> None:
    """Let starts of a service fail: its user is unknown, its control group vanished; or no more."""
    world.host.machine.failing[ServiceName(name)] = step
    count(world, f"start fails at {step}", step)


def fail_signal(world: World, times: int) -> None:
    """Let the next signals not be delivered: the control group of their target has vanished."""
    world.host.machine.undelivered = times
    count(world, "signal not delivered")


def kill_daemon(world: World, down_for: float) -> None:
    world.kill_daemon(down_for=down_for)
    count(world, "daemon killed")


def doom_daemon(world: World, point: str, acts: int, down_for: float) -> None:
    world.doom = Doom(point, acts, down_for)


def draw_doom(luck: Random) -> tuple[Any, ...]:
    point = luck.choice(("decided", "recorded", "acting"))
    return (point, luck.randrange(3), luck.choice((0.0, 0.5, 10.0)))


def kill_both(world: World, down_for: float) -> None:
    world.host.kill_holder()
    world.kill_daemon(down_for=down_for)
    count(world, "daemon and holder killed")


def reboot(world: World) -> None:
    world.reboot()
    count(world, "host rebooted")


def fill_disk(world: World) -> None:
    world.store.fill()


def free_disk(world: World) -> None:
    world.store.free()
