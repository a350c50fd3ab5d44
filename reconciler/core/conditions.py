"""Judge what a service needs of others: does it hold now, may it come, and why not."""

from __future__ import annotations

from reconciler.core.wishes import Board, Wish, is_done, is_live, is_up
from reconciler.model.observed import State
from reconciler.model.plan import Wait
from reconciler.model.record import SlotRecord
from reconciler.model.spec import Condition, Need
from reconciler.model.units import ServiceName


def holds(board: Board, need: Need) -> bool:
    """Tell whether a need's condition holds now, of all its slots."""
    wish = board.wishes.get(need.service)
    if wish is None or wish.spec is None or not wish.runs or wish.instances == 0:
        return False
    return all(_slot_holds(board, wish, need.condition, r) for r in board.wanted_records(wish))


def _slot_holds(board: Board, wish: Wish, condition: Condition, record: SlotRecord) -> bool:
    assert wish.spec is not None
    done = is_done(record, wish.spec, board.restart_before(wish.name))
    match condition:
        case Condition.COMPLETED:
            return done
        case Condition.READY:
            # A oneshot is of use to others once its work is done.
            return done if wish.spec.is_oneshot else is_up(record)
        case Condition.STARTED:
            started = record.process is not None and record.state is not State.STOPPING
            return done or (started and record.process is not None and record.process.exit is None)


def unmet(board: Board, wish: Wish) -> tuple[Wait, ...]:
    """Give the conditions of a service's needs that do not hold now."""
    return tuple(
        Wait(service=need.service, condition=need.condition)
        for need in wish.needs
        if not holds(board, need)
    )


def may_come(board: Board, name: ServiceName) -> bool:
    """Tell whether a need can come to hold by itself, without anybody changing anything."""
    wish = board.wishes.get(name)
    if wish is None or not wish.runs or wish.spec is None:
        return False
    return not any(
        record.memory.trouble.gave_up and record.memory.tried == wish.spec.digest
        for record in board.wanted_records(wish)
    )


def describe(board: Board, wait: Wait) -> str:
    """Say why a wait is not over, naming what its service does instead.

    Words like `db to be ready (starting)`.
    """
    if wait.condition is None:
        return f"{wait.service} to stop"
    return f"{wait.service} to be {wait.condition} ({_present(board, wait.service)})"


def _present(board: Board, name: ServiceName) -> str:
    """Say in a few words what a need is up to."""
    wish = board.wishes.get(name)
    if wish is None or wish.is_gone:
        return "no manifest defines it"
    if wish.spec is None:
        return "its manifest is invalid"
    if not wish.runs:
        return "its manifest says stopped" if not board.situation.shutting_down else "shutting down"
    return _worst(board.wanted_records(wish))


def _worst(records: list[SlotRecord]) -> str:
    """Say what the slot says that is furthest from being up."""
    troubles = [record.memory.trouble for record in records if record.state is State.CRASHED]
    for trouble in sorted(troubles, key=lambda trouble: not trouble.gave_up):
        return f"{'gave up' if trouble.gave_up else 'crashed'}: {trouble.because}"
    for record in records:
        if record.probe_said and record.state is State.STARTING:
            return f"starting: {record.probe_said}"
    states = sorted({record.state.value for record in records if not is_up(record)})
    if not states:
        return "about to restart"
    if states == [State.STOPPED.value] and not any(is_live(record) for record in records):
        return "not started yet"
    return ", ".join(states)
