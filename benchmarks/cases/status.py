"""How long a person waits for `weaver status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.peers.supervisord import Supervisord
from benchmarks.processes import compare
from benchmarks.report import Row, spread_text, time_text
from benchmarks.sample import Runs
from benchmarks.supervisors import Weaver, running

SERVICES = 100
REPETITIONS = 40
BUDGET_RATIO = 1.5


def run() -> Iterator[Row]:
    """Compare whole processes, in turn: the bare interpreter, ours and the peer's."""
    with ExitStack() as lives:
        lives.enter_context(running(ours := Weaver(SERVICES)))
        lives.enter_context(running(peer := Supervisord(SERVICES)))
        ours.until_converged()
        commands = {
            "python": (sys.executable, "-c", "pass"),
            "weaver": ours.command("status"),
            "supervisorctl": peer.control("status"),
        }
        found = compare(commands, REPETITIONS)
    yield _beside(found["weaver"], found["python"], "python -c pass", BUDGET_RATIO)
    yield _beside(found["weaver"], found["supervisorctl"], "supervisorctl", 0.5)


def _beside(ours: Runs, theirs: Runs, name: str, limit: float) -> Row:
    ratio = ours.wall_s.median / theirs.wall_s.median
    return Row(
        what=f"weaver status, {SERVICES} services, beside {name}",
        budget=f"{limit:g} x",
        measured=time_text(ours.wall_s.median),
        beside=f"{name} {time_text(theirs.wall_s.median)}",
        ratio=ratio,
        met=ratio <= limit,
        note=f"whole process; weaver {_spread(ours)}; {name} {_spread(theirs)}",
    )


def _spread(runs: Runs) -> str:
    return f"{spread_text(runs.wall_s)}, CPU {time_text(runs.cpu_s.median)}"
