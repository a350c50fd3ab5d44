"""Whatever happens to a host: the rules hold after every step, and in the end all is as wanted."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.event import OperationKind
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from tests.sim.strategies import Deed, histories, manifest_sets
from tests.sim.world import World


def live(world: World, history: list[Deed]) -> None:
    for deed in history:
        deed.act(world)
        world.step()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(first=manifest_sets(), history=histories(), seed=st.integers(0, 3))
def test_whatever_happens_the_rules_hold(
    first: tuple[ServiceSpec, ...], history: list[Deed], seed: int
) -> None:
    world = World(*first, seed=seed)
    live(world, history)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories(), last=manifest_sets(), seed=st.integers(0, 3))
def test_when_the_faults_are_over_it_arrives_and_stays_quiet(
    history: list[Deed], last: tuple[ServiceSpec, ...], seed: int
) -> None:
    world = World(seed=seed)
    live(world, history)
    world.calm()
    world.save(*last)
    world.let_go()
    assert world.arrives()
    for spec in last:
        if may_run(spec, {one.name: one for one in last}):
            assert world.is_as_wanted(spec), f"{spec.name}\n{world.told()}"


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories(), kind=st.sampled_from((OperationKind.SHUTDOWN, OperationKind.KILL)))
def test_a_shutdown_comes_to_its_end_whatever_was_before(
    history: list[Deed], kind: OperationKind
) -> None:
    world = World()
    live(world, history)
    world.mend()
    world.ask(kind)
    world.until(lambda: world.finished, within=120)
    assert world.pids() == {}
    services = dict(world.memory.services)
    world.kill_daemon()
    world.step()
    assert world.memory.services.keys() >= services.keys()


def may_run(spec: ServiceSpec, last: Mapping[ServiceName, ServiceSpec]) -> bool:
    """Tell whether nothing that a service needs is wanted stopped."""
    return all(
        last[need.service].wants_to_run and may_run(last[need.service], last) for need in spec.needs
    )
