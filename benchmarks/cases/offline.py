"""How long checks in a pull request take: no daemon runs, nothing is kept from earlier."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.processes import compare
from benchmarks.report import Row, spread_text, time_text
from benchmarks.supervisors import Weaver

MANIFESTS = 1_000
CHANGED = 10
REPETITIONS = 5
BUDGET_S = 2.0


def run() -> Iterator[Row]:
    """Validate, and compare two commits of which some manifests differ."""
    repository = Weaver(MANIFESTS)
    try:
        repository.prepare()
        for number in range(CHANGED):
            repository.write(number, MANIFESTS + number)
        repository.commit("Change some")
        commands = {
            "validate": repository.command("validate"),
            "diff HEAD~1...HEAD": repository.command("diff", "HEAD~1...HEAD"),
        }
        found = compare(commands, REPETITIONS)
    finally:
        repository.clean_up()
    for name, runs in found.items():
        yield Row(
            what=f"weaver {name}, {MANIFESTS:,} manifests, no daemon",
            budget=time_text(BUDGET_S),
            measured=time_text(runs.wall_s.median),
            met=runs.wall_s.median < BUDGET_S,
            note=f"{spread_text(runs.wall_s)}, CPU {time_text(runs.cpu_s.median)}",
        )
