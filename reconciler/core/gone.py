"""Tell what became of runs that the host shows nothing of."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.answers import settle_in, spawn_failed
from reconciler.core.ends import catch_up
from reconciler.core.ledger import Ledger
from reconciler.model.event import SpawnFailed
from reconciler.model.observed import Exit, Process, ProcessId, Role, State
from reconciler.model.record import SlotMemory, SlotRecord
from reconciler.model.units import Digest, Nanos, Serial

NO_ANSWER = "the start was not answered, and nothing was found of it"
NOBODY = ProcessId(boot="", pid=0, born=0)


def unseen(memory: SlotMemory, now: Nanos) -> Process | None:
    """Give the run that was ready once and that no end is known of; None: there is none.

    Its end was told to a holder that died with its journal, or to nobody.
    """
    run = memory.ready_run
    if run is None or memory.tried is None or run in (memory.exited, memory.ended):
        return None
    return Process(
        slot=memory.slot,
        id=NOBODY,
        run=run,
        digest=memory.tried,
        started=memory.newest,
        exit=Exit(at=now, unknown=True),
        tree_empty=True,
    )


def unanswered(ledger: Ledger, record: SlotRecord, serial: Serial) -> None:
    """Resolve a command whose answer was lost, now that the host shows no effect of it."""
    pending, slot = record.pending, record.memory.slot
    if pending is None or pending.serial >= serial:
        return
    if record.state is not State.STARTING:
        ledger.put(replace(record, pending=None))
        return
    runs = [
        run for run, early in ledger.early.items() if early.slot == slot and early.role is Role.MAIN
    ]
    if runs:
        run = runs[-1]
        # Its end was told and its start was not: it was there, and the host has forgotten it.
        gone = Process(
            slot=slot,
            id=NOBODY,
            run=run,
            digest=record.memory.tried or Digest(""),
            started=record.since,
        )
        settle_in(ledger, record, gone)
        ledger.early[run] = replace(ledger.early[run], is_empty=True)
        catch_up(ledger, slot, run)
        return
    failure = SpawnFailed(
        serial=pending.serial, slot=slot, step="answer", errno=0, because=NO_ANSWER
    )
    spawn_failed(ledger, failure)
