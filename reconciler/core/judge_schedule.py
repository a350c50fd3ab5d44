"""State the rules of schedules a second time: what has one runs at its times only."""

from __future__ import annotations

from reconciler.model.observed import Process
from reconciler.model.record import ServiceMemory, SlotMemory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos


def is_out_of_time(spec: ServiceSpec, memory: SlotMemory, asked: Nanos) -> bool:
    """Tell whether nothing asks for a run: no time has come, and no run has to be tried again."""
    has_failed = memory.tried == spec.digest and memory.trouble.failures
    return spec.schedule is not None and memory.newest >= asked and not has_failed


def is_no_run(spec: ServiceSpec | None, memory: ServiceMemory | None, process: Process) -> bool:
    """Tell whether a process is older than its service's schedule, and of another version."""
    if spec is None or spec.schedule is None or memory is None or memory.timing is None:
        return False
    began = memory.timing.runs_from
    return began is not None and process.started < began and process.digest != spec.digest
