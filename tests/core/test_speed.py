"""Planning costs next to nothing where nothing is to be done, and little where little is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from reconciler.core.engine import Engine
from reconciler.core.planner import plan
from reconciler.model.event import Exited, HostLooked, ManifestsRead, Spawn, TreeEmptied
from reconciler.model.observed import Exit, Look, Process
from reconciler.model.plan import Plan
from reconciler.model.record import Memory
from reconciler.model.spec import Backoff, ServiceSpec
from reconciler.model.units import Nanos, Serial, milliseconds, seconds
from tests.core.building import manifests, service
from tests.core.situations import NOW, converged, process_in
from tests.sim.host import BOOT

pytestmark = pytest.mark.slow

MANY = 10_000
AT_ONCE = Backoff(initial=Nanos(0))


def chains(count: int) -> list[ServiceSpec]:
    """Give chains of ten services each."""
    return [
        service(f"s{index:05}", *([f"s{index - 1:05}"] if index % 10 else []), backoff=AT_ONCE)
        for index in range(count)
    ]


def best_of(times: int, act: Callable[[], object]) -> float:
    """Give the shortest of several runs in seconds: the others were disturbed."""
    spans = []
    for _ in range(times):
        begin = time.perf_counter()
        act()
        spans.append(time.perf_counter() - begin)
    return min(spans)


def test_a_plan_for_ten_thousand_services_with_nothing_to_do_takes_under_100_ms() -> None:
    situation = converged(*chains(MANY))
    assert plan(situation) == Plan()
    assert best_of(5, lambda: plan(situation)) < 0.1


def running(specs: list[ServiceSpec]) -> Engine:
    """Give an engine whose services all run."""
    engine = Engine(Memory(boot=BOOT))
    engine.step([ManifestsRead(manifests=manifests(*specs))], NOW)
    processes = tuple(process_in(spec, 0, started=Nanos(NOW - seconds(60))) for spec in specs)
    look = Look(serial=Serial(1), boot=BOOT, processes=processes)
    decision = engine.step([HostLooked(look=look)], NOW)
    assert decision.commands == ()
    return engine


def test_a_crash_among_ten_thousand_services_is_answered_in_one_quick_step() -> None:
    specs = chains(MANY)
    engine = running(specs)
    victims = [process_in(spec, 0) for spec in specs[9::1000]]
    now = [NOW]

    def crash() -> None:
        now[0] = Nanos(now[0] + milliseconds(1))
        victim: Process = victims.pop()
        end = Exit(at=now[0], code=1)
        decision = engine.step(
            [
                Exited(slot=victim.slot, run=victim.run, exit=end),
                TreeEmptied(slot=victim.slot, run=victim.run),
            ],
            now[0],
        )
        assert [type(command) for command in decision.commands] == [Spawn]

    assert best_of(5, crash) < 0.25
