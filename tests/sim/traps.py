"""What happens to a host in several steps, so that one fault meets another in a bad moment."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from reconciler.model.event import OperationKind
from reconciler.model.units import ServiceName, seconds
from tests.core.building import slot
from tests.sim import documents as made_up
from tests.sim.drawing import Kind, a_name, count, named
from tests.sim.faults import LONG_SPANS
from tests.sim.holder_faults import kill_holder, lose_holder
from tests.sim.host_faults import kill_daemon, sleep, stall
from tests.sim.machine import Program
from tests.sim.process_faults import end
from tests.sim.world import World

DEAF = Program(ends_in=None)
SLOW_START = Program(ready_after=seconds(20))
ORPHANING = Program(leaves_child=True, child_ignores=True)
LEAVING = Program(hooks_leave_child=True)
CRASHING = Program(lives_for=seconds(3), code=2)
UNKILLABLE = next(one for one in made_up.PROGRAMS if one.unkillable)


AMBUSHES = {
    "cut": lambda world: lose_holder(world, 0.1),
    "sleep": lambda world: sleep(world, 3600.0),
    "stall": lambda world: stall(world, 12.0),
    "end": lambda world: end(world, -1, 1),
    "kill-holder": lambda world: kill_holder(world, 0.1),
    "kill-daemon": lambda world: kill_daemon(world, 0.5),
}
"""What may happen in the very moment after a command was sent, before it is answered."""


def ambush(world: World, kind: str, what: str) -> None:
    """Let something happen in the moment after the next command of a kind."""

    def strike() -> None:
        count(world, "struck behind a command")
        AMBUSHES[what](world)

    world.ambush = (kind, strike)


def draw_ambush(luck: Random) -> tuple[Any, ...]:
    return (luck.choice(("Spawn", "Signal", "LookAtHost")), luck.choice(sorted(AMBUSHES)))


def defy(world: World, name: str) -> None:
    """Let a process end not even by SIGKILL, and ask for its restart."""
    for run in world.host.live(slot(name)):
        if run.exit is None and not run.is_by_hand:
            run.program = UNKILLABLE
            world.ask(OperationKind.RESTART, name)
            count(world, "process unkillable")


def stale_look(world: World, name: str) -> None:
    """Let a look take its time, while what it has shown changes."""
    world.host.delays["LookAtHost"] = seconds(2)
    world.lose_holder(seconds_long=0.01)
    world.pass_time(0.3)
    world.host.delays.clear()
    for run in world.host.live(slot(name)):
        if run.exit is None:
            world.host.end(run, code=1)
    world.ask(OperationKind.RESTART, name)
    count(world, "look stale")


def sleep_in_stop(world: World, name: str) -> None:
    """Let a service be deaf, and the host fall asleep before it is heard that it was asked."""
    for run in world.host.live(slot(name)):
        run.program = DEAF
    world.ask(OperationKind.RESTART, name)
    ambush(world, "Signal", "sleep")


def sleep_in_start(world: World, name: str) -> None:
    """Let a service be slow, and the host fall asleep before it is heard that it was started."""
    world.become(**{name: SLOW_START})
    world.ask(OperationKind.RESTART, name)
    ambush(world, "Spawn", "sleep")


def die_in_stop(world: World, name: str) -> None:
    """Let the daemon die while a service restarts, until that has ended."""
    world.ask(OperationKind.RESTART, name)
    ambush(world, "Signal", "kill-daemon")


def plead(world: World, name: str) -> None:
    """Let a start take long, and ask for more time."""
    world.become(**{name: SLOW_START})
    world.ask(OperationKind.RESTART, name)

    def ask_for_time() -> None:
        for run in world.host.live(slot(name)):
            world.host.machine.say(run, "EXTEND_TIMEOUT_USEC=30000000")
            count(world, "time asked for", run.speaks)

    world.host.later(seconds(2), ask_for_time)


def overrun(world: World, name: str) -> None:
    """Let work take longer than until its next time."""
    world.become(**{name: Program(oneshot_takes=None)})
    world.ask(OperationKind.START, name)
    world.pass_time(LONG_SPANS[-1])
    count(world, "work takes long", world.host.live(slot(name)))


def orphan(world: World, name: str) -> None:
    """Let a process crash, and leave a child behind that has to be killed."""
    for run in world.host.live(slot(name)):
        if run.exit is None and not run.is_by_hand:
            run.program = ORPHANING
            world.host.end(run, code=1)
            count(world, "child left behind")


def leave_behind(world: World, name: str) -> None:
    """Let the hooks of a service leave a child behind, and run them."""
    world.become(**{name: LEAVING})
    world.ask(OperationKind.RESTART, name)


def reload_again(world: World, name: str) -> None:
    """Let somebody ask for a reload once more while nobody knows what became of the last one."""
    world.host.delays["Signal"] = seconds(2)
    world.ask(OperationKind.RELOAD, name)
    world.pass_time(0.3)
    world.ask(OperationKind.RELOAD, name)
    world.pass_time(0.3)
    world.host.delays.pop("Signal", None)
    spec = world.rules.wanted.in_force(slot(name).service)
    count(world, "reload asked twice", spec is not None and spec.reload is not None)


def describe(world: World, name: str, number: int) -> None:
    """Let a service crash again and again, and somebody mend its description meanwhile."""
    world.become(**{name: CRASHING})
    world.repository.set_line(name, "description", f"words {number}")
    world.look_at_repository()


def old_look(world: World, name: str) -> None:
    """Let a look be long on its way, while a service goes and comes again, and has to wait."""
    world.host.delays["LookAtHost"] = seconds(4)
    came_back = {"name": name, "command": ["run", "1"], "dependsOn": {"nobody": {}}}

    def go() -> None:
        if world.repository.remove(name):
            world.look_at_repository()
            world.host.later(seconds(2), come)

    def come() -> None:
        world.repository.put(came_back)
        world.look_at_repository()
        count(world, "look old")

    world.ambush = ("LookAtHost", lambda: world.host.later(seconds(0.1), go))


def agree_to_another(world: World, name: str) -> None:
    """Agree to the removal of everything when by then one of it is back."""
    world.repository.save([])
    world.look_at_repository()
    world.pass_time(0.1)
    prune = world.picture.prune
    world.repository.put({"name": name, "command": ["run", "1"]})
    world.look_at_repository()
    world.pass_time(0.1)
    if prune is not None:
        world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune.id)
        count(world, "yes to another removal")


AILMENTS = ("restart", "restart", "alert")


def ail(world: World, which: int, way: str, waves: int) -> None:
    """Let what is checked be ill for long, in all its slots at once, be it that it comes and goes.

    Where nothing that is checked has this done about it, one service gets it into its manifest.
    """
    machine, found = world.host.machine, world.repository.read().definitions
    names = [
        name
        for name, one in found.items()
        if one.spec.health is not None and one.spec.on_unhealthy.value == way
    ]
    names = [name for name in names if found[name].spec.instances > 1] or names
    if not names:
        names = [ServiceName(made_up.NAMES[which % made_up.FEW])]
        check = made_up.FIELDS["healthCheck"][which % 3]
        world.repository.set_line(names[0], "healthCheck", check)
        world.repository.set_line(names[0], "onUnhealthy", way)
        world.repository.set_line(names[0], "instances", 2)
        world.look_at_repository()
        world.pass_time(3)
    name = names[which % len(names)]
    runs = [run for run in machine.all_live() if run.slot.service == name]
    for _ in range(waves):
        machine.sick.update(run.slot for run in runs)
        world.pass_time(12)
        machine.sick.difference_update(run.slot for run in runs)
        world.pass_time(4)
    machine.sick.update(run.slot for run in runs)
    count(world, "ill for long", runs)
    world.pass_time(15)


TRAPS: Mapping[str, Kind] = {
    "defy": Kind(named, defy),
    "stale-look": Kind(named, stale_look, 2),
    "sleep-in-stop": Kind(named, sleep_in_stop),
    "sleep-in-start": Kind(named, sleep_in_start),
    "die-in-stop": Kind(named, die_in_stop),
    "plead": Kind(named, plead),
    "overrun": Kind(named, overrun),
    "orphan": Kind(named, orphan),
    "leave-behind": Kind(named, leave_behind),
    "reload-again": Kind(named, reload_again),
    "describe": Kind(lambda luck: (a_name(luck), luck.randrange(100)), describe),
    "old-look": Kind(named, old_look),
    "agree-to-another": Kind(named, agree_to_another),
    "ail": Kind(
        lambda luck: (luck.randrange(100), luck.choice(AILMENTS), luck.choice((0, 0, 2))), ail, 3
    ),
    "ambush": Kind(draw_ambush, ambush, 3),
}
