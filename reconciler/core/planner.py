"""Decide what to do: a pure function from a situation to a plan.

A plan holds everything that leads to the desired state as far as it can be seen now. An action
with an empty `after` may be performed; what waits is decided again by the next plan. A restart is
planned whole and performed as a stop: once the slot is empty, the next plan starts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from reconciler.core.quiet import restless
from reconciler.core.rollout import next_moment
from reconciler.core.rollout_words import told
from reconciler.core.storms import in_turn
from reconciler.core.upkeep import Desk, Step, bring_down, keep_up, set_up, why_unwanted
from reconciler.core.wishes import Board, Layout, Wish, arrange
from reconciler.model.observed import Process, Slot
from reconciler.model.plan import (
    Action,
    Forget,
    Hold,
    HoldCode,
    Kill,
    Plan,
    Reload,
    Repair,
    Restart,
    Situation,
    Start,
    Stop,
    Update,
)
from reconciler.model.record import ServiceMemory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName


def plan(situation: Situation, layout: Layout | None = None) -> Plan:
    """Give the actions that lead to the desired state, and a reason for every silence.

    `layout` is that of an earlier plan, taken again where it still holds; it changes nothing but
    the time this takes.
    """
    names = restless(situation)
    if not names and not situation.strays:
        return Plan()
    board = arrange(situation, layout)
    names |= {stray.slot.service for stray in board.live_strays}.intersection(board.wishes)
    desk = set_up(board, sorted(names, key=board.layout.place.__getitem__))
    steps = [step for name in desk.names for step in _service_steps(desk, name)]
    steps = [*in_turn(board, steps), *_strays(board)]
    return Plan(
        actions=_in_order([step for step in steps if not isinstance(step, Hold)]),
        holds=tuple(step for step in steps if isinstance(step, Hold)),
    )


def _service_steps(desk: Desk, name: ServiceName) -> Iterator[Action | Hold]:
    board = desk.board
    wish = board.wishes[name]
    yield from _service_holds(board, wish)
    memory = board.situation.services.get(name)
    if memory is not None and wish.spec is not None and wish.spec != memory.spec:
        yield _update(wish, memory)
    if memory is not None and _may_be_forgotten(board, wish):
        yield Forget(service=name, because=why_unwanted(board, wish))
    records = sorted(board.slots(name).items())
    for record, step in (
        *((one, bring_down(desk, wish, one)) for index, one in records if index >= wish.instances),
        *(
            (one, keep_up(desk, wish.of(i), one))
            for i, one in enumerate(board.wanted_records(wish))
        ),
    ):
        kept = _unless_haunted(board, record.memory.slot, step)
        if kept is not None:
            yield kept


def _unless_haunted(board: Board, slot: Slot, step: Step) -> Step:
    """Give a step for a slot, or wait with it for the end of a second process in there."""
    strays = [stray for stray in board.live_strays if stray.slot == slot]
    if not strays or isinstance(step, Hold | Kill):
        return step
    if isinstance(step, Stop) and all(_is_condemned(board.situation, one) for one in strays):
        return step
    pids = ", ".join(str(stray.id.pid) for stray in strays)
    return Hold(
        service=slot.service,
        slot=slot,
        code=HoldCode.STOPPING,
        because=f"a second process in its place must end (pid {pids})",
    )


def _may_be_forgotten(board: Board, wish: Wish) -> bool:
    """Tell whether a service is over; at a shutdown nobody says that it will not come again."""
    if not wish.is_gone or board.situation.shutting_down:
        return False
    return board.is_empty(wish.name)


def _service_holds(board: Board, wish: Wish) -> Iterator[Hold]:
    if wish.is_invalid:
        faults = board.situation.desired.services[wish.name].invalid
        kept = "keeps its last good version" if wish.spec else "never had a good version"
        text = f"{faults[0].source}: {faults[0].message}" if faults else "its manifest is invalid"
        yield Hold(service=wish.name, code=HoldCode.INVALID_MANIFEST, because=f"{text} ({kept})")
    elif wish.spared:
        yield Hold(service=wish.name, code=HoldCode.INVALID_MANIFEST, because=wish.spared)
    if wish.runs and wish.name in board.situation.noisy:
        because = board.situation.noisy[wish.name]
        yield Hold(service=wish.name, code=HoldCode.WATCH_HELD, because=because)
    if wish.runs and wish.rollout is not None:
        code, because = told(wish.rollout)
        until = next_moment(wish.rollout, board.slots(wish.name), board.situation.now)
        yield Hold(service=wish.name, code=code, because=because, until=until)
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


def _strays(board: Board) -> Iterator[Action]:
    for stray in board.live_strays:
        # Alone in its slot it is no second one: the next look makes it the slot's own.
        is_second = board.record(stray.slot.service, stray.slot.index).process is not None
        if is_second and not _is_condemned(board.situation, stray):
            yield Kill(slot=stray.slot, target=stray.id, because="a second process in this slot")


def _is_condemned(situation: Situation, stray: Process) -> bool:
    """Tell whether a stray was killed already, and has to be waited for."""
    return stray.run in situation.condemned


_RANK = {Kill: 0, Stop: 1, Update: 2, Repair: 2, Reload: 3, Restart: 4, Start: 4, Forget: 5}


def _in_order(actions: list[Action]) -> tuple[Action, ...]:
    """Order for reading: ends first, dependents before needs; then starts, needs first."""
    ends = [action for action in actions if isinstance(action, Kill | Stop)]
    rest = [action for action in actions if not isinstance(action, Kill | Stop)]
    ends.reverse()
    return tuple(
        sorted(ends, key=lambda action: _RANK[type(action)])
        + sorted(rest, key=lambda action: _RANK[type(action)])
    )
