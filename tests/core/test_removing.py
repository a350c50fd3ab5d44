"""Services that are removed: one by one without a question, many only with a yes."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.event import HostLooked, OperationKind
from reconciler.model.observed import Look, Slot, State
from reconciler.model.spec import DesiredState, ServiceSpec
from reconciler.model.status import Sync
from reconciler.model.units import Serial, seconds
from tests.core.building import name, service
from tests.sim.host import BOOT, Program
from tests.sim.world import World

SLOW = Program(ends_in=seconds(5))


def many(count: int) -> list[ServiceSpec]:
    return [service(f"s{index:02}") for index in range(count)]


def prune_id(world: World) -> str:
    prune = world.picture.prune
    assert prune is not None
    return prune.id


def closed(world: World) -> list[str]:
    """Give the slots for which the host was told to keep nothing any more."""
    return [str(slot) for decision in world.decisions for slot in decision.closes]


def test_a_service_that_is_removed_is_stopped_and_forgotten() -> None:
    world = World(service("web", "db"), service("db"))
    world.settle()
    world.save(service("web"))
    world.settle()
    assert list(world.states()) == ["web"]
    assert name("db") not in world.memory.services
    assert [one.service for one in world.memory.slots] == ["web"]
    assert world.happened("service.unregistered", "db") == ["removed from the manifests"]
    assert world.arrives()


def test_a_need_and_its_dependent_are_removed_in_order() -> None:
    world = World(service("web", "db"), service("db"), service("other"), web=SLOW)
    world.settle()
    web, db = world.run_of("web"), world.run_of("db")
    world.save(service("other"))
    world.settle()
    assert web.exit is not None
    assert db.asked_at is not None
    assert web.exit.at <= db.asked_at


def test_the_removal_of_everything_waits_for_a_yes() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    before = world.pids()
    world.save()
    world.settle()
    assert world.pids() == before
    identity = prune_id(world)
    assert world.reason("web") == (
        "removed from the manifests, but all 2 services would be removed; "
        f"to agree: weaver prune approve {identity}"
    )
    assert world.status("web").sync is Sync.HELD
    assert world.arrives()
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=identity)
    world.settle()
    assert world.pids() == {}
    assert world.picture.services == {}
    assert world.picture.prune is None


def test_what_was_protected_is_not_removed_with_its_line_or_file() -> None:
    db = service("db")
    world = World(service("web"), service("api"), replace(db, protect=True))
    world.settle()
    world.save(service("web"), service("api"), db)
    world.settle()
    world.save(service("web"), service("api"))
    world.settle()
    assert world.reason("db") == (
        "removed from the manifests, but db is protected; "
        f"to agree: weaver prune approve {prune_id(world)}"
    )
    assert world.status("db").sync is Sync.HELD
    world.kill_daemon()
    world.settle()
    assert world.state("db") is State.RUNNING
    world.save(service("web"), service("api"), replace(db, protect=False))
    world.settle()
    assert world.picture.prune is None
    world.save(service("web"), service("api"))
    world.settle()
    assert list(world.states()) == ["api", "web"]


def test_a_removal_by_name_does_not_lift_a_protection() -> None:
    world = World(service("web"), service("db", protect=True))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, "db")
    world.save(service("web"))
    world.settle()
    assert world.state("db") is State.RUNNING
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune_id(world))
    world.settle()
    assert list(world.states()) == ["web"]


def test_a_held_service_is_kept_up() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    world.save()
    world.settle()
    world.end("web")
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].restarts == 1


def test_a_hold_and_a_yes_survive_the_daemon() -> None:
    world = World(*many(10))
    world.settle()
    world.save(*many(4))
    world.settle()
    identity = prune_id(world)
    world.kill_daemon()
    world.settle()
    assert len(world.pids()) == 10
    assert prune_id(world) == identity
    world.become(**{str(spec.name): SLOW for spec in many(10)})
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=identity)
    world.step()
    world.kill_daemon()
    world.settle()
    assert len(world.pids()) == 4


def test_a_large_removal_in_small_steps_waits_for_a_yes_whatever_becomes_of_the_daemon() -> None:
    world = World(*many(12))
    world.settle()
    world.save(*many(9))
    world.settle()
    world.kill_daemon()
    world.settle()
    assert len(world.pids()) == 9
    world.save(*many(7))
    world.settle()
    assert len(world.pids()) == 9
    because = "2 of 9 services would be removed, after 3 in the 10 min before"
    assert world.picture.prune is not None
    assert world.picture.prune.because == because
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune_id(world))
    world.settle()
    assert len(world.pids()) == 7


def test_small_removals_far_apart_need_no_yes() -> None:
    world = World(*many(12))
    for count in (9, 6, 3):
        world.settle()
        world.save(*many(count))
        world.settle()
        assert len(world.pids()) == count
        world.pass_time(600)
    assert world.memory.removed.keys() == {"s03", "s04", "s05"}


def test_what_went_with_a_yes_or_by_name_is_not_summed_with_what_goes_next() -> None:
    world = World(*many(12))
    world.settle()
    world.save(*many(8))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune_id(world))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, "s06", "s07")
    world.save(*many(6))
    world.settle()
    world.save(*many(3))
    world.settle()
    assert len(world.pids()) == 3
    assert len(world.happened("prune.held")) == 1


def test_a_yes_to_another_removal_is_no_yes() -> None:
    world = World(*many(10))
    world.settle()
    world.save(*many(5))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, prune_id="123456")
    world.settle()
    assert len(world.pids()) == 10


def test_a_yes_does_not_reach_what_is_removed_afterwards() -> None:
    world = World(*many(20))
    world.become(**{str(spec.name): SLOW for spec in many(20)})
    world.settle()
    world.save(*many(12))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune_id(world))
    world.step()
    world.save(*many(6))
    world.step()
    prune = world.picture.prune
    assert prune is not None
    assert not prune.approved
    assert [str(one) for one in prune.services] == [f"s{index:02}" for index in range(6, 12)]
    world.settle()
    assert len(world.pids()) == 12
    assert all(len(world.runs(str(spec.name))) == 1 for spec in many(20))


def test_a_removal_that_is_taken_back_is_held_no_more() -> None:
    world = World(*many(10))
    world.settle()
    before = world.pids()
    world.save(*many(4))
    world.settle()
    world.save(*many(10))
    world.settle()
    assert world.picture.prune is None
    assert world.pids() == before
    assert world.arrives()


def test_what_was_removed_by_name_needs_no_yes() -> None:
    world = World(service("web"))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, "web")
    world.step()
    world.save()
    world.settle()
    assert world.pids() == {}
    assert world.happened("prune.held") == []


def test_what_is_on_its_way_out_is_not_called_back_by_a_later_removal() -> None:
    specs = many(30)
    world = World(*specs)
    world.become(**{str(spec.name): SLOW for spec in specs})
    world.settle()
    world.save(*specs[3:])
    world.pass_time(1)
    world.save(*specs[6:])
    world.settle()
    assert len(world.pids()) == 24
    assert all(len(world.runs(str(spec.name))) == 1 for spec in specs)
    assert world.happened("prune.held") == []


def test_who_still_needs_what_was_removed_says_that_nobody_defines_it() -> None:
    world = World(service("web", "db"), service("db"), service("other"))
    world.settle()
    world.save(service("other"), invalid=["web"])
    world.settle()
    assert world.reason("web").startswith("services.d/web.yaml:3:1")
    assert (
        world.happened("dependency.lost", "web")[-1] == "runs without db (no manifest defines it)"
    )
    world.end("web")
    world.settle()
    assert [str(wait) for wait in world.status("web").waiting_for] == ["db: ready"]
    assert world.holds("web") == ["waiting for db to be ready (no manifest defines it)"]


def test_a_service_that_was_removed_and_comes_back_starts_afresh() -> None:
    world = World(service("web", max_restarts=0), service("db"))
    world.settle()
    world.end("web")
    world.settle()
    world.save(service("db"))
    world.settle()
    world.save(service("web", max_restarts=0), service("db"))
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].restarts == 0


def test_a_service_that_comes_back_while_it_is_on_its_way_out_is_started_again() -> None:
    world = World(service("web"), service("db"), web=SLOW)
    world.settle()
    world.save(service("db"))
    world.pass_time(1)
    world.save(service("web"), service("db"))
    world.settle()
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 2


def test_a_removal_is_over_as_soon_as_the_service_is_gone() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    begun = world.now
    world.save(service("web"))
    world.settle()
    assert world.now - begun < seconds(1)
    assert world.picture.converged


def test_the_last_service_waits_for_a_yes_while_the_others_are_still_on_their_way_out() -> None:
    specs = many(4)
    world = World(*specs)
    world.become(**{str(spec.name): SLOW for spec in specs})
    world.settle()
    world.save(specs[0])
    world.pass_time(1)
    world.save()
    world.settle()
    assert world.states() == {"s00": "running"}
    prune = world.picture.prune
    assert prune is not None
    assert prune.because == "the only service would be removed"


def test_a_removal_that_waits_goes_on_waiting_when_some_of_it_comes_back() -> None:
    specs = many(5)
    world = World(*specs)
    world.settle()
    world.save(specs[0])
    world.settle()
    first = prune_id(world)
    world.save(*specs[:4])
    world.settle()
    assert len(world.pids()) == 5
    assert world.reason("s04").startswith(
        "removed from the manifests, but 1 of 5 services would be removed, "
        "the rest of a larger removal; to agree: weaver prune approve "
    )
    assert prune_id(world) != first
    world.kill_daemon()
    world.settle()
    assert len(world.pids()) == 5
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune_id(world))
    world.settle()
    assert list(world.states()) == ["s00", "s01", "s02", "s03"]
    assert world.picture.prune is None


def test_what_is_on_its_way_out_stays_so_though_the_daemon_dies() -> None:
    specs = many(9)
    world = World(*specs)
    world.become(**{str(spec.name): SLOW for spec in specs})
    world.settle()
    world.save(*specs[3:])
    world.pass_time(1)
    world.save(*specs[7:])
    world.step()
    held = prune_id(world)
    world.kill_daemon()
    world.settle()
    assert prune_id(world) == held
    assert list(world.states()) == [f"s{index:02}" for index in range(3, 9)]
    assert all(len(world.runs(str(spec.name))) == 1 for spec in specs)


def test_what_came_back_and_is_removed_again_is_another_removal() -> None:
    world = World(service("web"), web=SLOW)
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, "web")
    world.save()
    world.pass_time(1)
    world.save(service("web"))
    world.settle()
    world.save()
    world.settle()
    assert world.states() == {"web": "running"}
    assert world.picture.prune is not None


def test_a_yes_to_the_removal_of_what_is_gone_already_is_none_to_its_successor() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    world.save(service("db"))
    world.settle()
    world.ask(OperationKind.APPROVE_PRUNE, "web")
    world.save(service("web"))
    world.settle()
    world.save()
    world.settle()
    assert "web" in world.states()


def test_nothing_is_kept_for_a_slot_removed_scaled_away_or_stopped_in_its_back_off() -> None:
    quick = Program(lives_for=seconds(1), code=1)
    wanted = [service("gone"), service("kept")]
    less, off = service("less", instances=2), service("off")
    world = World(*wanted, less, off, gone=quick, kept=quick, less=quick, off=quick)
    world.pass_time(8)
    assert closed(world) == []
    world.save(wanted[1], replace(less, instances=1), replace(off, state=DesiredState.STOPPED))
    world.pass_time(8)
    assert sorted(set(closed(world))) == ["gone-0", "less-1", "off-0"]


def test_what_the_host_keeps_for_slots_that_nobody_wants_is_found_by_a_look() -> None:
    world = World(service("web"))
    world.settle()
    wanted, strange = (Slot(service=name(one), index=0) for one in ("web", "gone"))
    shown = (world.run_of("web").shown(),)
    look = Look(serial=Serial(10**6), boot=BOOT, processes=shown, kept=(wanted, strange))
    assert world.engine.step([HostLooked(look=look)], world.now).closes == (strange,)
    assert world.engine.step([], world.now).closes == ()
