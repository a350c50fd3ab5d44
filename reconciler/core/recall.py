"""Begin with what an earlier daemon remembered of a slot."""

from __future__ import annotations

from reconciler.core.backoff import end_in_words
from reconciler.model.health import Verdict
from reconciler.model.observed import Role, State
from reconciler.model.record import ServiceMemory, SlotMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos


def recall(memory: SlotMemory, spec: ServiceSpec | None) -> SlotRecord:
    """Begin a record from what an earlier daemon remembered; the first look adds what runs."""
    trouble, end = memory.trouble, memory.last_exit
    since = end.at if end is not None else Nanos(0)
    is_stopping = memory.occasion(Role.POST_STOP) is not None
    if trouble.gave_up or (trouble.failures and trouble.retry_at is not None):
        return SlotRecord(memory=memory, state=State.CRASHED, since=since, reason=trouble.because)
    if is_stopping and memory.done is None:
        return SlotRecord(memory=memory, state=State.STOPPING, since=since, reason="stopping")
    if memory.done is None or end is None or spec is None:
        return SlotRecord(memory=memory, since=since)
    return SlotRecord(memory=memory, since=since, reason=end_in_words(spec, end))


def is_scheduled(memory: ServiceMemory) -> bool:
    """Tell whether a service runs on a schedule, or something of one is to be forgotten."""
    return memory.spec.schedule is not None or memory.timing is not None


def is_timed(record: SlotRecord) -> bool:
    """Tell whether something of a slot becomes due without any event."""
    return (
        record.pending is not None
        or record.deadline is not None
        or record.watchdog_at is not None
        or record.next_probe is not None
        or (record.reloading or record.drift) is not None
        or record.state is State.DEGRADED
        or record.verdict is Verdict.DEGRADED
        or record.memory.trouble.retry_at is not None
        or (record.process is not None and record.process.exit is not None)
        or (record.process is None and record.state is State.STOPPING)
        or bool(record.sides or record.memory.occasions)
    )
