"""How soon a service that died runs again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from benchmarks.peers import Runit, Supervisord
from benchmarks.processes import until
from benchmarks.report import Row, spread_text, time_text
from benchmarks.sample import Sample
from benchmarks.supervisors import ImpatientWeaver, Supervisor, running

SERVICES = 25
WARM_UP = 5
PEER_SERVICES = 10
SETTLED_S = 1.5
"""Runit and supervisord treat a death in the first second as a failed start."""
BUDGET_S = 0.02


def run() -> Iterator[Row]:
    """Kill one service after another, and wait for each one's successor."""
    ours = _restarts(ImpatientWeaver(SERVICES), WARM_UP)
    for peer in (Supervisord, Runit):
        if not peer.is_installed():
            continue
        theirs = _restarts(peer(PEER_SERVICES), 1)
        yield Row(
            what=f"crash to new process, no back-off, beside {peer.name}",
            budget=time_text(BUDGET_S),
            measured=time_text(ours.median),
            beside=f"{peer.name} {time_text(theirs.median)}",
            ratio=ours.median / theirs.median,
            met=ours.median < BUDGET_S,
            note=f"weaver {spread_text(ours)}; {peer.name} {spread_text(theirs)}",
        )


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
