"""Decide about one slot: bring it up, keep it up, replace what runs in it, bring it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.conditions import describe, hopeless, may_come, restarted_needs, unmet
from reconciler.core.drift import repair_or_wait
from reconciler.core.reloading import reload_or_wait
from reconciler.core.replacing import Replacement, is_none_of_its_runs, replacements
from reconciler.core.resting import between_runs, unwell
from reconciler.core.rollout_words import why_as_it_is
from reconciler.core.watchdog import is_due, why_due
from reconciler.core.whys import why_given_up, why_start
from reconciler.core.wishes import (
    NO_PROCESS,
    UP,
    Board,
    Wish,
    errand_in_words,
    has_given_up,
    is_between_runs,
    is_clearing,
    is_done,
    is_live,
    is_prepared,
    left_behind,
)
from reconciler.model.observed import Role, State
from reconciler.model.plan import (
    Action,
    Hold,
    HoldCode,
    Kill,
    Restart,
    Start,
    Stop,
    Wait,
)
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ReadyType, ServiceSpec
from reconciler.model.units import Nanos, ServiceName

Step = Action | Hold | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The board, with what the whole plan has to agree on."""

    board: Board
    names: Sequence[ServiceName]
    """The services to decide about, needs before dependents; all others run as wanted."""
    replacing: Mapping[ServiceName, Replacement]
    ends_first: Mapping[ServiceName, tuple[ServiceName, ...]]
    """Dependents whose stop comes before that of their need; services that end only."""
    hopeless: frozenset[ServiceName]
    """Services that cannot come up by themselves."""


def set_up(board: Board, names: Sequence[ServiceName]) -> Desk:
    """Find out what all the steps of one plan have to agree on."""
    lost = hopeless(board, names)
    replacing = replacements(board, names, lost)
    return Desk(
        board=board,
        names=names,
        replacing=replacing,
        ends_first=_ends_first(board, names, replacing),
        hopeless=lost,
    )


def _ends_first(
    board: Board, names: Iterable[ServiceName], replacing: Mapping[ServiceName, Replacement]
) -> dict[ServiceName, tuple[ServiceName, ...]]:
    """Give, for each service that ends, the dependents that must have stopped before it stops.

    A dependent that does not end stands for the dependents behind it.
    """
    ending = {name for name in names if _is_ending(board, replacing, name)}
    first = {}
    for name in ending:
        todo, seen = [name], {name}
        before: set[ServiceName] = set()
        while todo:
            need = todo.pop()
            for dependent in board.layout.dependents[need]:
                # Within a knot no order is right, so it is that of the layout.
                is_behind = board.layout.place[dependent] > board.layout.place[need]
                if not is_behind or dependent in seen:
                    continue
                seen.add(dependent)
                (before.add if dependent in ending else todo.append)(dependent)
        first[name] = tuple(sorted(before))
    return first


def _is_ending(
    board: Board, replacing: Mapping[ServiceName, Replacement], name: ServiceName
) -> bool:
    """Tell whether a service has processes that this plan, or one before it, ends."""
    records = board.slots(name).values()
    if any(record.state is State.STOPPING for record in records):
        return True
    now, wish = board.situation.now, board.wishes[name]
    if any(_is_overdue(wish, record, now) or is_due(record, now) for record in records):
        return True
    if not any(is_live(record) and record.state is not State.UNKNOWN for record in records):
        return False
    replacement = replacing.get(name)
    if replacement is not None:
        return not replacement.blocked_by
    return not wish.runs and not wish.spared


# --- bringing down ---------------------------------------------------------------------------


def why_unwanted(board: Board, wish: Wish) -> str:
    """Say why a slot should be empty."""
    if board.situation.shutting_down:
        return "shutting down"
    if wish.is_gone:
        return "removed from the manifests"
    if not wish.runs:
        return wish.why_stopped
    return f"{wish.instances} {'instance is' if wish.instances == 1 else 'instances are'} wanted"


def bring_down(desk: Desk, wish: Wish, record: SlotRecord) -> Step:
    """Bring down a slot that is not wanted."""
    if record.process is not None and not record.killed:
        if desk.board.situation.hurry:
            return _kill(record, "shutting down at once")
        if wish.name in desk.board.situation.hurried:
            return _kill(record, "it is to stop at once")
    going = _going(desk.board.situation.now, wish.name, record)
    is_coming = record.process is None and record.state is State.STARTING
    if going is not None or wish.spared or (record.process is None and not is_coming):
        return going
    return Stop(
        slot=record.memory.slot,
        target=record.process.id if record.process is not None else NO_PROCESS,
        because=why_unwanted(desk.board, wish),
        after=() if wish.runs else _stopped_first(desk, wish.name),
    )


def _going(now: Nanos, service: ServiceName, record: SlotRecord) -> Step:
    """Wait for what is under way in a slot, and kill what does not end in time."""
    slot = record.memory.slot
    if record.pending is not None:
        return Hold(
            service=service,
            slot=slot,
            code=HoldCode.REFUSED if record.refused else HoldCode.AWAITING_ANSWER,
            because=record.refused or "the host was asked and has not answered yet",
            until=record.pending.overdue_at,
        )
    if record.state is State.UNKNOWN:
        because = record.reason or "what runs in its place cannot be told"
        return Hold(service=service, slot=slot, code=HoldCode.UNKILLABLE, because=because)
    is_parting = record.process is None and record.state is State.STOPPING
    if is_parting or (is_clearing(record) and record.state in (State.STOPPED, State.CRASHED)):
        words = [record.reason if record.state is State.CRASHED else "", errand_in_words(record)]
        because = "; ".join(filter(None, words)) or record.reason or "stopping"
        return Hold(service=service, slot=slot, code=HoldCode.STOPPING, because=because)
    if record.process is None or not _is_ending_slot(record):
        return None
    is_over = record.deadline is not None and record.deadline <= now
    if is_over and not record.killed and record.memory.occasion(Role.PRE_STOP) is None:
        return _kill(record, "it did not end within its stopTimeout")
    asked = "killed, waiting for its end" if record.killed else record.reason or "stopping"
    because = left_behind(record) or errand_in_words(record) or asked
    return Hold(
        service=service, slot=slot, code=HoldCode.STOPPING, because=because, until=record.deadline
    )


def _is_ending_slot(record: SlotRecord) -> bool:
    """Tell whether a slot's processes were asked to end: stopping, or swept after a death."""
    if record.state is State.STOPPING:
        return True
    return record.state in (State.STOPPED, State.CRASHED) and record.swept


def _kill(record: SlotRecord, because: str) -> Kill:
    assert record.process is not None
    return Kill(slot=record.memory.slot, target=record.process.id, because=because)


# --- keeping up ------------------------------------------------------------------------------


def keep_up(desk: Desk, wish: Wish, record: SlotRecord) -> Step:
    """Bring up a slot that is wanted, or keep it as it is."""
    going = _going(desk.board.situation.now, wish.name, record)
    if going is not None:
        return going
    if record.process is None and record.state is State.STARTING:
        return _go_on_starting(desk, wish, record)
    if record.process is None:
        return _start(desk, wish, record)
    if record.process.exit is not None:
        return Stop(
            slot=record.memory.slot,
            target=record.process.id,
            because="what its main process left behind must end first",
        )
    if is_due(record, desk.board.situation.now):
        because, target = why_due(record), record.process.id
        return Stop(slot=record.memory.slot, target=target, because=because, aborts=True)
    if _is_overdue(wish, record, desk.board.situation.now):
        return _start_failed(wish, record)
    if is_none_of_its_runs(desk.board, wish, record.process):
        because = "it runs on a schedule now"
        return Stop(slot=record.memory.slot, target=record.process.id, because=because)
    replacement = desk.replacing.get(wish.name)
    repair = repair_or_wait(wish, record, desk.board.situation.now)
    if replacement is None or record.memory.slot.index not in replacement.reasons:
        return repair or reload_or_wait(desk.board, wish, record) or unwell(wish, record)
    step = _replace(desk, wish, record, replacement)
    # What has to wait for its needs before it gives way works meanwhile.
    return step if isinstance(step, Restart) else repair or step


def _go_on_starting(desk: Desk, wish: Wish, record: SlotRecord) -> Step:
    """Start the service itself behind its preStart hooks, unless no such start is wanted now."""
    assert wish.spec is not None
    slot = record.memory.slot
    if record.memory.tried != wish.spec.digest:
        because = "its manifest changed while it was starting"
        return Stop(slot=slot, target=NO_PROCESS, because=because)
    if is_between_runs(record, wish.spec, desk.board.restart_before(wish.name)):
        because = "it runs on a schedule now"
        return Stop(slot=slot, target=NO_PROCESS, because=because)
    if not is_prepared(record, wish.spec):
        return None
    return _start_after(desk, wish, record, record.reason or "its preStart hooks are done")


def _is_overdue(wish: Wish, record: SlotRecord, now: Nanos) -> bool:
    """Tell whether a process that lives has not come up, or done its work, in its time.

    One that was to do its work has no such time where a service is to serve in its place: it is
    replaced, like any process of another version. One that said it stops is not waited for longer.
    """
    process = record.process
    if process is None or process.exit is not None or record.pending is not None:
        return False
    is_over = record.deadline is not None and record.deadline <= now
    is_old = wish.spec is not None and process.digest != wish.spec.digest
    serves = wish.spec is not None and not wish.spec.is_oneshot
    is_replaced = record.state in UP and is_old and serves and not process.notice.stopping
    return is_over and not is_replaced and record.state in (State.STARTING, *UP)


def _start_failed(wish: Wish, record: SlotRecord) -> Stop:
    assert record.process is not None
    assert wish.spec is not None
    goal = "done" if wish.spec.is_oneshot else "ready"
    words = record.probe_said or record.process.notice.status or _unsaid(wish.spec)
    said = f": {words}" if words else ""
    because = f"not {goal} within its startTimeout{said}"
    if record.state in UP and record.process.notice.stopping:
        because = "said STOPPING=1 and did not end within its stopTimeout"
    return Stop(
        slot=record.memory.slot,
        target=record.process.id,
        because=because,
        start_failed=True,
    )


def _unsaid(spec: ServiceSpec) -> str:
    """Give what was waited for in vain, where only the process itself could have said it."""
    is_by_notice = not spec.is_oneshot and spec.readiness.type is ReadyType.NOTIFY
    return "it sent no READY=1 to NOTIFY_SOCKET" if is_by_notice else ""


def _replace(desk: Desk, wish: Wish, record: SlotRecord, replacement: Replacement) -> Step:
    assert record.process is not None
    slot = record.memory.slot
    because = replacement.reasons[slot.index]
    if replacement.blocked_by:
        what = " and ".join(describe(desk.board, wait) for wait in replacement.blocked_by)
        return Hold(
            service=wish.name,
            slot=slot,
            code=HoldCode.DEPENDENCY_NOT_READY,
            because=f"{because}; runs on as it was, waiting for {what}",
            waiting_for=replacement.blocked_by,
        )
    after = _stopped_first(desk, wish.name)
    return Restart(slot=slot, target=record.process.id, because=because, after=after)


def _stopped_first(desk: Desk, name: ServiceName) -> tuple[Wait, ...]:
    return tuple(Wait(service=first, condition=None) for first in desk.ends_first.get(name, ()))


# --- starting --------------------------------------------------------------------------------


def _start(desk: Desk, wish: Wish, record: SlotRecord) -> Action | Hold:
    """Start an empty slot, unless there is a reason not to, or not yet."""
    assert wish.spec is not None
    reason = _may_not_start(desk.board, wish, wish.spec, record)
    if reason is not None:
        return reason
    because = why_start(desk.board, wish, wish.spec, record)
    if wish.rollout is not None:
        because = why_as_it_is(wish.rollout, record) or because
    return _start_after(desk, wish, record, because)


def _start_after(desk: Desk, wish: Wish, record: SlotRecord, because: str) -> Action | Hold:
    """Start as soon as all that comes first is there; hold where that cannot come."""
    slot = record.memory.slot
    waits = _start_waits(desk, wish)
    if not all(may_come(desk.board, wait, desk.hopeless) for wait in waits):
        what = " and ".join(describe(desk.board, wait) for wait in waits)
        return Hold(
            service=wish.name,
            slot=slot,
            code=HoldCode.DEPENDENCY_NOT_READY,
            because=f"waiting for {what}",
            waiting_for=waits,
        )
    return Start(slot=slot, because=because, after=waits)


def _listens_there(board: Board, spec: ServiceSpec) -> str:
    """Say which other service of ours still has an address of this one; empty where none has."""
    sockets = board.situation.sockets
    for one in spec.sockets:
        for name in sorted(sockets):
            if name != spec.name and one.listen in sockets[name]:
                return f"{one.listen} is held for the service {name}"
    return ""


def _may_not_start(board: Board, wish: Wish, spec: ServiceSpec, record: SlotRecord) -> Hold | None:
    """Give the reason why an empty slot stays empty, if there is one."""
    slot, memory = record.memory.slot, record.memory
    trouble = memory.trouble
    if is_between_runs(record, spec, board.restart_before(wish.name)):
        return between_runs(board, wish, spec, record)
    if other := _listens_there(board, spec):
        return Hold(service=wish.name, slot=slot, code=HoldCode.ADDRESS_TAKEN, because=other)
    if spec.awaits_port:
        because = "waits until a port is picked and written into its manifest (`port: auto`)"
        return Hold(service=wish.name, slot=slot, code=HoldCode.PORT_AWAITED, because=because)
    is_over = is_done(record, spec, board.restart_before(wish.name))
    if is_over and not restarted_needs(board, spec, memory.done_at or Nanos(0)):
        code = HoldCode.COMPLETED if spec.is_oneshot else HoldCode.EXITED
        because = record.reason or "ended well"
        return Hold(service=wish.name, slot=slot, code=code, because=because)
    if has_given_up(record, spec):
        return Hold(
            service=wish.name,
            slot=slot,
            code=HoldCode.GAVE_UP,
            because=f"{trouble.because}; {why_given_up(spec)}; mend: weaver start {wish.name}",
        )
    is_early = trouble.retry_at is not None and trouble.retry_at > board.situation.now
    if not is_early or memory.tried != spec.digest:
        return None
    for because, code in (
        (record.refused, HoldCode.REFUSED),
        (record.short, HoldCode.MEMORY_SHORT),
        (record.taken, HoldCode.ADDRESS_TAKEN),
    ):
        if because:
            until = trouble.retry_at
            return Hold(service=wish.name, slot=slot, code=code, because=because, until=until)
    count = f"failure {trouble.failures}, " if trouble.failures else ""
    return Hold(
        service=wish.name,
        slot=slot,
        code=HoldCode.BACKING_OFF,
        because=f"{trouble.because}; {count}waiting before the next start",
        until=trouble.retry_at,
    )


def _start_waits(desk: Desk, wish: Wish) -> tuple[Wait, ...]:
    """Give what a start waits for: needs that do not hold, and needs about to be replaced."""
    waits = list(unmet(desk.board, wish))
    waiting = {wait.service for wait in waits}
    for need in wish.needs:
        replacement = desk.replacing.get(need.service)
        if need.service not in waiting and replacement and not replacement.blocked_by:
            waits.append(Wait(service=need.service, condition=need.condition))
    return tuple(waits)
