"""Let time pass: what becomes due by itself, and when something will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.issuing import sweep
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.taking import DEFAULT_READINESS, became_ready
from reconciler.model.event import Probe
from reconciler.model.observed import State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ReadyType
from reconciler.model.units import Nanos, seconds

PROBE_TIMEOUT = seconds(5)
LOST_AFTER = seconds(5)
"""How long the host may be out of sight before its processes count as unknown."""


def let_time_pass(ledger: Ledger) -> None:
    """Do what became due without any event."""
    for record in ledger.records():
        if record.state is State.STARTING:
            _look_for_readiness(ledger, record)
        elif record.process is not None:
            _see_it_end(ledger, record)
    _lose_the_unseen(ledger)


def _look_for_readiness(ledger: Ledger, record: SlotRecord) -> None:
    """Take a process as ready after its delay, or send the probe that is due."""
    process = record.process
    is_due = record.next_probe is not None and record.next_probe <= ledger.now
    if process is None or process.exit is not None or not is_due:
        return
    spec = ledger.spec(record.memory.slot.service)
    readiness = (spec.ready if spec else None) or DEFAULT_READINESS
    if spec is None or readiness.type is ReadyType.DELAY:
        became_ready(ledger, record)
        return
    serial = ledger.next_serial()
    again = Nanos(ledger.now + PROBE_TIMEOUT + readiness.interval)
    ledger.put(replace(record, probing=serial, next_probe=again))
    ledger.commands.append(
        Probe(
            serial=serial,
            slot=record.memory.slot,
            run=process.run,
            spec=spec,
            readiness=readiness,
            timeout=PROBE_TIMEOUT,
        )
    )


def _see_it_end(ledger: Ledger, record: SlotRecord) -> None:
    """Go after what outlives its main process, and tell of what outlives SIGKILL."""
    process = record.process
    if process is None or record.pending is not None:
        return
    is_overdue = record.deadline is not None and record.deadline <= ledger.now
    if record.killed and is_overdue and record.state is not State.UNKNOWN:
        reason = f"process {process.id.pid} does not end, not even by SIGKILL"
        ledger.move(
            replace(record, deadline=None), Signal.UNKILLABLE, reason, data={"pid": process.id.pid}
        )
        return
    if record.state is State.STOPPING and process.exit is not None and not record.swept:
        sweep(ledger, record)


def _lose_the_unseen(ledger: Ledger) -> None:
    """Call processes unknown once the host was out of sight for long."""
    lost_at = ledger.lost_at
    if ledger.host_seen or lost_at is None or ledger.now - lost_at < LOST_AFTER:
        return
    for record in ledger.records():
        if record.process is not None and record.state is not State.UNKNOWN:
            ledger.move(record, Signal.LOST, ledger.host_lost)


def next_wake(ledger: Ledger, look_every: Nanos) -> Nanos | None:
    """Give the next moment at which something becomes due; None if nothing will."""
    return min((at for at in _moments(ledger, look_every) if at > ledger.now), default=None)


def _moments(ledger: Ledger, look_every: Nanos) -> Iterator[Nanos]:
    if ledger.looking is not None:
        yield ledger.looking.overdue_at
    elif not ledger.host_seen:
        yield ledger.look_not_before
    if ledger.looked_at is not None:
        yield Nanos(ledger.looked_at + look_every)
    if not ledger.host_seen and ledger.lost_at is not None:
        yield Nanos(ledger.lost_at + LOST_AFTER)
    for record in ledger.records():
        yield from _moments_of(record)


def _moments_of(record: SlotRecord) -> Iterator[Nanos]:
    if record.deadline is not None:
        yield record.deadline
    if record.next_probe is not None:
        yield record.next_probe
    if record.pending is not None:
        yield record.pending.overdue_at
    if record.state is State.CRASHED and record.memory.trouble.retry_at is not None:
        yield record.memory.trouble.retry_at
