"""State the rules of checks a second time: when a process may be replaced or reloaded for them."""

from __future__ import annotations

from reconciler.model.health import OnUnhealthy
from reconciler.model.observed import State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec


def may_be_replaced(spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether the checks of what runs fail, and its manifest has it restarted for that."""
    is_asked_for = spec.health is not None and spec.on_unhealthy is OnUnhealthy.RESTART
    return is_asked_for and _is_to_be_treated(record)


def may_be_reloaded(spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether the checks of what runs fail, and it was not reloaded for that yet."""
    is_asked_for = spec.health is not None and spec.on_unhealthy is OnUnhealthy.RELOAD
    decided = record.memory.remedy.at or 0
    is_done = (record.memory.reloaded_at or -1) >= decided
    return is_asked_for and _is_to_be_treated(record) and not is_done


def _is_to_be_treated(record: SlotRecord) -> bool:
    """Tell whether the very process that runs is degraded, and the time to act was found to be."""
    ill, process, remedy = record.memory.ill, record.process, record.memory.remedy
    if record.state is not State.DEGRADED or ill is None or process is None:
        return False
    is_decided = remedy.at is not None and process.started <= ill.since <= remedy.at
    return is_decided and ill.run == process.run and not remedy.gave_up


def has_proved_well(spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether what runs has passed a check, where there is one to pass."""
    if record.process is None or record.state not in (State.RUNNING, State.DEGRADED):
        return False
    return spec.health is None or record.memory.proven == record.process.run


def is_beyond_help(spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether what runs never was well, is degraded, and all that may be done was done."""
    if record.state is not State.DEGRADED or has_proved_well(spec, record):
        return False
    ill, remedy = record.memory.ill, record.memory.remedy
    is_treated = ill is not None and remedy.at is not None and remedy.at >= ill.since
    match spec.on_unhealthy:
        case OnUnhealthy.RESTART:
            return is_treated and remedy.gave_up
        case OnUnhealthy.RELOAD:
            return is_treated and (record.memory.reloaded_at or -1) >= (remedy.at or 0)
        case OnUnhealthy.NONE | OnUnhealthy.ALERT:
            return True
