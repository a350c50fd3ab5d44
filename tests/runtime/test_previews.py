"""What a change would do that is not made yet."""

from __future__ import annotations

from reconciler.core.diff import Language
from reconciler.model.change import Effect
from reconciler.ports.source import Draft
from reconciler.runtime.previews import drafted
from tests.core.building import manifests, service
from tests.runtime.control_desk import describe
from tests.sim.world import World

LANGUAGE = Language(describe=describe, effect_of=lambda _: Effect.RESTART)


def held(world: World, left: int) -> dict[str, str | None]:
    """Tell of each service that a change to so many would remove what holds that."""
    draft = Draft(manifests=manifests(*map(service, NAMES[:left])), files={})
    preview = drafted(world.engine.situation(world.now), draft, frozenset(), LANGUAGE)
    return {str(change.service): change.held_by for change in preview.changes}


NAMES = [f"s{index:02}" for index in range(12)]


def test_a_preview_sums_what_went_a_short_time_ago_as_the_change_itself_does() -> None:
    world = World(*map(service, NAMES))
    world.settle()
    world.save(*map(service, NAMES[:10]))
    world.settle()
    assert held(world, 9) == {"s09": None}
    because = "2 of 10 services would be removed, after 2 in the 10 min before"
    said = held(world, 8)
    assert said.keys() == {"s08", "s09"}
    world.save(*map(service, NAMES[:8]))
    world.settle()
    assert world.picture.prune is not None
    assert world.picture.prune.because == because
    for why in said.values():
        assert why is not None
        assert because in why
    assert world.picture.prune.id in str(said["s08"])
