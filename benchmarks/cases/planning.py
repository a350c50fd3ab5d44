"""How long deciding takes when there is nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.report import Row, spread_text, time_text
from benchmarks.sample import Sample
from reconciler.core.diff import supposed
from reconciler.core.judge import judge
from reconciler.core.planner import plan
from reconciler.model.desired import Desired, Wanted
from reconciler.model.diagnostic import Source
from reconciler.model.plan import Situation
from reconciler.model.spec import Need, ServiceSpec
from reconciler.model.units import Digest, ServiceName

SERVICES = 10_000
REPETITIONS = 20
BUDGET_S = 0.1


def run() -> Iterator[Row]:
    """Plan for services that all run as wanted, each needing the one before it in a chain of 10."""
    situation = converged(SERVICES)
    made = plan(situation)
    assert not made.actions, "nothing is to do"
    spent = Sample(tuple(_time_of_plan(situation) for _ in range(REPETITIONS)))
    began = time.perf_counter()
    judge(made, situation)
    judged = time.perf_counter() - began
    yield Row(
        what=f"plan() for {SERVICES:,} services with nothing to do",
        budget=time_text(BUDGET_S),
        measured=time_text(spent.median),
        ratio=None,
        met=spent.median < BUDGET_S,
        note=f"{spread_text(spent)}; to judge that plan takes {time_text(judged)}",
    )


def converged(count: int) -> Situation:
    """Make a situation in which everything runs as wanted."""
    services = {}
    for number in range(count):
        needs = () if number % 10 == 0 else (Need(service=ServiceName(f"s{number - 1:05d}")),)
        spec = ServiceSpec(
            name=ServiceName(f"s{number:05d}"),
            digest=Digest(str(number)),
            command=("sleep", "1000"),
            needs=needs,
        )
        services[spec.name] = Wanted(
            spec=spec, source=Source(file=f"services.d/{spec.name}.yaml", line=1)
        )
    desired = Desired(services=services)
    return supposed(desired, desired)


def _time_of_plan(situation: Situation) -> float:
    began = time.perf_counter()
    plan(situation)
    return time.perf_counter() - began
