"""Bring second processes of a slot to their end: killed, waited for, and killed once more."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.ledger import Condemned, Ledger
from reconciler.model.event import SignalAnswered
from reconciler.model.observed import Look, Process
from reconciler.model.record import SlotRecord
from reconciler.model.units import Nanos, Serial, seconds

UNKILLABLE_AFTER = seconds(5)
"""A tree that outlives SIGKILL this long is not ours to end: it is shown, never doubled."""


def condemn(ledger: Ledger, stray: Process, serial: Serial) -> None:
    """Note that a stray was sent SIGKILL."""
    ledger.condemned[stray.run] = Condemned(
        pending=ledger.pending(serial), until=Nanos(ledger.now + UNKILLABLE_AFTER)
    )


def kill_answered(ledger: Ledger, event: SignalAnswered) -> None:
    """Give a stray its time to end from when it was killed; where it was not, look again."""
    for run, condemned in list(ledger.condemned.items()):
        if condemned.pending is None or condemned.pending.serial != event.serial:
            continue
        if event.problem:
            ledger.look_again = True
        else:
            until = Nanos(ledger.now + UNKILLABLE_AFTER)
            ledger.condemned[run] = Condemned(pending=None, until=until)


def most_likely_ours(record: SlotRecord, live: list[Process]) -> Process | None:
    """Give, of several live processes in one slot, the one we know; else the newest."""
    if not live:
        return None
    memory = record.memory
    known = (
        process
        for process in live
        if process.run == memory.ready_run or process.started == memory.newest
    )
    return next(known, live[-1])


def keep_strays(ledger: Ledger, look: Look, found: tuple[Process, ...]) -> None:
    """Know the second processes that a look shows, and those in slots that it is too old for.

    One that outlived its time, or may never have been sent SIGKILL, is killed once more.
    """
    alive = {process.run for process in look.processes if process.is_live}
    # Its slot may have been signalled in this very step, which makes no look too old.
    anew = {stray.run for stray in found}
    left = [stray for stray in ledger.strays if stray.run in alive - anew]
    kept = [stray for stray in left if ledger.record(stray.slot).touched >= look.serial]
    ledger.strays = (*kept, *found)
    waiting = {stray.run for stray in kept}
    ledger.condemned = {
        stray.run: condemned
        for stray in ledger.strays
        if (condemned := ledger.condemned.get(stray.run)) is not None
        and (stray.run in waiting or not _is_to_be_killed_again(condemned, look.serial, ledger.now))
    }


def _is_to_be_killed_again(condemned: Condemned, serial: Serial, now: Nanos) -> bool:
    if condemned.pending is not None:
        return condemned.pending.serial < serial
    return condemned.until <= now


def are_strays_over(ledger: Ledger) -> bool:
    """Tell whether every second process is gone, or is surely not ours to end."""
    for stray in ledger.strays:
        condemned = ledger.condemned.get(stray.run)
        if condemned is None or condemned.pending is not None or condemned.until > ledger.now:
            return False
    return True


def is_answer_overdue(ledger: Ledger) -> bool:
    """Tell whether it is time to look what became of a stray."""
    pending = (condemned.pending for condemned in ledger.condemned.values())
    return any(one is not None and one.overdue_at <= ledger.now for one in pending)


def moments_of_strays(ledger: Ledger) -> Iterator[Nanos]:
    """Give when something becomes due because of a stray."""
    for condemned in ledger.condemned.values():
        yield condemned.until if condemned.pending is None else condemned.pending.overdue_at
