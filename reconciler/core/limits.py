"""Take in what processes were measured to use, and mark those that use too much.

Only what the kernel does not limit is measured. A process that uses more than `maxMemory` is
replaced in order, unless `memoryAction` is `alert`; for anything else it is only told.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.ledger import Ledger
from reconciler.model.event import Measured
from reconciler.model.observed import State
from reconciler.model.spec import MemoryAction, ServiceSpec
from reconciler.model.units import amount

BELOW_AGAIN = 0.9
"""Of a limit: what was above it is below again only here, so that nothing is told every second."""
_UP = (State.STARTING, State.RUNNING, State.DEGRADED)


def measured(ledger: Ledger, event: Measured) -> None:
    """Tell once of a process that uses more than it may; one to be replaced is marked."""
    record = ledger.record(event.slot)
    process, spec = record.process, ledger.version(event.slot)
    if process is None or process.exit is not None or spec is None:
        return
    if process.run != event.run:
        return
    if process.digest != spec.digest or record.state not in _UP or record.outgrown:
        return
    factor = BELOW_AGAIN if record.over else 1.0
    too_much = _memory(spec, event, factor)
    over = too_much or _cpu(spec, event, factor)
    if bool(over) == bool(record.over):
        return
    if over:
        data = {"memory": event.memory, "cpu": event.cpu, "pid": process.id.pid}
        ledger.tell("service.over-limit", slot=event.slot, reason=over, data=data)
    is_outgrown = bool(too_much) and spec.memory_action is MemoryAction.RESTART
    ledger.put(replace(record, over=over, outgrown=too_much if is_outgrown else ""))


def _memory(spec: ServiceSpec, event: Measured, factor: float) -> str:
    used, limit = event.memory, spec.max_memory
    if used is None or limit is None or used <= limit * factor:
        return ""
    return f"uses {amount(used)}, maxMemory is {amount(limit)}"


def _cpu(spec: ServiceSpec, event: Measured, factor: float) -> str:
    used, limit = event.cpu, spec.max_cpu
    if used is None or limit is None or used <= limit * factor:
        return ""
    return f"uses {used:.2g} cores, maxCpu is {limit:g}"
