"""Decide what to do: a pure function from a situation to a plan.

A plan holds everything that leads to the desired state as far as it can be seen now. An action
with an empty `after` may be performed; what waits is decided again by the next plan. A restart is
planned whole and performed as a stop: once the slot is empty, the next plan starts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from reconciler.core.conditions import describe, may_come, unmet
from reconciler.core.replacing import Replacement, replacements
from reconciler.core.wishes import Board, Wish, arrange, is_done, is_live
from reconciler.model.observed import State
from reconciler.model.plan import (
    Action,
    Forget,
    Hold,
    HoldCode,
    Kill,
    Plan,
    Restart,
    Situation,
    Start,
    Stop,
    Update,
    Wait,
)
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.spec import OnRestart, ServiceSpec
from reconciler.model.units import Nanos, ServiceName

Step = Action | Hold | None


def plan(situation: Situation) -> Plan:
    """Give the actions that lead to the desired state, and a reason for every silence."""
    if _is_quiet(situation):
        return Plan()
    desk = _desk(arrange(situation))
    steps = [step for name in desk.board.order for step in _service_steps(desk, name)]
    steps += _strays(situation)
    return Plan(
        actions=_in_order([step for step in steps if not isinstance(step, Hold)]),
        holds=tuple(step for step in steps if isinstance(step, Hold)),
    )


def _is_quiet(situation: Situation) -> bool:
    """Tell quickly that every service runs just as wanted, so that idling costs nothing."""
    desired = situation.desired.services
    if situation.shutting_down or situation.strays or situation.prune is not None:
        return False
    if situation.services.keys() != desired.keys() or situation.slots.keys() != desired.keys():
        return False
    for name, wanted in desired.items():
        memory = situation.services[name]
        spec = wanted.spec
        if wanted.invalid or spec is None or spec is not memory.spec or not spec.wants_to_run:
            return False
        records = situation.slots[name]
        if memory.restart_before is not None or len(records) != spec.instances:
            return False
        for record in records.values():
            process = record.process
            if record.state is not State.RUNNING or process is None or process.exit is not None:
                return False
            if process.digest != spec.digest or record.pending or record.deadline is not None:
                return False
        if any(need.on_restart is OnRestart.RESTART for need in spec.needs):
            return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """The board, with what the whole plan has to agree on."""

    board: Board
    replacing: Mapping[ServiceName, Replacement]
    ends_first: Mapping[ServiceName, tuple[ServiceName, ...]]
    """Dependents whose stop comes before that of their need."""


def _desk(board: Board) -> _Desk:
    replacing = replacements(board)
    return _Desk(board=board, replacing=replacing, ends_first=_ends_first(board, replacing))


def _ends_first(
    board: Board, replacing: Mapping[ServiceName, Replacement]
) -> dict[ServiceName, tuple[ServiceName, ...]]:
    """Give, for each service, the dependents that must have stopped before it stops.

    A dependent without a process of its own stands for the dependents behind it.
    """
    first: dict[ServiceName, tuple[ServiceName, ...]] = {}
    for name in reversed(board.order):
        before: set[ServiceName] = set()
        for dependent in board.dependents[name]:
            if board.place[dependent] < board.place[name]:
                continue  # only within a knot, where no order is right
            if _is_ending(board, replacing, dependent):
                before.add(dependent)
            else:
                before.update(first[dependent])
        first[name] = tuple(sorted(before))
    return first


def _is_ending(
    board: Board, replacing: Mapping[ServiceName, Replacement], name: ServiceName
) -> bool:
    """Tell whether a service has processes that this plan, or one before it, ends."""
    records = board.slots(name).values()
    if any(record.state is State.STOPPING for record in records):
        return True
    if not any(is_live(record) and record.state is not State.UNKNOWN for record in records):
        return False
    replacement = replacing.get(name)
    return not board.wishes[name].runs or (replacement is not None and not replacement.blocked_by)


# --- one service -----------------------------------------------------------------------------


def _service_steps(desk: _Desk, name: ServiceName) -> Iterator[Action | Hold]:
    board = desk.board
    wish = board.wishes[name]
    yield from _service_holds(board, wish)
    memory = board.situation.services.get(name)
    if memory is not None and wish.spec is not None and wish.spec != memory.spec:
        yield _update(wish, memory)
    if wish.is_gone and memory is not None and not any(map(is_live, board.slots(name).values())):
        yield Forget(service=name, because=_why_unwanted(board, wish))
    unwanted = [
        record for index, record in sorted(board.slots(name).items()) if index >= wish.instances
    ]
    for record in unwanted:
        step = _end(desk, wish, record)
        if step is not None:
            yield step
    for record in board.wanted_records(wish):
        step = _keep_up(desk, wish, record)
        if step is not None:
            yield step


def _service_holds(board: Board, wish: Wish) -> Iterator[Hold]:
    if wish.is_invalid:
        faults = board.situation.desired.services[wish.name].invalid
        kept = "keeps its last good version" if wish.spec else "never had a good version"
        text = f"{faults[0].source}: {faults[0].message}" if faults else "its manifest is invalid"
        yield Hold(service=wish.name, code=HoldCode.INVALID_MANIFEST, because=f"{text} ({kept})")
    if wish.prune_held:
        prune = board.situation.prune
        yes = f"weaver prune approve {prune.id}" if prune else ""
        yield Hold(
            service=wish.name,
            code=HoldCode.PRUNE_HELD,
            because=f"removed from the manifests, but {wish.prune_held}; to agree: {yes}",
        )


def _update(wish: Wish, memory: ServiceMemory) -> Update:
    """Put a new version of a manifest into force; its processes are another step's matter."""
    assert wish.spec is not None
    changed = tuple(
        field.name
        for field in fields(ServiceSpec)
        if getattr(wish.spec, field.name) != getattr(memory.spec, field.name)
    )
    return Update(service=wish.name, fields=changed, because="its manifest changed")


def _why_unwanted(board: Board, wish: Wish) -> str:
    if board.situation.shutting_down:
        return "shutting down"
    if wish.is_gone:
        return "removed from the manifests"
    if not wish.runs:
        return "its manifest says stopped"
    return f"instances is {wish.instances} now"


# --- one slot --------------------------------------------------------------------------------


def _end(desk: _Desk, wish: Wish, record: SlotRecord) -> Step:
    """Bring down a slot that is not wanted."""
    if desk.board.situation.hurry and record.process is not None and not record.killed:
        return _kill(record, "shutting down at once")
    going = _going(desk.board.situation.now, wish.name, record)
    if going is not None or record.process is None:
        return going
    return Stop(
        slot=record.memory.slot,
        target=record.process.id,
        because=_why_unwanted(desk.board, wish),
        after=() if wish.runs else _stopped_first(desk, wish.name),
    )


def _keep_up(desk: _Desk, wish: Wish, record: SlotRecord) -> Step:
    """Bring up a slot that is wanted, or keep it as it is."""
    going = _going(desk.board.situation.now, wish.name, record)
    if going is not None:
        return going
    if record.process is None:
        return _start(desk, wish, record)
    if record.process.exit is not None:
        return Stop(
            slot=record.memory.slot,
            target=record.process.id,
            because="what its main process left behind must end first",
        )
    if record.deadline is not None and record.deadline <= desk.board.situation.now:
        return _start_failed(desk, wish, record)
    replacement = desk.replacing.get(wish.name)
    if replacement is None or record.memory.slot.index not in replacement.reasons:
        return None
    return _replace(desk, wish, record, replacement)


def _going(now: Nanos, service: ServiceName, record: SlotRecord) -> Step:
    """Wait for what is under way in a slot, and kill what does not end in time."""
    slot = record.memory.slot
    if record.pending is not None:
        return Hold(
            service=service,
            slot=slot,
            code=HoldCode.AWAITING_ANSWER,
            because="the host was asked and has not answered yet",
            until=record.pending.overdue_at,
        )
    if record.state is State.UNKNOWN:
        because = record.reason or "what runs in its place cannot be told"
        return Hold(service=service, slot=slot, code=HoldCode.UNKILLABLE, because=because)
    if record.process is None or not _is_ending_slot(record):
        return None
    if record.deadline is not None and record.deadline <= now and not record.killed:
        return _kill(record, "it did not end within its stopTimeout")
    because = "killed, waiting for its end" if record.killed else record.reason or "stopping"
    return Hold(
        service=service, slot=slot, code=HoldCode.STOPPING, because=because, until=record.deadline
    )


def _is_ending_slot(record: SlotRecord) -> bool:
    """Tell whether a slot's processes were asked to end: stopping, or swept after a death."""
    if record.state is State.STOPPING:
        return True
    return record.state in (State.STOPPED, State.CRASHED) and record.deadline is not None


def _kill(record: SlotRecord, because: str) -> Kill:
    assert record.process is not None
    return Kill(slot=record.memory.slot, target=record.process.id, because=because)


def _start_failed(desk: _Desk, wish: Wish, record: SlotRecord) -> Stop:
    assert record.process is not None
    assert wish.spec is not None
    goal = "done" if wish.spec.is_oneshot else "ready"
    said = f": {record.probe_said}" if record.probe_said else ""
    return Stop(
        slot=record.memory.slot,
        target=record.process.id,
        because=f"not {goal} within its startTimeout{said}",
        after=_stopped_first(desk, wish.name),
        start_failed=True,
    )


def _replace(desk: _Desk, wish: Wish, record: SlotRecord, replacement: Replacement) -> Step:
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


def _stopped_first(desk: _Desk, name: ServiceName) -> tuple[Wait, ...]:
    return tuple(Wait(service=first, condition=None) for first in desk.ends_first[name])


# --- starting --------------------------------------------------------------------------------


def _start(desk: _Desk, wish: Wish, record: SlotRecord) -> Action | Hold:
    """Start an empty slot, unless there is a reason not to, or not yet."""
    assert wish.spec is not None
    reason = _may_not_start(desk.board, wish, wish.spec, record)
    if reason is not None:
        return reason
    slot = record.memory.slot
    waits = _start_waits(desk, wish)
    if not all(may_come(desk.board, wait.service) for wait in waits):
        what = " and ".join(describe(desk.board, wait) for wait in waits)
        return Hold(
            service=wish.name,
            slot=slot,
            code=HoldCode.DEPENDENCY_NOT_READY,
            because=f"waiting for {what}",
            waiting_for=waits,
        )
    return Start(slot=slot, because=_why_start(wish.spec, record), after=waits)


def _may_not_start(board: Board, wish: Wish, spec: ServiceSpec, record: SlotRecord) -> Hold | None:
    """Give the reason why an empty slot stays empty, if there is one."""
    slot, memory = record.memory.slot, record.memory
    if is_done(record, spec, board.restart_before(wish.name)) and not _need_restarted(
        board, spec, memory.done_at or Nanos(0)
    ):
        code = HoldCode.COMPLETED if spec.is_oneshot else HoldCode.EXITED
        because = record.reason or "ended well"
        return Hold(service=wish.name, slot=slot, code=code, because=because)
    if record.state is not State.CRASHED or memory.tried != spec.digest:
        return None
    trouble = memory.trouble
    if trouble.gave_up:
        return Hold(
            service=wish.name,
            slot=slot,
            code=HoldCode.GAVE_UP,
            because=f"{trouble.because}; {_why_given_up(spec)}; mend: weaver start {wish.name}",
        )
    if trouble.retry_at is not None and trouble.retry_at > board.situation.now:
        return Hold(
            service=wish.name,
            slot=slot,
            code=HoldCode.BACKING_OFF,
            because=f"{trouble.because}; failure {trouble.failures}, waiting before the next start",
            until=trouble.retry_at,
        )
    return None


def _why_given_up(spec: ServiceSpec) -> str:
    if spec.restart.value == "never":
        return "restart is `never`"
    return (
        f"gave up after {spec.max_restarts} restarts" if spec.max_restarts else "maxRestarts is 0"
    )


def _need_restarted(board: Board, spec: ServiceSpec, since: Nanos) -> bool:
    """Tell whether a need with `onRestart: restart` was restarted after `since`."""
    return any(
        (record.memory.last_restart or Nanos(0)) > since
        for need in spec.needs
        if need.on_restart is OnRestart.RESTART
        for record in board.slots(need.service).values()
    )


def _start_waits(desk: _Desk, wish: Wish) -> tuple[Wait, ...]:
    """Give what a start waits for: needs that do not hold, and needs about to be replaced."""
    waits = list(unmet(desk.board, wish))
    waiting = {wait.service for wait in waits}
    for need in wish.needs:
        replacement = desk.replacing.get(need.service)
        if need.service not in waiting and replacement and not replacement.blocked_by:
            waits.append(Wait(service=need.service, condition=need.condition))
    return tuple(waits)


def _why_start(spec: ServiceSpec, record: SlotRecord) -> str:
    if record.memory.tried is not None and record.memory.tried != spec.digest:
        return "its manifest changed"
    if record.state is State.CRASHED and record.memory.trouble.because:
        return record.memory.trouble.because
    return "not running"


# --- the whole -------------------------------------------------------------------------------


def _strays(situation: Situation) -> Iterator[Action]:
    for stray in situation.strays:
        if stray.exit is None or not stray.tree_empty:
            yield Kill(slot=stray.slot, target=stray.id, because="a second process in this slot")


_RANK = {Kill: 0, Stop: 1, Update: 2, Restart: 3, Start: 3, Forget: 4}


def _in_order(actions: list[Action]) -> tuple[Action, ...]:
    """Order for reading: ends first, dependents before needs; then starts, needs first."""
    ends = [action for action in actions if isinstance(action, Kill | Stop)]
    rest = [action for action in actions if not isinstance(action, Kill | Stop)]
    ends.reverse()
    return tuple(
        sorted(ends, key=lambda action: _RANK[type(action)])
        + sorted(rest, key=lambda action: _RANK[type(action)])
    )
