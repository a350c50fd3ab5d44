"""What people want of services for a while: laid above their manifests, and taken away again.

What is laid over comes out of the shipped `interlude`, as for `weaver apply --ephemeral`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.manifest.intent import Intent, PutService, SetField
from reconciler.model.errors import WeaverError
from reconciler.model.overlay import LayOver, Overlay, TakeAway
from reconciler.model.units import Nanos, ServiceName, seconds
from reconciler.ports import Author, Draft
from reconciler.runtime.ephemeral import interlude
from reconciler.runtime.requests import Terms
from reconciler.runtime.tasks import Task
from tests.sim import documents as made_up
from tests.sim.drawing import Kind, a_name, a_place, count, which
from tests.sim.luck import Luck
from tests.sim.repository import text_of, yaml_of
from tests.sim.saves import draw_edit
from tests.sim.world import World

SPANS = (1.0, 4.0, 20.0, 65.0, 300.0)
"""Seconds: the shortest that may be asked for, and what outlives a stay of the daemon, or not."""
TERMS = Terms(author=Author(name="Ada", email="ada@example.org", uid=1000))


@dataclass(frozen=True, slots=True)
class _Clock:
    """The clocks of a world, as the daemon reads them."""

    world: World

    def now(self) -> Nanos:
        return self.world.now

    def wall(self) -> float:
        return self.world.wall_now / seconds(1)

    def boot(self) -> str:
        return self.world.host.machine.boot


def lay_over(world: World, name: str, field: str, value: Any, lasts: float) -> None:
    """Have one field of a service be another for a while."""
    apply_for_a_while(
        world, name, SetField(service=ServiceName(name), path=(field,), value=yaml_of(value)), lasts
    )


def lay_over_new(world: World, seed: int, lasts: float, without: Sequence[str] = ()) -> None:
    """Have a service for a while that may need others, whatever its manifest says of it."""
    luck = Luck(seed)
    name = a_name(luck)
    others = [other for other in world.repository.names if other < name]
    text = text_of(made_up.document(luck, name, others[-2:], without)).decode()
    apply_for_a_while(world, name, PutService(service=ServiceName(name), text=text), lasts)


def apply_for_a_while(world: World, name: str, intent: Intent, lasts: float) -> None:
    """Check a change as it is checked before it is applied, and lay it over; write nothing."""
    repository = world.repository
    drafted = repository.draft([intent])
    if drafted is None or repository.is_held:
        return
    now, then = repository.read(), repository.read(drafted)
    if ServiceName(name) not in then.definitions:
        return
    task = Task(op="apply", what="apply", services=(ServiceName(name),))
    try:
        asked = interlude(task, Draft(manifests=then), now, seconds(lasts), TERMS, _Clock(world))
    except WeaverError:
        return
    if asked.ended:
        world.tell(TakeAway(services=asked.ended, reason="what its manifest says"))
    if asked.overlays:
        world.tell(LayOver(overlays=asked.overlays))
    count(world, "wanted for a while", asked.overlays)


def lay_over_protected(world: World, name: str, value: Any, lasts: float) -> None:
    """Protect a service, delete the line about it, and have another one of it for a while."""
    for is_protected in (True, None):
        world.repository.set_line(name, "protect", is_protected)
        world.look_at_repository()
        world.pass_time(1)
    lay_over(world, name, "command", value, lasts)


def revert(world: World, place: int) -> None:
    """Have a service be as its manifest says."""
    one = _one_of(world, place)
    if one is not None:
        world.tell(TakeAway(services=(one.name,)))
        count(world, "no more wanted for a while")


def revert_late(world: World, place: int) -> None:
    """Take away what ends in the same moment by itself."""
    one = _one_of(world, place)
    if one is not None and one.ends_at > world.now:
        take = TakeAway(services=(one.name,))
        world.host.later(Nanos(one.ends_at - world.now), lambda: world.tell(take))


def stay_away(world: World, place: int, beyond: float) -> None:
    """Let the daemon be away until something is over, with the host or alone."""
    one = _one_of(world, place)
    if one is not None and one.ends_at > world.now:
        span = (one.ends_at - world.now) / seconds(1) + beyond
        world.kill_daemon(down_for=max(0.0, span))
        count(world, "daemon away at the end of a while")


def reboot_meanwhile(world: World, place: int, step: float) -> None:
    """Let the host reboot before something is over, and its wall clock be set, perhaps."""
    if _one_of(world, place) is not None:
        world.reboot()
        world.pass_time(1)
        world.wall += step
        world.kill_daemon(down_for=0.5)
        count(world, "rebooted in a while")


def say_the_same(world: World, place: int) -> None:
    """Write what is for a while into its manifest, or something else of that service."""
    one = _one_of(world, place)
    if one is not None:
        said = world.repository.set_line(one.name, "command", list(one.spec.command))
        count(world, "what is for a while written down", said)
        world.look_at_repository()


def _one_of(world: World, place: int) -> Overlay | None:
    above = list(_above(world).values())
    return above[place % len(above)] if above else None


def see_the_end(world: World) -> None:
    """Wait until nothing is for a while any more, by itself."""
    ends = [one.ends_at for one in _above(world).values()]
    if ends:
        world.pass_time(max(0, max(ends) - world.now) / seconds(1) + 1)
    left = sorted(_above(world))
    assert not left, f"{left} are wanted for a while that has no end"


def _above(world: World) -> Mapping[ServiceName, Overlay]:
    return world.rules.wanted.overlays.above


OVERLAYS: Mapping[str, Kind] = {
    "lay-over": Kind(
        lambda luck: (*draw_edit(luck), luck.choice(SPANS)),
        lay_over,
        4,
    ),
    "stop-for-a-while": Kind(
        lambda luck: (a_name(luck), "state", "stopped", luck.choice(SPANS)), lay_over
    ),
    "lay-over-new": Kind(
        lambda luck: (luck.randrange(100_000), luck.choice(SPANS)), lay_over_new, 3
    ),
    "lay-over-protected": Kind(
        lambda luck: (a_name(luck), ["run", luck.choice(("3", "4"))], luck.choice(SPANS)),
        lay_over_protected,
    ),
    "revert": Kind(a_place, revert),
    "revert-late": Kind(a_place, revert_late),
    "end-unseen": Kind(which(-0.01, 0.5), stay_away),
    "reboot-meanwhile": Kind(which(0.0, -7200.0, 45.0), reboot_meanwhile),
    "say-the-same": Kind(a_place, say_the_same),
}
"""Every deed that is for a while."""
