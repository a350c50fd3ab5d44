"""What is wanted for a while is over in its time, and takes no protection with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest, seconds
from tests.core.building import service
from tests.sim.world import World

DB, WEB = service("db"), service("web")
OTHER = replace(DB, digest=Digest("other"), command=("other",))
HOUR = seconds(3600)


def settled(*specs: ServiceSpec) -> World:
    """Give a world in which these run."""
    world = World(*specs)
    world.settle()
    return world


def test_a_protection_whose_line_is_gone_is_not_lifted_by_what_is_for_a_while() -> None:
    world = settled(replace(DB, protect=True), WEB)
    world.save(DB, WEB)
    world.settle()
    world.lay_over(OTHER, HOUR)
    world.pass_time(5)
    world.save(WEB)
    world.pass_time(5)
    assert world.picture.prune is not None
    assert world.states() == {"db": "running", "web": "running"}


def test_a_protection_that_is_said_during_a_while_stays_though_its_line_goes() -> None:
    world = settled(DB, WEB)
    world.lay_over(OTHER, HOUR)
    world.pass_time(5)
    world.save(replace(DB, protect=True), WEB)
    world.pass_time(5)
    world.save(DB, WEB)
    world.pass_time(5)
    world.save(WEB)
    world.pass_time(5)
    assert world.picture.prune is not None


def test_what_is_for_a_while_is_no_yes_to_a_removal_that_waits() -> None:
    world = settled(replace(DB, protect=True), WEB)
    world.save(WEB)
    world.settle()
    world.lay_over(OTHER, seconds(60))
    world.pass_time(120)
    assert world.happened("drift.ended", "db") == ["its manifest was removed"]
    assert world.picture.prune is not None
    assert world.states() == {"db": "running", "web": "running"}


def test_after_a_reboot_no_wall_clock_that_is_set_back_makes_a_while_longer() -> None:
    world = settled(DB, WEB)
    world.lay_over(OTHER, HOUR)
    world.pass_time(1800)
    world.reboot()
    world.pass_time(600)
    world.wall -= 86_400
    world.kill_daemon()
    world.pass_time(1300)
    assert world.status("db").overlay is None


@pytest.mark.parametrize("is_up", [True, False])
def test_what_was_for_a_while_is_no_last_good_version_of_a_manifest_that_never_was_good(
    *, is_up: bool
) -> None:
    world = settled(WEB)
    world.lay_over(replace(DB, max_restarts=0), seconds(60))
    world.pass_time(5)
    world.save(WEB, invalid=["db"])
    if not is_up:
        world.end("db", code=1)
    world.pass_time(120)
    assert world.happened("drift.ended", "db")
    before = [run.id for run in world.runs("db")]
    world.kill_daemon()
    world.pass_time(120)
    assert [run.id for run in world.runs("db")] == before
    assert world.status("db").spec is None
    world.save(WEB, DB)
    world.settle()
    assert world.states() == {"db": "running", "web": "running"}
