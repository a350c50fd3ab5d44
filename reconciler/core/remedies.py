"""Say what `onUnhealthy` has to do about a slot that is degraded, when, and why.

It acts once in an episode, from the fall to `degraded` until the check passes again or another
process comes. The first time it acts at once. Each further time in a row it first gives the slot
the time of `backoff` to get well by itself, and what leaves the same process running is done once
in `timeWindow` at most. `maxRestarts` in a row is all: then the slot is left running as it is,
because a service that half works is worth more than none.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.backoff import delay
from reconciler.model.health import OnUnhealthy
from reconciler.model.observed import State
from reconciler.model.record import Remedy, SlotMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos

NO_LUCK = 0.0
"""Checks are spread over their interval already, so what follows from them is spread, too."""


def due_at(spec: ServiceSpec, memory: SlotMemory) -> Nanos | None:
    """Give when something is to be done about a slot; None: nothing is, or it was done."""
    ill, remedy = memory.ill, memory.remedy
    if ill is None or spec.health is None or spec.on_unhealthy is OnUnhealthy.NONE:
        return None
    if remedy.at is not None and remedy.at >= ill.since:
        return None
    wait = delay(spec.backoff, remedy.times, NO_LUCK) if remedy.times else 0
    at = Nanos(ill.since + wait)
    if spec.on_unhealthy is OnUnhealthy.RESTART or remedy.at is None:
        return at
    return max(at, Nanos(remedy.at + spec.health.threshold.time_window))


def forgiven(spec: ServiceSpec | None, remedy: Remedy) -> Remedy:
    """Begin to count anew. A restart is decided upon once more; who was told is not told again."""
    if spec is None or spec.on_unhealthy is OnUnhealthy.RESTART:
        return Remedy(well_since=remedy.well_since)
    return replace(remedy, times=0, gave_up=False)


def is_spent(spec: ServiceSpec, memory: SlotMemory) -> bool:
    """Tell whether a slot was restarted as often in a row as it may be."""
    is_limited = spec.on_unhealthy is OnUnhealthy.RESTART and spec.max_restarts is not None
    return is_limited and memory.remedy.times >= (spec.max_restarts or 0)


def is_decided(spec: ServiceSpec, record: SlotRecord, way: OnUnhealthy) -> bool:
    """Tell whether something was decided upon in this episode, and is still to be done."""
    ill, remedy = record.memory.ill, record.memory.remedy
    if record.state is not State.DEGRADED or ill is None or remedy.at is None:
        return False
    return spec.on_unhealthy is way and remedy.at >= ill.since and not remedy.gave_up


def why_replaced(spec: ServiceSpec, record: SlotRecord) -> str:
    """Say that a process is replaced because its checks fail; empty when it is not."""
    ill, process = record.memory.ill, record.process
    if ill is None or process is None or not is_decided(spec, record, OnUnhealthy.RESTART):
        return ""
    is_meant = process.started < (record.memory.remedy.at or 0)
    return f"{ill.because} (onUnhealthy: restart)" if is_meant else ""


def why_reloaded(spec: ServiceSpec, record: SlotRecord) -> str:
    """Say that a process is reloaded because its checks fail; empty when it is not."""
    ill, process = record.memory.ill, record.process
    if ill is None or process is None or not is_decided(spec, record, OnUnhealthy.RELOAD):
        return ""
    has_loaded = (record.memory.reloaded_at or 0) >= (record.memory.remedy.at or 0)
    return "" if has_loaded else f"{ill.because} (onUnhealthy: reload)"


def is_past_help(spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether a slot never was well in this run, is degraded, and nothing is to be done."""
    process, memory = record.process, record.memory
    if record.state is not State.DEGRADED or process is None or memory.proven == process.run:
        return False
    if spec.on_unhealthy in (OnUnhealthy.NONE, OnUnhealthy.ALERT):
        return True
    is_coming = due_at(spec, memory) is not None
    return not (is_coming or why_replaced(spec, record) or why_reloaded(spec, record))


def in_words(spec: ServiceSpec, record: SlotRecord) -> str:
    """Say why a slot is degraded, and what becomes of it where nothing more is done."""
    ill, remedy = record.memory.ill, record.memory.remedy
    because = ill.because if ill is not None else "its check fails"
    if not remedy.gave_up or spec.on_unhealthy is not OnUnhealthy.RESTART:
        return because
    tried = f"{remedy.times} restart{'' if remedy.times == 1 else 's'} did not help"
    return f"{because}; {tried}; mend: weaver restart {spec.name}"
