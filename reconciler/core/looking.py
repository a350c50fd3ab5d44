"""Compare a look at the host with what is known, and believe the host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.core.answers import (
    DEFAULT_DELAY,
    as_said,
    await_ready,
    begun,
    run_limit,
    settle_in,
)
from reconciler.core.backoff import ended_well
from reconciler.core.ends import catch_up, exited, found_again, tree_emptied
from reconciler.core.gone import unanswered, unseen
from reconciler.core.issuing import STOP_TIMEOUT, say_again
from reconciler.core.ledger import Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.noticing import heed
from reconciler.core.occasions import due
from reconciler.core.sides import (
    BEFORE_A_PROCESS,
    BESIDE_A_PROCESS,
    compare_sides,
    is_awaited,
    mains_of,
)
from reconciler.core.sockets import sockets_seen
from reconciler.core.strays import is_answer_overdue, keep_strays, most_likely_ours
from reconciler.core.watchdog import grace, leaving, unheard
from reconciler.model.event import Exited, HostLooked, HostLost, TreeEmptied
from reconciler.model.health import Verdict
from reconciler.model.observed import Exit, Look, Process, Role, Slot, State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ReadyType
from reconciler.model.units import Nanos, Serial, seconds

LOOK_EVERY = seconds(30)
"""The slow look: what no event told of is noticed by then."""
LOOK_PAUSE = seconds(0.2)
"""Before the first try to see a host that was lost; before each further one twice as long."""
LONGEST_LOOK_PAUSE = seconds(2)


def host_lost(ledger: Ledger, event: HostLost) -> None:
    """Stop acting until the host was looked at again."""
    if ledger.host_seen or ledger.lost_at is None:
        ledger.lost_at = ledger.now
    ledger.host_seen = False
    ledger.host_lost = event.because
    ledger.looking = None
    if ledger.now >= ledger.look_not_before:
        # Of one loss there may be several news at once.
        ledger.look_pause = Nanos(min(max(2 * ledger.look_pause, LOOK_PAUSE), LONGEST_LOOK_PAUSE))
    ledger.look_not_before = Nanos(ledger.now + ledger.look_pause)
    # What was asked for before the loss may still be answered, and shows what was before it.
    ledger.newest_look = ledger.serial


def look_is_due(ledger: Ledger) -> bool:
    """Tell whether it is time to look at the host."""
    waited = ledger.looking
    if waited is not None and waited.overdue_at <= ledger.now:
        ledger.looking, ledger.look_again = None, True
        waited = None
    if waited is not None or ledger.now < ledger.look_not_before:
        return False
    looked_at = ledger.looked_at
    is_old = looked_at is None or ledger.now - looked_at >= LOOK_EVERY
    if is_old or ledger.look_again or not ledger.host_seen or is_answer_overdue(ledger):
        return True
    records = ledger.timed_records()
    pending = [record.pending for record in records]
    pending += [side.pending for record in records for side in record.sides]
    return any(one is not None and one.overdue_at <= ledger.now for one in pending)


def has_heard_all(ledger: Ledger) -> bool:
    """Tell whether every end told so far was taken in, so that the host may forget it.

    A look that came too late to be believed may have shown ends that nothing else will tell of.
    """
    return ledger.host_seen and not ledger.early and ledger.unclaimed is None


def put_off(ledger: Ledger, span: Nanos) -> None:
    """Put off the deadlines of processes by a span that must not count."""
    for record in ledger.timed_records():
        deadline, pending = record.deadline, record.pending
        if deadline is not None:
            deadline = Nanos(deadline + span)
        watchdog_at = unheard(record, span, ledger.now)
        if pending is not None:
            pending = replace(pending, overdue_at=Nanos(pending.overdue_at + span))
        sides = tuple(
            side if side.deadline is None else replace(side, deadline=Nanos(side.deadline + span))
            for side in record.sides
        )
        later = replace(record, deadline=deadline, pending=pending, sides=sides)
        ledger.put(replace(later, watchdog_at=watchdog_at))
    if ledger.lost_at is not None:
        ledger.lost_at = Nanos(ledger.lost_at + span)


def host_looked(ledger: Ledger, event: HostLooked) -> None:
    """Bring every slot to what was found, but for slots touched after the look began."""
    every, look = event.look, replace(event.look, processes=mains_of(event.look))
    if look.serial <= ledger.newest_look:
        return
    _see(ledger, look.serial)
    sockets_seen(ledger, look)
    known = dict.fromkeys(record.memory.slot for record in ledger.records())
    known |= dict.fromkeys(ledger.remembered_slots)
    shown = {process.slot for process in look.processes}
    fresh = shown.difference(known)
    unclaimed = {slot for slot in fresh if ledger.version(slot) is None}
    rest = tuple(process for process in look.processes if process.slot in unclaimed)
    ledger.unclaimed = replace(look, processes=rest) if rest else None
    # No stop is over while a hook of it runs; no start goes on that another process has overtaken.
    compare_sides(ledger, every, BESIDE_A_PROCESS)
    found = _compare_all(ledger, look, [*known, *sorted(fresh - unclaimed)])
    keep_strays(ledger, look, found)
    ledger.forgotten = {slot: at for slot, at in ledger.forgotten.items() if slot in shown}
    ledger.dropped = {slot: at for slot, at in ledger.dropped.items() if at >= look.serial}
    compare_sides(ledger, every, BEFORE_A_PROCESS)
    # All other runs would have been met in this look.
    ledger.early = {
        run: early
        for run, early in ledger.early.items()
        if early.slot in unclaimed or is_awaited(ledger.record(early.slot), early)
    }
    ledger.early_notices = {
        run: early
        for run, early in ledger.early_notices.items()
        if ledger.record(early.slot).pending is not None
    }


def _see(ledger: Ledger, serial: Serial) -> None:
    """Note that the host is in sight."""
    ledger.newest_look = serial
    if ledger.looking is not None and serial >= ledger.looking.serial:
        ledger.looking = None
    if ledger.lost_at is not None:
        # Nobody was asked whether it is ready meanwhile, and perhaps nobody was told to stop.
        put_off(ledger, Nanos(ledger.now - ledger.lost_at))
    ledger.looked_at, ledger.look_pause = ledger.now, Nanos(0)
    ledger.host_seen, ledger.host_lost, ledger.lost_at = True, "", None


def claim(ledger: Ledger) -> None:
    """Take over what a look showed before it could be known what it belongs to."""
    look, ledger.unclaimed = ledger.unclaimed, None
    if look is not None:
        slots = {process.slot for process in look.processes}
        ledger.strays += _compare_all(ledger, look, sorted(slots))


def _compare_all(ledger: Ledger, look: Look, slots: Iterable[Slot]) -> tuple[Process, ...]:
    """Bring these slots to what was found, and give the processes that are one too many."""
    found: dict[Slot, list[Process]] = {}
    for process in look.processes:
        found.setdefault(process.slot, []).append(process)
    strays: list[Process] = []
    for slot in slots:
        record, processes = ledger.record(slot), found.get(slot, [])
        if record.touched < look.serial and not _is_as_known(record, processes):
            strays += _compare(ledger, record, processes, look.serial)
    return tuple(strays)


def _is_as_known(record: SlotRecord, processes: list[Process]) -> bool:
    """Tell quickly that a slot is as it was believed to be, as nearly all of them are."""
    process = record.process
    if process is None or record.pending is not None or record.lost_in is not None:
        return False
    return process.exit is None and len(processes) == 1 and processes[0] == process


def _compare(
    ledger: Ledger, record: SlotRecord, processes: list[Process], serial: Serial
) -> list[Process]:
    """Bring one slot to what was found in it; give the live processes that are one too many."""
    slot = record.memory.slot
    is_first = slot in ledger.remembered_slots
    if is_first:
        ledger.put(record)
    run = record.process.run if record.process else None
    others = sorted(
        (process for process in processes if process.run not in (run, record.memory.ended)),
        key=lambda process: (process.started, process.run),
    )
    ours = next((process for process in processes if process.run == run), None)
    if ours is not None:
        _still_there(ledger, record, ours)
    elif record.process is not None:
        _vanished(ledger, slot, record.process)
    live = [process for process in others if process.is_live]
    adopted = most_likely_ours(record, live)
    for process in others:
        # What came after one that lives on never was the slot's own process.
        is_own = adopted is None or process.started < adopted.started
        if not process.is_live and is_own:
            _hear_of_the_dead(ledger, slot, process)
    record = ledger.record(slot)
    if adopted is not None and record.process is None:
        live.remove(adopted)
        _adopt(ledger, record, adopted)
    elif record.process is None:
        unanswered(ledger, record, serial)
        if is_first and not processes and (gone := unseen(record.memory, ledger.now)) is not None:
            _hear_of_the_dead(ledger, slot, gone)
    return live


def _still_there(ledger: Ledger, record: SlotRecord, found: Process) -> None:
    """Catch up with a process we know: an answer may be lost, or its end be missed."""
    slot = record.memory.slot
    is_unanswered = record.pending is not None
    if is_unanswered or record.lost_in is not None:
        record = found_again(ledger, ledger.put(replace(record, pending=None)))
    if found.exit is not None:
        exited(ledger, Exited(slot=slot, run=found.run, exit=found.exit))
        if found.tree_empty:
            tree_emptied(ledger, TreeEmptied(slot=slot, run=found.run))
    elif (heard := ledger.record(slot)).process is not None:
        heed(ledger, heard, found.id, found.notice)
    record = ledger.record(slot)
    if is_unanswered and record.process is not None:
        say_again(ledger, record)


def _vanished(ledger: Ledger, slot: Slot, process: Process) -> None:
    """Take a process that the host knows nothing of as ended, nobody can say how."""
    end = process.exit or Exit(at=ledger.now, unknown=True)
    exited(ledger, Exited(slot=slot, run=process.run, exit=end))
    tree_emptied(ledger, TreeEmptied(slot=slot, run=process.run))


def _adopt(ledger: Ledger, record: SlotRecord, process: Process) -> None:
    """Take over a process that runs in our slot: started by us, be it in an earlier life."""
    process = as_said(ledger, process)
    slot, run = process.slot, process.run
    if record.process is None and record.state is State.STOPPING:
        # Whatever hooks its stop was still waiting for, the next process is there already.
        parted = replace(record, parting=None)
        record = ledger.move(parted, Signal.TREE_EMPTY, record.reason, record.parting or {})
    if record.memory.exited == run:
        # Only what its main process left behind is still there: the planner sweeps it.
        ledger.put(replace(record, process=process, pending=None))
        return
    alive = replace(process, exit=None, tree_empty=False)
    if record.pending is not None and record.state is State.STARTING:
        settle_in(ledger, record, alive)
    elif record.memory.asked == run:
        _go_on_stopping(ledger, record, alive, is_over=process.exit is not None)
    elif process.exit is not None:
        _put_back(ledger, record, alive, process.exit)
    else:
        _continue(ledger, record, alive)
    if process.exit is not None:
        exited(ledger, Exited(slot=slot, run=run, exit=process.exit))
    catch_up(ledger, slot, run)


def _go_on_stopping(ledger: Ledger, record: SlotRecord, process: Process, *, is_over: bool) -> None:
    """Bring to its end what an earlier daemon decided to stop; it may not have come to ask it."""
    found = replace(record, process=process, pending=None, swept=False, killed=False)
    data = {"pid": process.id.pid}
    moved = ledger.move(found, Signal.FOUND_STOPPING, "adopted, stopping", data=data)
    if is_over:
        return
    if moved.memory.occasion(Role.PRE_STOP) is None:
        say_again(ledger, moved)
        return
    spec = ledger.version(process.slot)
    patience = spec.stop_timeout if spec is not None else STOP_TIMEOUT
    ledger.put(replace(moved, deadline=Nanos(ledger.now + patience)))


def _put_back(ledger: Ledger, record: SlotRecord, process: Process, end: Exit) -> None:
    """Put a dead process into its slot as it was before its end, which is all there is to tell."""
    was_up = _has_proved_ready(ledger, record, process, end.at)
    state = State.RUNNING if was_up else State.STARTING
    ledger.put(replace(_taken_over(record, process), state=state, since=process.started))


def _continue(ledger: Ledger, record: SlotRecord, process: Process) -> None:
    """Go on with a process where it stands: ready if it once proved so, else still to prove."""
    spec = ledger.version(process.slot)
    is_ready = _has_proved_ready(ledger, record, process, ledger.now)
    record = _taken_over(record, process)
    data = {"pid": process.id.pid}
    if is_ready:
        # A run that was begun on a schedule is finished as it was begun, whatever is in force now.
        is_of_it = spec is not None and (spec.schedule or process.digest == spec.digest)
        limit = run_limit(spec, process) if spec is not None and is_of_it else None
        if record.memory.ready_run != process.run:
            record = due(ledger, record, Role.POST_START)
        memory = replace(record.memory, ready_run=process.run)
        running = replace(record, memory=memory, deadline=limit)
        is_ill = memory.ill is not None and memory.ill.run == process.run
        sign = Signal.FOUND_DEGRADED if is_ill else Signal.FOUND_RUNNING
        state = State.DEGRADED if is_ill else State.RUNNING
        moved = ledger.move(running, sign, f"adopted, {state}", data=data)
        watched = replace(moved, watchdog_at=grace(moved, ledger.now))
        ledger.put(leaving(watched, spec, ledger.now))
        return
    moved = ledger.move(record, Signal.FOUND_STARTING, "adopted, to prove ready", data=data)
    await_ready(ledger, moved, ledger.now)


def _taken_over(record: SlotRecord, process: Process) -> SlotRecord:
    """Give the record of a slot in which a process of an earlier daemon is found."""
    is_new = process.started > record.memory.newest
    return replace(
        record,
        memory=begun(record, process) if is_new else record.memory,
        process=process,
        pending=None,
        cause="",
        swept=False,
        killed=False,
        over="",
        outgrown="",
        drift=None,
        aborted=False,
        watchdog_at=None,
        verdict=Verdict.UNKNOWN,
        check_said="",
        check_told=None,
        is_check_bad=False,
    )


def _has_proved_ready(ledger: Ledger, record: SlotRecord, process: Process, until: Nanos) -> bool:
    """Tell whether a process was ready at some moment, as far as anybody can know."""
    if record.memory.ready_run == process.run:
        return True
    if process.id.pid == 0:
        # Of a start that was cut off nobody can say that it ever came to be.
        return False
    spec = ledger.version(process.slot)
    if spec is not None and spec.is_oneshot:
        return True
    kind = ReadyType.DELAY if spec is None else spec.readiness.type
    if kind is ReadyType.NOTIFY:
        return process.notice.ready
    delay = DEFAULT_DELAY if spec is None else spec.readiness.delay
    return kind is ReadyType.DELAY and until - process.started >= delay


def _hear_of_the_dead(ledger: Ledger, slot: Slot, process: Process) -> None:
    """Live through a run that came to its end while nobody listened, once."""
    record, spec = ledger.record(slot), ledger.version(slot)
    if spec is None or record.process is not None:
        return
    memory = record.memory
    is_stale = process.started < memory.newest or process.run in (memory.ended, memory.exited)
    # A run without a time is of an earlier boot of the host, which ended everything.
    if is_stale or process.started <= 0:
        return
    # What we did not start, or have forgotten, is no failure of ours; work that is done is done.
    end = process.exit
    is_work = spec.is_oneshot and process.digest == spec.digest and slot.index < spec.instances
    is_done = is_work and end is not None and ended_well(spec, end)
    is_ours = process.digest == memory.tried or process.run == memory.asked
    if not (is_ours or is_done):
        return
    _adopt(ledger, record, process)
    tree_emptied(ledger, TreeEmptied(slot=slot, run=process.run))
