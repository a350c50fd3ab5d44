"""How long it takes from saving a manifest to the new process."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.processes import until
from benchmarks.report import Row, spread_text, time_text
from benchmarks.sample import Sample
from benchmarks.supervisors import Weaver, running

SERVICES = 1_000
REPETITIONS = 10
BUDGET_S = 0.5
CHANGED = 500
"""The service that is edited, and the first number that its process shows afterwards."""
FIRST_VALUE = 1_000_000


def run() -> Iterator[Row]:
    """Save one manifest again and again; after each, the process shows the new number."""
    with running(weaver := Weaver(SERVICES)):
        weaver.until_converged()
        before = weaver.census.fresh()
        cold = _edit(weaver, FIRST_VALUE - 1)
        times = Sample(tuple(_edit(weaver, FIRST_VALUE + turn) for turn in range(REPETITIONS)))
        after = weaver.census.fresh()
        kept = len(before.keys() & after.keys())
    yield Row(
        what=f"save of one manifest among {SERVICES:,} to new process",
        budget=time_text(BUDGET_S),
        measured=time_text(times.median),
        met=times.median < BUDGET_S and kept == SERVICES - 1,
        note=(
            f"{spread_text(times)}; the first save after the start {time_text(cold)}; "
            f"{kept} of the {SERVICES - 1} other services kept their pid"
        ),
    )


def _edit(weaver: Weaver, value: int) -> float:
    """Save a manifest and wait for the process that it asks for."""
    weaver.census.fresh()
    began = time.perf_counter()
    weaver.write(CHANGED, value)
    until(lambda: value in weaver.census.grown().values(), 30, "the edited service")
    return time.perf_counter() - began
