"""How long it takes until everything runs, from nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.peers import PEERS
from benchmarks.processes import COUNT_POLL_S, cpu_time_s
from benchmarks.report import Row, spread_text, time_text
from benchmarks.sample import Runs, Sample
from benchmarks.supervisors import Supervisor, Weaver

SERVICES = 500
REPETITIONS = 3
LIMIT_S = 60.0
ENOUGH_S = 50.0
"""After so long no further repetition is begun."""
BUDGETED = ("runit", "s6", "runit + svlogd", "s6 + s6-log")
"""Weaver may be no slower than these."""


def run() -> Iterator[Row]:
    """Start the fastest supervisors a few times in turn; services are counted from /proc."""
    peers = [peer for peer in PEERS if peer.name in BUDGETED]
    present: list[type[Supervisor]] = [Weaver, *peers]
    taken: dict[type[Supervisor], list[float]] = {kind: [] for kind in present}
    spent: dict[type[Supervisor], list[float]] = {kind: [] for kind in present}
    deadline = time.monotonic() + ENOUGH_S
    for turn in range(REPETITIONS):
        if turn and time.monotonic() > deadline:
            break
        for kind in present:
            wall_s, cpu_s = _start(kind(SERVICES))
            taken[kind].append(wall_s)
            spent[kind].append(cpu_s)
    found = {kind: Runs(Sample(tuple(taken[kind])), Sample(tuple(spent[kind]))) for kind in present}
    for peer in PEERS:
        if peer.name in BUDGETED:
            yield _row(peer, found[Weaver], found[peer])


def _start(supervisor: Supervisor) -> tuple[float, float]:
    """Give the time from the command to the last service, and the managers' CPU time by then."""
    try:
        supervisor.prepare()
        began = time.perf_counter()
        supervisor.launch()
        ended = supervisor.census.until_there(supervisor.count, LIMIT_S)
        spent = cpu_time_s(supervisor.managers())
    finally:
        supervisor.clean_up()
    return ended - began, spent


def _row(peer: type[Supervisor], ours: Runs, theirs: Runs) -> Row:
    ratio = ours.wall_s.median / theirs.wall_s.median
    captures = "captures output" if peer.captures_output else "captures no output"
    return Row(
        what=f"cold start, {SERVICES} x sleep, beside {peer.name}",
        budget="no slower",
        measured=time_text(ours.wall_s.median),
        beside=f"{peer.name} {time_text(theirs.wall_s.median)}",
        ratio=ratio,
        met=ratio <= 1,
        note=(
            f"weaver {spread_text(ours.wall_s)}; {peer.name} {spread_text(theirs.wall_s)}, "
            f"{captures}; CPU of the managing processes by then {time_text(ours.cpu_s.median)} "
            f"against {time_text(theirs.cpu_s.median)}; counted every {time_text(COUNT_POLL_S)}"
        ),
    )
