"""What the holder costs: nothing while nothing happens, and little when something does."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.holder.rig import Rig, Started

pytestmark = pytest.mark.real

SERVICES = 200


def kilobytes(pid: int, field: str) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(field))


def wake_ups(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


def end_of(rig: Rig, started: Started) -> tuple[float, float]:
    """Kill a service and give the milliseconds until its end, and its emptiness, were told."""
    began = time.perf_counter()
    os.kill(started.pid, signal.SIGKILL)
    rig.wait_for("exited", started)
    exited = time.perf_counter() - began
    rig.wait_for("empty", started)
    return exited * 1e3, (time.perf_counter() - began) * 1e3


def test_two_hundred_services_start_and_end_fast_in_little_memory(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    empty_kb = kilobytes(rig.holder_pid, "Pss:")
    began = time.perf_counter()
    services = [rig.spawn(f"s-{n}", "sleep", "1000") for n in range(SERVICES)]
    spawn_ms = (time.perf_counter() - began) * 1e3 / SERVICES
    full_kb = kilobytes(rig.holder_pid, "Pss:")
    ends = [end_of(rig, started) for started in services]
    exited, emptied = (statistics.median(column) for column in zip(*ends, strict=True))
    with capsys.disabled():
        sys.stdout.write(
            f"\nholder: start {spawn_ms:.2f} ms each; end told after {exited:.2f} ms, tree empty "
            f"after {emptied:.2f} ms (medians of {SERVICES}); PSS {empty_kb / 1024:.1f} MB empty, "
            f"{full_kb / 1024:.1f} MB with {SERVICES} services\n"
        )
    # Far above what a machine with nothing else to do shows, to hold on a busy one.
    assert spawn_ms < 20
    assert max(exited, emptied) < 20
    assert full_kb < 16 * 1024
    assert (full_kb - empty_kb) / SERVICES < 10


def test_the_holder_sleeps_while_nothing_happens(rig: Rig) -> None:
    services = [rig.spawn(f"s-{n}", "sleep", "1000") for n in range(20)]
    clock = rig.spawn("clock-0", "sleep", "1")
    before = wake_ups(rig.holder_pid)
    rig.wait_for("empty", clock)
    # Awake for the end of that one second's sleep, and not in between.
    assert wake_ups(rig.holder_pid) - before < 10
    assert all(service.is_alive for service in services)
