"""Compare a look at the host with what is known, and believe the host."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.taking import await_ready, exited, settle_in, spawn_failed, tree_emptied
from reconciler.model.event import Exited, HostLooked, SpawnFailed, TreeEmptied
from reconciler.model.observed import Exit, Process, Slot, State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, Serial

_NO_ANSWER = "the start was not answered, and nothing was found of it"


def host_looked(ledger: Ledger, event: HostLooked) -> None:
    """Bring every slot to what was found, but for slots touched after the look began."""
    look = event.look
    if ledger.looking is not None and look.serial >= ledger.looking.serial:
        ledger.looking = None
    found: dict[Slot, list[Process]] = {}
    for process in look.processes:
        found.setdefault(process.slot, []).append(process)
    strays: list[Process] = []
    known = {record.memory.slot for record in ledger.records()}
    for slot in sorted(known.union(found, ledger.remembered_slots)):
        ledger.put(ledger.record(slot))
        if ledger.record(slot).touched < look.serial:
            strays += _compare(ledger, slot, found.get(slot, []), look.serial)
    ledger.strays = tuple(strays)
    ledger.looked_at = ledger.now
    ledger.host_seen, ledger.host_lost, ledger.lost_at = True, "", None


def _compare(ledger: Ledger, slot: Slot, processes: list[Process], serial: Serial) -> list[Process]:
    """Bring one slot to what was found in it; give the live processes that are one too many."""
    record = ledger.record(slot)
    run = record.process.run if record.process else None
    ours = next((process for process in processes if process.run == run), None)
    others = sorted(
        (p for p in processes if p.run not in (run, record.memory.ended)),
        key=lambda process: (process.started, process.run),
    )
    if ours is not None:
        _still_there(ledger, record, ours)
    elif record.process is not None:
        _vanished(ledger, slot, record.process)
    live = [process for process in others if process.is_live]
    for process in others:
        if not process.is_live:
            _hear_of_the_dead(ledger, slot, process)
    record = ledger.record(slot)
    if live and record.process is None:
        _adopt(ledger, record, live.pop())
    elif record.process is None:
        _unanswered(ledger, record, serial)
    return live


def _still_there(ledger: Ledger, record: SlotRecord, found: Process) -> None:
    """Catch up with a process we know: an answer may be lost, or its end be missed."""
    slot = record.memory.slot
    record = ledger.put(replace(record, pending=None))
    if record.state is State.UNKNOWN and found.exit is None and not record.killed:
        _continue(ledger, record, found)
    if found.exit is not None:
        exited(ledger, Exited(slot=slot, run=found.run, exit=found.exit))
        if found.tree_empty:
            tree_emptied(ledger, TreeEmptied(slot=slot, run=found.run))


def _vanished(ledger: Ledger, slot: Slot, process: Process) -> None:
    """Take a process that the host knows nothing of as ended, nobody can say how."""
    end = process.exit or Exit(at=ledger.now, unknown=True)
    exited(ledger, Exited(slot=slot, run=process.run, exit=end))
    tree_emptied(ledger, TreeEmptied(slot=slot, run=process.run))


def _adopt(ledger: Ledger, record: SlotRecord, process: Process) -> None:
    """Take over a process that runs in our slot: started by us, be it in an earlier life."""
    alive = replace(process, exit=None, tree_empty=False)
    if record.pending is not None and record.state is State.STARTING:
        settle_in(ledger, record, alive)
    elif record.memory.exited == process.run:
        # Only what its main process left behind is still there: the planner sweeps it.
        ledger.put(replace(record, process=process, pending=None))
        return
    else:
        record = ledger.put(replace(record, pending=None, swept=False, killed=False))
        _continue(ledger, record, alive)
    if process.exit is not None:
        exited(ledger, Exited(slot=process.slot, run=process.run, exit=process.exit))


def _continue(ledger: Ledger, record: SlotRecord, process: Process) -> None:
    """Go on with a process where it stands: ready if it once proved so, else still to prove."""
    spec = ledger.spec(process.slot.service)
    memory = replace(
        record.memory, tried=record.memory.tried or process.digest, newest=process.started
    )
    record = replace(record, process=process, memory=memory)
    if memory.ready_run == process.run or (spec is not None and spec.is_oneshot):
        running = replace(record, deadline=_limit(spec, process))
        ledger.move(running, Signal.FOUND_RUNNING, "adopted, running", data={"pid": process.id.pid})
        return
    moved = ledger.move(
        record, Signal.FOUND_STARTING, "adopted, to prove ready", data={"pid": process.id.pid}
    )
    await_ready(ledger, moved, ledger.now)


def _limit(spec: ServiceSpec | None, process: Process) -> Nanos | None:
    """Give when the whole run of a oneshot must be over, if it has a limit."""
    if spec is None or not spec.is_oneshot or spec.start_timeout is None:
        return None
    return Nanos(process.started + spec.start_timeout)


def _hear_of_the_dead(ledger: Ledger, slot: Slot, process: Process) -> None:
    """Live through a run that came to its end while nobody listened, once."""
    record = ledger.record(slot)
    memory = record.memory
    is_stale = process.started < memory.newest or process.run in (memory.ended, memory.exited)
    if is_stale or record.process is not None or process.exit is None:
        return
    _adopt(ledger, record, process)
    tree_emptied(ledger, TreeEmptied(slot=slot, run=process.run))


def _unanswered(ledger: Ledger, record: SlotRecord, serial: Serial) -> None:
    """Resolve a command whose answer was lost, now that the host shows no effect of it."""
    if record.pending is None or record.pending.serial >= serial:
        return
    if record.state is not State.STARTING:
        ledger.put(replace(record, pending=None))
        return
    spawn_failed(
        ledger,
        SpawnFailed(
            serial=record.pending.serial,
            slot=record.memory.slot,
            step="answer",
            errno=0,
            because=_NO_ANSWER,
        ),
    )
