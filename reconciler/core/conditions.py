"""Judge what a service needs of others: does it hold now, may it come, and why not."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.core.remedies import is_past_help
from reconciler.core.wishes import (
    Board,
    Wish,
    has_given_up,
    is_between_runs,
    is_done,
    is_live,
    is_up,
)
from reconciler.model.observed import State
from reconciler.model.plan import Wait
from reconciler.model.record import SlotRecord
from reconciler.model.spec import Condition, Need, OnRestart, ServiceSpec
from reconciler.model.units import Nanos, ServiceName

_GOING = (State.STOPPING, State.UNKNOWN)


def holds(board: Board, need: Need) -> bool:
    """Tell whether a need keeps nobody waiting: its condition holds, or it may go without."""
    return is_there(board, need) or (not need.required and _is_out_of_reach(board, need))


def _is_out_of_reach(board: Board, need: Need) -> bool:
    """Tell whether nobody wants what is needed to run, or it does not come by itself."""
    wish = board.wishes.get(need.service)
    if wish is None or wish.spec is None or not wish.instances:
        return True
    records = board.wanted_records(wish)
    if any(has_given_up(record, wish.spec) for record in records):
        return True
    asked = board.restart_before(wish.name)
    is_checked = need.condition is Condition.HEALTHY
    if is_checked and any(is_past_help(wish.spec, record) for record in records):
        return True
    is_served = need.condition in (Condition.READY, Condition.HEALTHY)
    if is_served and any(is_done(record, wish.spec, asked) for record in records):
        return True
    return any(record.process is None for record in records) and _waits_in_vain(board, wish)


def _waits_in_vain(board: Board, wish: Wish) -> bool:
    """Tell whether what has to be there first is out of reach itself."""
    place = board.layout.place
    return any(
        need.required
        # Of those that need each other none is asked twice.
        and place.get(need.service, -1) < place[wish.name]
        and not is_there(board, need)
        and _is_out_of_reach(board, need)
        for need in wish.needs
    )


def is_there(board: Board, need: Need) -> bool:
    """Tell whether a need's condition holds now, of all its slots."""
    wish = board.wishes.get(need.service)
    if wish is None or wish.spec is None or not wish.runs or wish.instances == 0:
        return False
    found = [_slot_holds(board, wish, need.condition, r) for r in board.wanted_records(wish)]
    # While one slot after the other is replaced, the others serve.
    return any(found) if wish.rollout is not None else all(found)


def _slot_holds(board: Board, wish: Wish, condition: Condition, record: SlotRecord) -> bool:
    assert wish.spec is not None
    done = is_done(record, wish.spec, board.restart_before(wish.name))
    match condition:
        case Condition.COMPLETED:
            return done
        case Condition.READY:
            # A oneshot is of use to others once its work is done.
            return done if wish.spec.is_oneshot else is_up(record)
        case Condition.HEALTHY:
            is_well = is_up(record) and has_been_well(wish, record)
            return done if wish.spec.is_oneshot else is_well
        case Condition.STARTED:
            process = record.process
            is_there = process is not None and process.exit is None
            return done or (is_there and record.state not in _GOING)


def has_been_well(wish: Wish, record: SlotRecord) -> bool:
    """Tell whether the check of what runs has passed since its start; no check is no obstacle."""
    process = record.process
    is_checked = wish.spec is not None and wish.spec.health is not None
    return not is_checked or (process is not None and record.memory.proven == process.run)


def unmet(board: Board, wish: Wish) -> tuple[Wait, ...]:
    """Give the conditions of a service's needs that it has to wait for now."""
    return tuple(_wait(need) for need in wish.needs if not holds(board, need))


def lacking(board: Board, wish: Wish) -> tuple[Wait, ...]:
    """Give the conditions that do not hold now, be it that nobody has to wait for them."""
    return tuple(_wait(need) for need in wish.needs if not is_there(board, need))


def _wait(need: Need) -> Wait:
    return Wait(service=need.service, condition=need.condition)


def restarted_needs(board: Board, spec: ServiceSpec, since: Nanos) -> list[ServiceName]:
    """Give the needs with `onRestart: restart` that were restarted after `since`."""
    return [
        need.service
        for need in spec.needs
        if need.on_restart is OnRestart.RESTART
        and any(
            (record.memory.last_restart or Nanos(0)) > since
            for record in board.slots(need.service).values()
        )
    ]


def hopeless(board: Board, names: Iterable[ServiceName]) -> frozenset[ServiceName]:
    """Give the services that cannot come up by themselves, whatever time passes.

    `names` are in order, needs before dependents; whatever is not among them runs as wanted.
    """
    found: set[ServiceName] = set()
    for name in names:
        if _is_hopeless(board, board.wishes[name], found):
            found.add(name)
    return frozenset(found)


def _is_hopeless(board: Board, wish: Wish, found: Collection[ServiceName]) -> bool:
    spec = wish.spec
    if spec is None or not wish.runs:
        return True
    return any(_is_lost(board, wish, spec, r, found) for r in board.wanted_records(wish))


def _is_lost(
    board: Board,
    wish: Wish,
    spec: ServiceSpec,
    record: SlotRecord,
    found: Collection[ServiceName],
) -> bool:
    if record.state is State.UNKNOWN or has_given_up(record, spec):
        return True
    if is_done(record, spec, board.restart_before(wish.name)):
        return False
    process = record.process
    is_waiting = process is None or (spec.is_oneshot and process.digest != spec.digest)
    if record.pending is not None or not is_waiting:
        return False
    return not all(may_come(board, wait, found) for wait in unmet(board, wish))


def may_come(board: Board, wait: Wait, lost: Collection[ServiceName]) -> bool:
    """Tell whether a wait can be over without anybody changing anything."""
    wish = board.wishes.get(wait.service)
    if wish is None or wish.spec is None or not wish.runs or wait.service in lost:
        return False
    asked = board.restart_before(wish.name)
    if any(is_between_runs(one, wish.spec, asked) for one in board.wanted_records(wish)):
        # The next scheduled time may be a year away.
        return all(one.process is not None for one in board.wanted_records(wish))
    match wait.condition:
        case Condition.COMPLETED:
            return wish.spec.is_oneshot
        case Condition.READY | Condition.HEALTHY if not wish.spec.is_oneshot:
            return not any(is_done(r, wish.spec, asked) for r in board.wanted_records(wish))
        case _:
            return True


def describe(board: Board, wait: Wait) -> str:
    """Say why a wait is not over, naming what its service does instead.

    Words like `db to be ready (starting)`.
    """
    if wait.condition is None:
        return f"{wait.service} to stop"
    return f"{wait.service} to be {wait.condition} ({instead(board, wait)})"


def instead(board: Board, wait: Wait) -> str:
    """Say in a few words what a service does while a condition of it does not hold."""
    is_unproven = wait.condition is Condition.HEALTHY and _unproven(board, wait.service)
    return is_unproven or present(board, wait.service)


def _unproven(board: Board, name: ServiceName) -> str:
    """Say what the check says of a service that is up and was not well yet; empty if not so."""
    wish = board.wishes.get(name)
    records = board.wanted_records(wish) if wish is not None else []
    if wish is None or not all(map(is_up, records)):
        return ""
    found = [one for one in records if not has_been_well(wish, one)]
    said = [one.check_said or (one.memory.ill.because if one.memory.ill else "") for one in found]
    return next(filter(None, said), "not checked yet") if found else ""


def present(board: Board, name: ServiceName) -> str:
    """Say in a few words what a service is up to that others wait for."""
    wish = board.wishes.get(name)
    if wish is None or wish.is_gone:
        return "no manifest defines it"
    if wish.spec is None:
        return "its manifest is invalid"
    if not wish.runs:
        return wish.why_stopped if not board.situation.shutting_down else "shutting down"
    records = board.wanted_records(wish)
    if wish.spec.is_oneshot and any(map(is_up, records)):
        return "at work"
    return _worst(records)


def _worst(records: list[SlotRecord]) -> str:
    """Say what the slot says that is furthest from being up."""
    troubles = [record.memory.trouble for record in records if record.state is State.CRASHED]
    for trouble in sorted(troubles, key=lambda trouble: not trouble.gave_up):
        what = "gave up" if trouble.gave_up else "crashed"
        return f"{what}: {trouble.because}" if trouble.because else what
    for record in records:
        if record.probe_said and record.state is State.STARTING:
            return f"starting: {record.probe_said}"
    states = sorted({record.state.value for record in records if not is_up(record)})
    if not states:
        return "about to restart"
    if states == [State.STOPPED.value] and not any(is_live(record) for record in records):
        return "not started yet" if all(r.memory.tried is None for r in records) else "stopped"
    return ", ".join(states)
