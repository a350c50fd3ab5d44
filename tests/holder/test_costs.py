"""What the holder costs: nothing while nothing happens, and little when something does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.covered import Tell
from tests.holder.rig import Rig, Started

pytestmark = pytest.mark.real

SERVICES = 200


def kilobytes(pid: int, field: str) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(field))


def wake_ups(pid: int) -> int:
    """Give how often a process has waited; what it lost the processor for is not its doing."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt"))


def end(rig: Rig, started: Started) -> None:
    """Kill a service and wait until its end, and its emptiness, were told."""
    os.kill(started.pid, signal.SIGKILL)
    rig.wait_for("exited", started)
    rig.wait_for("empty", started)


def test_two_hundred_services_start_and_end_with_few_wake_ups_in_little_memory(
    rig: Rig, tell: Tell
) -> None:
    empty_kb, before = kilobytes(rig.holder_pid, "Pss:"), wake_ups(rig.holder_pid)
    services = [rig.spawn(f"s-{n}", "sleep", "1000") for n in range(SERVICES)]
    full_kb, begun = kilobytes(rig.holder_pid, "Pss:"), wake_ups(rig.holder_pid)
    for started in services:
        end(rig, started)
    ended = wake_ups(rig.holder_pid)
    tell(
        f"holder: {(begun - before) / SERVICES:.1f} wake-ups for a start, "
        f"{(ended - begun) / SERVICES:.1f} for an end; PSS {empty_kb / 1024:.1f} MB empty, "
        f"{full_kb / 1024:.1f} MB with {SERVICES} services"
    )
    assert begun - before < 5 * SERVICES
    assert ended - begun < 5 * SERVICES
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
