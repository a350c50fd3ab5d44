"""One life of a supervisor: it starts its services, rests, and stops them."""

from __future__ import annotations

import math
import subprocess
import time
from dataclasses import dataclass

from benchmarks.processes import NeverCameError, cpu_time_s, is_alive, pss_bytes, until
from benchmarks.supervisors import Supervisor, Weaver

LIMIT_S = 120.0
CALM_S = 2.0
"""How long a supervisor gets to finish its start before it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What was seen of one."""

    start_s: float
    """From the command to the last service."""
    start_cpu_s: float
    """CPU time of the managing processes by then."""
    memory: int
    """Of the managing processes at rest: their proportional set size in bytes."""
    idle_percent: float
    """Of one core, at rest."""
    stop_s: float
    """From asking until no service and no manager is left; infinite where it never came to that."""
    left: int
    """Services that outlived the stop."""


def live(supervisor: Supervisor, idle_s: float) -> Life:
    """Let a supervisor live once."""
    try:
        supervisor.prepare()
        began = time.perf_counter()
        supervisor.launch()
        started = supervisor.census.until_there(supervisor.count, LIMIT_S)
        spent = cpu_time_s(supervisor.managers())
        _rest(supervisor)
        memory = pss_bytes(supervisor.managers())
        idle = idle_percent(supervisor, idle_s)
        stop_s, left = _stop(supervisor)
    finally:
        supervisor.clean_up()
    return Life(
        start_s=started - began,
        start_cpu_s=spent,
        memory=memory,
        idle_percent=idle,
        stop_s=stop_s,
        left=left,
    )


def _rest(supervisor: Supervisor) -> None:
    """Wait until the start is over for the supervisor as well."""
    if isinstance(supervisor, Weaver):
        supervisor.until_converged()
        supervisor.until_quiet()
    time.sleep(CALM_S)


def idle_percent(supervisor: Supervisor, seconds: float) -> float:
    """Measure the CPU of the managing processes over a time in which nothing happens."""
    managers = supervisor.managers()
    before, began = cpu_time_s(managers), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_time_s(managers) - before) / (time.monotonic() - began)


def _stop(supervisor: Supervisor) -> tuple[float, int]:
    """Stop it in its own way; give how long that took, and how many services are left."""
    managers, services = supervisor.managers(), [*supervisor.census.fresh()]
    began = time.perf_counter()
    try:
        supervisor.stop()
        until(lambda: not any(map(is_alive, managers)), LIMIT_S, f"{supervisor.name} to leave")
        took = time.perf_counter() - began
    except (subprocess.TimeoutExpired, NeverCameError):
        took = math.inf
    return took, sum(map(is_alive, services))
