"""Say until when a process has to be heard of: by its watchdog, and by what it announced."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.observed import State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, seconds

_UP = (State.RUNNING, State.DEGRADED)
_ALIVE = (State.STARTING, *_UP)
SLACK_PARTS = 20
"""A word may be this part of the timeout on its way, and a second at most."""
MOST_SLACK = seconds(1)


def grace(record: SlotRecord, now: Nanos) -> Nanos | None:
    """Give when a process has to be heard of if its time begins now; None where it need not be."""
    process = record.process
    if process is None or process.exit is not None or record.state not in _ALIVE:
        return None
    if process.notice.failed:
        return now
    timeout = process.notice.watchdog
    if not timeout or record.state not in _UP or process.notice.stopping:
        return None
    return Nanos(now + timeout + min(timeout // SLACK_PARTS, MOST_SLACK))


def fed(record: SlotRecord, before: SlotRecord, now: Nanos, woke: Nanos) -> Nanos | None:
    """Give when a process has to be heard of next, after it said something.

    What was said before the host slept counts from when it `woke`: nobody spoke in between.
    """
    due = grace(record, now)
    if due is None or record.process is None or before.process is None:
        return due
    notice, old = record.process.notice, before.process.notice
    if notice.failed or notice.watchdog != old.watchdog or before.watchdog_at is None:
        return due
    if notice.pinged == old.pinged:
        return before.watchdog_at
    return max(before.watchdog_at, Nanos(due - now + max(notice.pinged, woke)))


def unheard(record: SlotRecord, span: Nanos, now: Nanos) -> Nanos | None:
    """Give when a process has to be heard of, after a span in which perhaps nobody could hear it.

    Its silence before counts, or one that is out of sight now and then might be silent for ever.
    """
    if record.watchdog_at is None:
        return None
    # A word that waited meanwhile may still be on its way.
    return max(Nanos(record.watchdog_at + span), Nanos(now + MOST_SLACK))


def is_due(record: SlotRecord, now: Nanos) -> bool:
    """Tell whether a live process was not heard of in time."""
    process = record.process
    is_alive = process is not None and process.exit is None and record.state in _ALIVE
    at = record.watchdog_at
    return is_alive and at is not None and at <= now and record.pending is None


def leaving(record: SlotRecord, spec: ServiceSpec | None, now: Nanos) -> SlotRecord:
    """Give a process that said it stops its time to do so, once."""
    process = record.process
    if spec is None or spec.is_oneshot or process is None or not process.notice.stopping:
        return record
    if record.state not in _UP or record.deadline is not None or process.exit is not None:
        return record
    until = max(Nanos(now + spec.stop_timeout), process.notice.extended)
    return replace(record, deadline=until, watchdog_at=None)


def why_due(record: SlotRecord) -> str:
    """Say what the watchdog found."""
    notice = record.process.notice if record.process is not None else None
    if notice is not None and notice.failed:
        return "it said WATCHDOG=trigger"
    timeout = (notice.watchdog if notice is not None else 0) / 1_000_000_000
    return f"watchdog: no WATCHDOG=1 within {timeout:g} s"
