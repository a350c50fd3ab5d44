"""The end of a reload, as a service tells it that speaks sd_notify."""

from __future__ import annotations

from reconciler.model.event import Notified, OperationKind
from reconciler.model.observed import Notice
from reconciler.model.plan import HoldCode
from reconciler.model.spec import ReloadWay, ServiceType
from reconciler.model.units import Nanos, seconds
from tests.core.building import service
from tests.sim.world import World

WEB = service(
    "web",
    type=ServiceType.NOTIFY,
    reload=ReloadWay(signal="SIGHUP"),
    start_timeout=seconds(20),
)


def say(world: World, **words: object) -> None:
    """Let the service say something by sd_notify, as the holder then tells it."""
    run = world.run_of("web")
    notice = Notice(at=Nanos(world.now), ready=True, **words)  # type: ignore[arg-type]  # its fields
    world.tell(Notified(slot=run.slot, run=run.id, id=run.identity, notice=notice))
    world.pass_time(0.01)


def is_at_rest(world: World) -> bool:
    return world.picture.converged


def reloading() -> World:
    world = World(WEB)
    world.pass_time(1)
    say(world)
    world.settle()
    world.ask(OperationKind.RELOAD, "web")
    world.pass_time(0.1)
    return world


def test_a_reload_that_is_announced_is_over_when_the_service_says_so() -> None:
    world = reloading()
    say(world, reloading=world.now)
    world.pass_time(10)
    assert world.happened("service.reloaded") == []
    assert world.reason("web").startswith("reloading")
    assert not is_at_rest(world)
    say(world)
    assert world.happened("service.reloaded") == ["a reload was asked for"]
    assert is_at_rest(world)
    assert world.run_of("web").reloads == 1


def test_a_reload_that_is_not_announced_is_over_soon() -> None:
    world = reloading()
    world.pass_time(1)
    assert world.happened("service.reloaded") == []
    world.pass_time(2)
    assert world.happened("service.reloaded") == ["a reload was asked for"]
    assert world.run_of("web").reloads == 1


def test_a_reload_without_an_end_has_failed_and_the_service_goes_on() -> None:
    world = reloading()
    say(world, reloading=world.now)
    world.pass_time(60)
    [why] = world.happened("service.reload-failed")
    assert why.startswith("it did not end within its startTimeout")
    assert world.status("web").reason_code == HoldCode.RELOAD_FAILED
    run = world.run_of("web")
    assert (run.reloads, run.asked_at) == (1, None)
    assert is_at_rest(world)
