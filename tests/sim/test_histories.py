"""Whatever Hypothesis makes up: the rules hold after every step, and in the end all arrives."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.event import OperationKind
from tests.sim.episode import CALM, do
from tests.sim.histories import histories
from tests.sim.kinds import Deed
from tests.sim.world import World

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]


def live(seed: int, first: int, history: list[Deed]) -> World:
    """Let a host live through a history, from one made-up set of manifests on."""
    world = World(seed=seed)
    do(world, Deed("save-all", (first,)))
    for deed in history:
        do(world, deed)
        do(world, Deed("pass", (0.05,)))
    return world


@settings(max_examples=120, suppress_health_check=SLOW_IS_FINE)
@given(history=histories(), first=st.integers(0, 99), seed=st.integers(0, 3))
def test_whatever_happens_the_rules_hold(history: list[Deed], first: int, seed: int) -> None:
    live(seed, first, history)


@settings(max_examples=60, suppress_health_check=SLOW_IS_FINE)
@given(
    history=histories(),
    first=st.integers(0, 99),
    is_mended=st.booleans(),
    last=st.integers(0, 99),
)
def test_when_the_faults_are_over_it_arrives_and_stays_quiet(
    history: list[Deed], first: int, is_mended: bool, last: int
) -> None:
    world = live(0, first, history)
    do(world, Deed(CALM, (is_mended, last)))


@settings(max_examples=60, suppress_health_check=SLOW_IS_FINE)
@given(
    history=histories(),
    first=st.integers(0, 99),
    kind=st.sampled_from((OperationKind.SHUTDOWN, OperationKind.KILL)),
)
def test_a_shutdown_comes_to_its_end_whatever_was_before(
    history: list[Deed], first: int, kind: OperationKind
) -> None:
    world = live(0, first, history)
    world.up_again_after = None
    world.calm()
    services = set(world.memory.services)
    world.ask(kind)
    world.until(lambda: world.finished, within=120)
    assert world.pids() == {}
    world.kill_daemon()
    world.step()
    assert set(world.memory.services) >= services
