"""What Weaver takes while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.peers import Supervisord
from benchmarks.processes import cpu_time_s, pss_bytes
from benchmarks.report import Row, time_text
from benchmarks.supervisors import Supervisor, Weaver, running

FEW = 100
MANY = 300
IDLE_S = 30.0
BUDGET_BYTES = 45e6
BUDGET_SLOPE_BYTES = 20e3
BUDGET_IDLE_PERCENT = 0.3


def run() -> Iterator[Row]:
    """Look at holder and daemon once their worker process has left, with few and many services."""
    with ExitStack() as lives:
        lives.enter_context(running(few := Weaver(FEW)))
        lives.enter_context(running(many := Weaver(MANY)))
        lives.enter_context(running(peer := Supervisord(FEW)))
        lives.enter_context(running(big := Supervisord(MANY)))
        few.until_quiet()
        many.until_quiet()
        sizes = [pss_bytes(each.managers()) for each in (few, many)]
        parts = [pss_bytes([pid]) for pid in (few.daemon(), few.holder())]
        peers = [pss_bytes(each.managers()) for each in (peer, big)]
        ours, theirs = _idle_percent(few, peer)
    yield _size(sizes[0], parts, peers[0])
    yield _slope(sizes, peers)
    yield Row(
        what=f"idle CPU of holder and daemon, {FEW} services",
        budget=f"{BUDGET_IDLE_PERCENT:g} % of a core",
        measured=f"{ours:.3f} %",
        beside=f"supervisord {theirs:.3f} %",
        ratio=ours / theirs if theirs else None,
        met=ours < BUDGET_IDLE_PERCENT,
        note=f"over {time_text(IDLE_S)}, as the scheduler counts it, in nanoseconds",
    )


def _size(size: int, parts: list[int], peer: int) -> Row:
    return Row(
        what=f"resident (PSS) of holder and daemon, {FEW} services",
        budget=_megabytes(BUDGET_BYTES),
        measured=_megabytes(size),
        beside=f"supervisord {_megabytes(peer)}",
        ratio=size / peer,
        met=size < BUDGET_BYTES,
        note=f"daemon {_megabytes(parts[0])}, holder {_megabytes(parts[1])}",
    )


def _slope(sizes: list[int], peers: list[int]) -> Row:
    ours, theirs = ((high - low) / (MANY - FEW) for low, high in (sizes, peers))
    return Row(
        what=f"each further service, from {FEW} to {MANY}",
        budget=f"{BUDGET_SLOPE_BYTES / 1e3:.0f} kB",
        measured=f"{ours / 1e3:.1f} kB",
        beside=f"supervisord {theirs / 1e3:.1f} kB",
        ratio=ours / theirs if theirs > 0 else None,
        met=ours < BUDGET_SLOPE_BYTES,
        note=f"with {MANY}: weaver {_megabytes(sizes[1])}, supervisord {_megabytes(peers[1])}",
    )


def _idle_percent(*supervisors: Supervisor) -> list[float]:
    """Measure the CPU of several supervisors in the same window."""
    before = [cpu_time_s(each.managers()) for each in supervisors]
    began = time.monotonic()
    time.sleep(IDLE_S)
    took = time.monotonic() - began
    after = [cpu_time_s(each.managers()) for each in supervisors]
    return [100 * (late - early) / took for early, late in zip(before, after, strict=True)]


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
