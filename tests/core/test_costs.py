"""What deciding costs, in steps: next to nothing where nothing is to be done."""

from __future__ import annotations

from reconciler.core.engine import Engine
from reconciler.core.planner import plan
from reconciler.model.event import Exited, HostLooked, ManifestsRead, Spawn, TreeEmptied
from reconciler.model.observed import Exit, Look
from reconciler.model.plan import Plan
from reconciler.model.record import Memory
from reconciler.model.spec import Backoff, ServiceSpec
from reconciler.model.units import Nanos, Serial, milliseconds, seconds
from tests.core.building import manifests, service
from tests.core.situations import NOW, converged, process_in
from tests.sim.host import BOOT
from tests.steps import steps_of

MANY = 3_000
AT_ONCE = Backoff(initial=Nanos(0))


def chains(count: int) -> list[ServiceSpec]:
    """Give chains of ten services each."""
    return [
        service(f"s{index:05}", *([f"s{index - 1:05}"] if index % 10 else []), backoff=AT_ONCE)
        for index in range(count)
    ]


def test_the_cost_of_a_plan_with_nothing_to_do_grows_no_faster_than_the_services() -> None:
    few, many = (converged(*chains(count)) for count in (MANY // 10, MANY))
    assert plan(many) == Plan()
    for_few, for_many = steps_of(lambda: plan(few)), steps_of(lambda: plan(many))
    assert for_many < 10.1 * for_few
    assert for_many < 50 * MANY


def running(specs: list[ServiceSpec]) -> Engine:
    """Give an engine whose services all run."""
    engine = Engine(Memory(boot=BOOT))
    engine.step([ManifestsRead(manifests=manifests(*specs))], NOW)
    processes = tuple(process_in(spec, 0, started=Nanos(NOW - seconds(60))) for spec in specs)
    look = Look(serial=Serial(1), boot=BOOT, processes=processes)
    decision = engine.step([HostLooked(look=look)], NOW)
    assert decision.commands == ()
    return engine


def test_a_crash_among_thousands_of_services_costs_one_plan_and_little_more() -> None:
    specs = chains(MANY)
    engine = running(specs)
    to_plan = steps_of(lambda: plan(engine.situation(NOW)))
    victim = process_in(specs[1009], 0)

    def crash() -> None:
        now = Nanos(NOW + milliseconds(1))
        end = Exited(slot=victim.slot, run=victim.run, exit=Exit(at=now, code=1))
        empty = TreeEmptied(slot=victim.slot, run=victim.run)
        decision = engine.step([end, empty], now)
        assert [type(command) for command in decision.commands] == [Spawn]

    assert steps_of(crash) < to_plan + 10_000
