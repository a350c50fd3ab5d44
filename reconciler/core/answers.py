"""Take in how commands were answered: starts, signals and readiness probes."""

from __future__ import annotations

from dataclasses import replace
from errno import EAGAIN, EMFILE, ENFILE, ENOMEM

from reconciler.core.drift import repair_answered
from reconciler.core.ends import catch_up, one_more_failure, tell_if_given_up
from reconciler.core.ledger import Data, Ledger
from reconciler.core.lifecycle import Signal
from reconciler.core.luck import fraction
from reconciler.core.occasions import due, without_occasion
from reconciler.core.reloads import reload_answered
from reconciler.core.strays import kill_answered
from reconciler.core.watchdog import grace, leaving
from reconciler.model.event import ProbeAnswered, SignalAnswered, Spawned, SpawnFailed
from reconciler.model.health import Verdict
from reconciler.model.observed import Process, Role, State
from reconciler.model.record import Pending, SlotMemory, SlotRecord
from reconciler.model.spec import DEFAULT_START_TIMEOUT, ReadyType, ServiceSpec
from reconciler.model.units import Nanos, in_seconds, seconds

BUSY_RETRY = seconds(1)
"""After the host refused a start because the slot is not empty."""
DEFAULT_DELAY = seconds(1)
DEFAULT_INTERVAL = seconds(0.25)
SCARCE = frozenset({EAGAIN, ENOMEM, EMFILE, ENFILE})
"""Errors of a start that say nothing about what was to be started."""
SCARCE_RETRY = seconds(5)
"""Until the next try then, and up to twice as long, so that not all try at once."""
REFUSED_RETRY = seconds(1)
"""After a hook of the host refused for the first time; each time twice as long."""
REFUSED_RETRY_MAX = seconds(10)
"""And no longer: while Weaver ends, a stop that was refused is waited for that long."""
UNDELIVERED_RETRY = seconds(1)
"""After a signal that could not be delivered, before we look and perhaps send it again."""
SHORT_RETRY = seconds(10)
"""After a start for which the host had too little memory."""
TAKEN_RETRY = seconds(2)
"""After a start for which somebody else's socket was in the way."""
AUTOMATIC = ("crash", "memory", "watchdog", "health")
"""Causes of a start that nobody asked for."""


def spawned(ledger: Ledger, event: Spawned) -> None:
    """Take a new process into its slot, unless nobody waits for it: then look at the host."""
    slot, run = event.process.slot, event.process.run
    record = ledger.record(slot)
    if record.process is not None and record.process.run == run:
        return
    if record.pending is not None and record.pending.serial == event.serial:
        settle_in(ledger, record, event.process)
        catch_up(ledger, slot, run)
    elif record.memory.ended != run:
        ledger.look_again = True


def as_said(ledger: Ledger, process: Process) -> Process:
    """Give a process with what it said of itself before its start or a look told of it."""
    early = ledger.early_notices.pop(process.run, None)
    if early is None or early.notice.at <= process.notice.at:
        return process
    return replace(process, id=early.id, notice=early.notice)


def settle_in(ledger: Ledger, record: SlotRecord, process: Process) -> None:
    """Put a started process into its slot and set the clock of its readiness."""
    process = as_said(ledger, process)
    record = ledger.tell_start(record)
    record = ledger.put(
        replace(
            record,
            memory=begun(record, process),
            process=process,
            pending=None,
            swept=False,
            killed=False,
            aborted=False,
            cause="",
            probe_said="",
            reloading=None,
            over="",
            outgrown="",
            verdict=Verdict.UNKNOWN,
            check_said="",
            check_told=None,
            is_check_bad=False,
            drift=None,
            refused="",
            refusals=0,
        )
    )
    # Its time begins when we hear of it: the host may have slept since it was started.
    await_ready(ledger, record, _since(ledger, record))


def _since(ledger: Ledger, record: SlotRecord) -> Nanos:
    """Give when the time of a start began: with its first hook, where it has any."""
    spec = ledger.version(record.memory.slot)
    if spec is None or spec.is_oneshot or record.deadline is None:
        return ledger.now
    return Nanos(record.deadline - (spec.start_timeout or DEFAULT_START_TIMEOUT))


def begun(record: SlotRecord, process: Process) -> SlotMemory:
    """Give the memory of a slot in which a new process has started."""
    memory = without_occasion(record, Role.PRE_START).memory
    is_first = record.cause == "start" or (not record.cause and memory.newest == 0)
    return replace(
        memory,
        restarts=memory.restarts + (1 if record.cause in AUTOMATIC else 0),
        last_restart=memory.last_restart if is_first else process.started,
        tried=process.digest,
        done=None,
        done_at=None,
        ready_run=None,
        proven=None,
        ill=None,
        remedy=replace(memory.remedy, well_since=None),
        reloaded_at=None,
        reload_failed="",
        newest=process.started,
        trouble=replace(memory.trouble, retry_at=None),
    )


def await_ready(ledger: Ledger, record: SlotRecord, since: Nanos) -> None:
    """Set when a starting process is asked whether it is ready, and until when it may take."""
    spec = ledger.version(record.memory.slot)
    process = record.process
    if process is None:
        return
    if spec is not None and spec.is_oneshot:
        # It is at work from the start; only its end says more.
        may_take = spec.start_timeout
        until = None if may_take is None else Nanos(since + may_take)
        became_ready(ledger, replace(record, deadline=until))
        return
    if spec is None or spec.readiness.type is ReadyType.DELAY:
        delay = DEFAULT_DELAY if spec is None else spec.readiness.delay
        at = Nanos(process.started + delay)
        ledger.put(replace(record, next_probe=at, probing=None, deadline=None))
        return
    limit = Nanos(since + (spec.start_timeout or DEFAULT_START_TIMEOUT))
    limit = max(limit, process.notice.extended)
    if spec.readiness.type is not ReadyType.NOTIFY:
        ledger.put(replace(record, next_probe=ledger.now, probing=None, deadline=limit))
        return
    # It says so itself, and perhaps has done so before we could hear of it.
    record = ledger.put(replace(record, next_probe=None, probing=None, deadline=limit))
    if process.notice.ready:
        became_ready(ledger, record)


def run_limit(spec: ServiceSpec, process: Process) -> Nanos | None:
    """Give when the whole run of a oneshot must be over, if it has a limit."""
    if not spec.is_oneshot or spec.start_timeout is None:
        return None
    return Nanos(process.started + spec.start_timeout)


def became_ready(ledger: Ledger, record: SlotRecord) -> None:
    """Note that a process proved ready."""
    spec = ledger.version(record.memory.slot)
    process = record.process
    if process is None:
        return
    memory = replace(record.memory, ready_run=process.run)
    is_oneshot = spec is not None and spec.is_oneshot
    record = replace(
        record,
        memory=memory,
        next_probe=None,
        probing=None,
        probe_said="",
        deadline=record.deadline if is_oneshot else None,
    )
    record = due(ledger, record, Role.POST_START)
    reason = "at work" if is_oneshot else _ready_after(ledger, process)
    # That a job is at work says no more than its start did, each time that its schedule has one.
    is_news = spec is None or spec.schedule is None
    told = {"pid": process.id.pid} if is_news else None
    moved = ledger.move(record, Signal.READY, reason, data=told)
    watched = replace(moved, watchdog_at=grace(moved, ledger.now))
    ledger.put(leaving(watched, spec, ledger.now))


def _ready_after(ledger: Ledger, process: Process) -> str:
    """Say how long a process took to be ready, where the clock can tell."""
    if process.started < ledger.slept_at:
        return "ready; the host slept meanwhile"
    return f"ready after {in_seconds(Nanos(max(0, ledger.now - process.started))):.1f} s"


def spawn_failed(ledger: Ledger, event: SpawnFailed) -> None:
    """Count a start that did not come to be as a failure of the service, but for a busy slot."""
    record = ledger.record(event.slot)
    is_awaited = record.pending is not None and record.pending.serial == event.serial
    if record.process is not None or not is_awaited:
        return
    # What was left of its time was this start's, not the next one's.
    record = replace(record, pending=None, deadline=None)
    if not event.is_refused:
        record = replace(record, refused="", refusals=0)
    if event.is_busy:
        _wait_for_room(ledger, record, event.because)
        return
    if event.is_short:
        _wait_for_memory(ledger, record, event.because)
        return
    if event.is_refused:
        _wait_for_leave(ledger, record, event.because)
        return
    if event.is_taken:
        _wait_for_address(ledger, record, event.because)
        return
    if event.errno in SCARCE:
        _wait_for_means(ledger, record, event)
        return
    data: Data = {"step": event.step, "errno": event.errno}
    start_failed(ledger, record, event.because, result="exec-failed", data=data)


def start_failed(
    ledger: Ledger, record: SlotRecord, because: str, *, result: str, data: Data
) -> None:
    """Count a start that came to nothing before its main process was there."""
    trouble = one_more_failure(ledger, record, because, uptime=Nanos(0))
    # The end of any process that was there before is old news by now.
    newest = max(record.memory.newest, record.since)
    # A try that failed is a restart as well, if it was one.
    restarts = record.memory.restarts + (record.cause in AUTOMATIC)
    memory = replace(record.memory, trouble=trouble, newest=newest, restarts=restarts)
    # Work that is to be done once more is not done, though it was before.
    memory = replace(memory, done=None, done_at=None)
    failed = replace(record, memory=memory, cause="", deadline=None)
    failed = without_occasion(failed, Role.PRE_START)
    for role in (Role.POST_STOP, Role.ON_FAILURE):
        failed = due(ledger, failed, role, result=result)
    tell_if_given_up(ledger, ledger.move(failed, Signal.EXEC_FAILED, because, data))


def _wait_for_room(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Try again soon to start into a slot that the host knows as taken; look at what is there."""
    retry_at = Nanos(ledger.now + BUSY_RETRY)
    trouble = replace(record.memory.trouble, retry_at=retry_at, because=because)
    memory = replace(record.memory, trouble=trouble)
    ledger.move(replace(record, memory=memory), Signal.REFUSED, because)
    ledger.look_again = True


def _wait_for_memory(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Try again later to start what may use more memory than the host has; told once."""
    what_it_needs = because.partition(",")[0]  # what is available changes from try to try
    if not record.memory.trouble.because.startswith(what_it_needs):
        ledger.tell("service.refused", slot=record.memory.slot, reason=because)
    retry_at = Nanos(ledger.now + SHORT_RETRY)
    trouble = replace(record.memory.trouble, retry_at=retry_at, because=because)
    memory = replace(record.memory, trouble=trouble)
    short = replace(record, memory=memory, short=because, put_off=True)
    ledger.move(short, Signal.REFUSED, because)


def _wait_for_address(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Try again soon to start what shall listen where somebody else does; told once."""
    if record.memory.trouble.because != because:
        ledger.tell("service.refused", slot=record.memory.slot, reason=because)
    retry_at = Nanos(ledger.now + TAKEN_RETRY)
    trouble = replace(record.memory.trouble, retry_at=retry_at, because=because)
    memory = replace(record.memory, trouble=trouble)
    taken = replace(record, memory=memory, taken=because, put_off=True)
    ledger.move(taken, Signal.REFUSED, because)


def _wait_for_leave(ledger: Ledger, record: SlotRecord, because: str) -> None:
    """Ask again later for a start that a hook of the host refused: no failure of the service."""
    record, retry_at = _refused(ledger, record, because)
    trouble = replace(record.memory.trouble, retry_at=retry_at, because=because)
    memory = replace(record.memory, trouble=trouble)
    ledger.move(replace(record, memory=memory, put_off=True), Signal.REFUSED, because)


def _refused(ledger: Ledger, record: SlotRecord, because: str) -> tuple[SlotRecord, Nanos]:
    """Note a refusal, told unless it is known already; give when to ask again, too."""
    slot = record.memory.slot
    if record.refused != because:
        ledger.tell("service.refused", slot=slot, reason=because)
    pause = min(REFUSED_RETRY * 2 ** min(record.refusals, 10), REFUSED_RETRY_MAX)
    spread = fraction(f"{slot}:{ledger.now}", ledger.seed)
    refused = replace(record, refused=because, refusals=record.refusals + 1)
    return refused, Nanos(ledger.now + round((1 + spread / 2) * pause))


def _wait_for_means(ledger: Ledger, record: SlotRecord, event: SpawnFailed) -> None:
    """Try again later what the host is too short of means for: no failure of the service."""
    because = f"{event.because}; the host is short of processes, memory or descriptors"
    if record.memory.trouble.because != because:
        ledger.tell(
            "service.refused",
            slot=record.memory.slot,
            reason=because,
            data={"step": event.step, "errno": event.errno},
        )
    spread = fraction(f"{record.memory.slot}:{ledger.now}", ledger.seed)
    retry_at = Nanos(ledger.now + round((1 + spread) * SCARCE_RETRY))
    trouble = replace(record.memory.trouble, retry_at=retry_at, because=because)
    memory = replace(record.memory, trouble=trouble)
    ledger.move(replace(record, memory=memory, put_off=True), Signal.REFUSED, because)


def signal_answered(ledger: Ledger, event: SignalAnswered) -> None:
    """Note that a signal was delivered; where it was not, wait a little and look what is there."""
    record = ledger.record(event.slot)
    if reload_answered(ledger, record, event) or repair_answered(ledger, record, event):
        return
    pending = record.pending
    if record.process is None or pending is None or pending.serial != event.serial:
        kill_answered(ledger, event)
        return
    if event.is_refused:
        record, again = _refused(ledger, record, event.problem)
        later = Pending(serial=event.serial, overdue_at=again)
        # Its time to end begins when it is asked to.
        ledger.put(replace(record, pending=later, deadline=None))
    elif event.problem:
        overdue_at = Nanos(min(pending.overdue_at, ledger.now + UNDELIVERED_RETRY))
        ledger.put(replace(record, pending=Pending(serial=event.serial, overdue_at=overdue_at)))
    else:
        deadline = _from_now(ledger, record.deadline, pending)
        ledger.put(replace(record, pending=None, deadline=deadline, refused="", refusals=0))


def _from_now(ledger: Ledger, deadline: Nanos | None, pending: Pending) -> Nanos | None:
    """Count the time to end from when the signal was delivered, however long that took."""
    return None if deadline is None else Nanos(deadline + ledger.waited(pending))


def probe_answered(ledger: Ledger, event: ProbeAnswered) -> None:
    """Take a starting process as ready, or note what it answered and ask again later."""
    record = ledger.record(event.slot)
    process = record.process
    if process is None or process.run != event.run or record.state is not State.STARTING:
        return
    if event.passed:
        # However late the answer is, this very process has proved ready.
        became_ready(ledger, record)
        return
    if record.probing != event.serial:
        return
    spec = ledger.version(event.slot)
    interval = DEFAULT_INTERVAL if spec is None else spec.readiness.interval
    ledger.put(
        replace(
            record,
            probing=None,
            probe_said=event.detail,
            next_probe=Nanos(ledger.now + interval),
        )
    )
