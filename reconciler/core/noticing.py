"""Take in what processes say of themselves: ready, reloading, stopping, alive, in need of time."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.answers import became_ready
from reconciler.core.ends import found_again
from reconciler.core.ledger import EARLY_ENDS_KEPT, Ledger
from reconciler.core.reloads import hear_of_reload
from reconciler.core.watchdog import fed, leaving
from reconciler.model.event import Notified
from reconciler.model.observed import Notice, ProcessId, State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ReadyType
from reconciler.model.units import Nanos

_EXTENDABLE = (State.STARTING, State.RUNNING, State.DEGRADED, State.STOPPING)


def notified(ledger: Ledger, event: Notified) -> None:
    """Take in what a run said, or keep it until its start was heard of."""
    record = ledger.record(event.slot)
    process = record.process
    if process is not None and process.run == event.run:
        heed(ledger, found_again(ledger, record), event.id, event.notice)
    elif event.run not in (record.memory.ended, record.memory.exited):
        ledger.early_notices[event.run] = event
        while len(ledger.early_notices) > EARLY_ENDS_KEPT:
            del ledger.early_notices[next(iter(ledger.early_notices))]


def heed(ledger: Ledger, record: SlotRecord, who: ProcessId, notice: Notice) -> None:
    """Take in all that a run has said by now; an older word changes nothing."""
    process = record.process
    if process is None or process.exit is not None:
        return
    is_old = notice.at < process.notice.at
    if is_old or (who, notice) == (process.id, process.notice):
        return
    heard = replace(record, process=replace(process, id=who, notice=notice))
    if notice.extended > process.notice.extended:
        heard = _given_time(heard, notice.extended)
    heard = replace(heard, watchdog_at=fed(heard, record, ledger.now, ledger.slept_at))
    heard = ledger.put(leaving(heard, ledger.version(process.slot), ledger.now))
    hear_of_reload(ledger, heard)
    if notice.ready and heard.state is State.STARTING and _waits_for_word(ledger, heard):
        became_ready(ledger, heard)


def _given_time(record: SlotRecord, until: Nanos) -> SlotRecord:
    """Put off the end of the time to start or to stop, as the process asked."""
    may = record.deadline is not None and record.state in _EXTENDABLE and not record.killed
    if not may or record.deadline is None:
        return record
    return replace(record, deadline=max(record.deadline, until))


def _waits_for_word(ledger: Ledger, record: SlotRecord) -> bool:
    spec = ledger.version(record.memory.slot)
    return spec is not None and spec.readiness.type is ReadyType.NOTIFY
