"""How soon a service that died runs again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from benchmarks.peers import PEERS
from benchmarks.processes import until
from benchmarks.report import Beside, Row, spread_text, time_text
from benchmarks.sample import Sample
from benchmarks.supervisors import ImpatientWeaver, Supervisor, running

SERVICES = 25
WARM_UP = 5
PEER_SERVICES = 10
SETTLED_S = 1.5
"""Runit and supervisord treat a death in the first second as a failed start."""
BUDGET_S = 0.02
BUDGETED = ("runit", "PM2")
"""Weaver may take no longer than these."""


def run() -> Iterator[Row | Beside]:
    """Kill one service after another, and wait for each one's successor."""
    ours = _restarts(ImpatientWeaver(SERVICES), WARM_UP)
    theirs = {kind: _restarts(kind(PEER_SERVICES), 1) for kind in PEERS}
    lines = [("weaver", ours), *((kind.name, sample) for kind, sample in theirs.items())]
    yield Beside(
        title="crash to new process",
        columns=("median", "least", "most", "kills"),
        lines=tuple((name, *_cells(sample)) for name, sample in lines),
        note="The first restart of a service, by SIGKILL, with no back-off asked of Weaver.",
    )
    yield Row(
        what="crash to new process, no back-off",
        budget=time_text(BUDGET_S),
        measured=time_text(ours.median),
        met=ours.median < BUDGET_S,
        note=f"weaver {spread_text(ours)}",
    )
    for kind, sample in theirs.items():
        if kind.name in BUDGETED:
            yield _row(kind, ours, sample)


def _row(peer: type[Supervisor], ours: Sample, theirs: Sample) -> Row:
    ratio = ours.median / theirs.median
    return Row(
        what=f"crash to new process, no back-off, beside {peer.name}",
        budget="no longer",
        measured=time_text(ours.median),
        beside=f"{peer.name} {time_text(theirs.median)}",
        ratio=ratio,
        met=ratio <= 1,
        note=f"weaver {spread_text(ours)}; {peer.name} {spread_text(theirs)}",
    )


def _cells(sample: Sample) -> tuple[str, ...]:
    times = (sample.median, sample.least, sample.most)
    return (*map(time_text, times), str(len(sample.values)))


def _restarts(supervisor: Supervisor, warm_up: int) -> Sample:
    with running(supervisor):
        time.sleep(SETTLED_S)
        pids = sorted(supervisor.census.fresh())
        times = [_restart(supervisor, pid) for pid in pids]
    return Sample(tuple(times[warm_up:]))


def _restart(supervisor: Supervisor, pid: int) -> float:
    number = supervisor.census.fresh()[pid]
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    until(lambda: _is_back(supervisor, number, pid), 15, f"{supervisor.name} to restart", 0.0005)
    return time.perf_counter() - began


def _is_back(supervisor: Supervisor, number: int, gone: int) -> bool:
    found = supervisor.census.grown()
    return any(other == number and pid != gone for pid, other in found.items())
