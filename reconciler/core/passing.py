"""Let time pass: what becomes due by itself, and when something will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.answers import became_ready
from reconciler.core.errands import limit_of
from reconciler.core.healing import heal, is_astray
from reconciler.core.issuing import sweep
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal, follow
from reconciler.core.looking import LOOK_EVERY, put_off
from reconciler.core.reloads import end_reload
from reconciler.core.remedies import due_at
from reconciler.core.rolling import moments_of_rollouts
from reconciler.core.storms import MOST, WINDOW
from reconciler.core.strays import moments_of_strays
from reconciler.core.timing import moments_of_schedules
from reconciler.model.event import Probe
from reconciler.model.observed import State
from reconciler.model.record import Side, SlotRecord
from reconciler.model.spec import ReadyType
from reconciler.model.units import Nanos, seconds

PROBE_TIMEOUT = seconds(5)
LOST_AFTER = seconds(5)
"""How long the host may be out of sight before its processes count as unknown."""
OVERSLEPT = seconds(2)
"""Woken later than this, we were not running, and perhaps nobody was: the host slept."""


def let_time_pass(ledger: Ledger) -> None:
    """Do what became due without any event."""
    if not ledger.host_seen:
        _lose_the_unseen(ledger)
        return
    for record in ledger.timed_records():
        if record.state is State.STARTING:
            _look_for_readiness(ledger, record)
        elif record.process is not None:
            end_reload(ledger, record)
            _see_it_end(ledger, ledger.record(record.memory.slot))
        heal(ledger, ledger.record(record.memory.slot))


def make_up_for_sleep(ledger: Ledger) -> None:
    """Put off the deadlines of processes by the time in which they perhaps stood still as well."""
    if ledger.wake_at is not None and ledger.now - ledger.wake_at >= OVERSLEPT:
        put_off(ledger, Nanos(ledger.now - ledger.stepped_at))
        ledger.slept_at = ledger.now


def _look_for_readiness(ledger: Ledger, record: SlotRecord) -> None:
    """Take a process as ready after its delay, or send the probe that is due."""
    process = record.process
    is_due = record.next_probe is not None and record.next_probe <= ledger.now
    if process is None or process.exit is not None or not is_due:
        return
    spec = ledger.version(record.memory.slot)
    if spec is None or spec.readiness.type is ReadyType.DELAY:
        became_ready(ledger, record)
        return
    readiness = spec.readiness
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
            started=process.started,
        )
    )


def _see_it_end(ledger: Ledger, record: SlotRecord) -> None:
    """Go after what outlives its main process, and tell of what outlives SIGKILL."""
    process = record.process
    if process is None:
        return
    is_overdue = record.deadline is not None and record.deadline <= ledger.now
    if record.killed and is_overdue and record.pending is None:
        reason = f"process {process.id.pid} does not end, not even by SIGKILL"
        stuck = replace(record, deadline=None)
        ledger.move(stuck, Signal.UNKILLABLE, reason, data={"pid": process.id.pid})
        return
    is_left_over = record.state is State.STOPPING and process.exit is not None
    if is_left_over and record.pending is None and not (record.swept or record.killed):
        sweep(ledger, record)


def _lose_the_unseen(ledger: Ledger) -> None:
    """Call processes unknown once the host was out of sight for long."""
    lost_at = ledger.lost_at
    if lost_at is None or ledger.now - lost_at < LOST_AFTER:
        return
    for record in ledger.records():
        is_known = record.state is not follow(record.state, Signal.LOST)
        if record.process is not None and is_known:
            lost = replace(record, lost_in=record.state)
            moved = ledger.move(lost, Signal.LOST, ledger.host_lost)
            ledger.put(replace(moved, reason=record.reason))


def next_wake(ledger: Ledger) -> Nanos | None:
    """Give the next moment at which something becomes due; None if nothing will."""
    return min((at for at in _moments(ledger) if at > ledger.now), default=None)


def _moments(ledger: Ledger) -> Iterator[Nanos]:
    if ledger.is_unsettled:
        yield Nanos(ledger.now + 1)
    if ledger.looking is not None:
        yield ledger.looking.overdue_at
    elif not ledger.host_seen:
        yield ledger.look_not_before
    if ledger.looked_at is not None:
        yield Nanos(ledger.looked_at + LOOK_EVERY)
    yield from (one.ends_at for one in ledger.overlays.values())
    yield from moments_of_strays(ledger)
    if len(ledger.crash_restarts) >= MOST:
        yield Nanos(ledger.crash_restarts[0] + WINDOW)
    if ledger.host_seen:
        yield from moments_of_schedules(ledger)
        yield from moments_of_rollouts(ledger)
    if not ledger.host_seen and ledger.lost_at is not None:
        yield Nanos(ledger.lost_at + LOST_AFTER)
    for record in ledger.timed_records():
        yield from _moments_of(ledger, record)


def _moments_of(ledger: Ledger, record: SlotRecord) -> Iterator[Nanos]:
    if record.deadline is not None:
        yield record.deadline
    if record.watchdog_at is not None:
        yield record.watchdog_at
    if ledger.host_seen:
        yield from _moments_of_health(ledger, record)
    is_probed = record.state is State.STARTING and ledger.host_seen
    if record.next_probe is not None and is_probed:
        # It may have become due after this step had looked for what is due.
        yield Nanos(max(record.next_probe, ledger.now + 1))
    if record.pending is not None:
        yield record.pending.overdue_at
    if record.reloading is not None:
        yield record.reloading.until
    if record.drift is not None:
        yield record.drift.until
    for side in record.sides:
        yield from _moments_of_side(ledger, record, side)
    if record.process is None and record.memory.trouble.retry_at is not None:
        yield record.memory.trouble.retry_at


def _moments_of_health(ledger: Ledger, record: SlotRecord) -> Iterator[Nanos]:
    """Give when something is due about a degraded slot; what is late waits for another one."""
    spec = ledger.version(record.memory.slot)
    if is_astray(record, spec):
        # It came to be so after this step had looked for it.
        yield Nanos(ledger.now + 1)
    if spec is not None and record.state is State.DEGRADED:
        at = due_at(spec, record.memory)
        if at is not None:
            yield at


def _moments_of_side(ledger: Ledger, record: SlotRecord, side: Side) -> Iterator[Nanos]:
    if side.pending is not None:
        yield side.pending.overdue_at
    if side.deadline is not None:
        yield side.deadline
    limit = limit_of(ledger, record, side)
    if limit is not None:
        yield limit
