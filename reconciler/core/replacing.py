"""Decide which running processes must give way to new ones, and which have to wait with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.core.conditions import may_come, unmet
from reconciler.core.drift import drift_of
from reconciler.core.remedies import why_replaced
from reconciler.core.rollout import why_rolled
from reconciler.core.watchdog import is_due
from reconciler.core.wishes import Board, Wish
from reconciler.model.observed import Process, State
from reconciler.model.plan import Wait
from reconciler.model.record import SlotRecord
from reconciler.model.spec import Need, OnRestart
from reconciler.model.units import Nanos, ServiceName

_REPLACEABLE = (State.STARTING, State.RUNNING, State.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The slots of one service whose processes are out of date."""

    reasons: Mapping[int, str] = field(default_factory=dict)
    blocked_by: tuple[Wait, ...] = ()
    """Needs that the new process would miss: the old one runs on until they hold."""


def replacements(
    board: Board, names: Iterable[ServiceName], lost: Collection[ServiceName]
) -> dict[ServiceName, Replacement]:
    """Give the replacements among these services, which come needs before dependents.

    A replacement is blocked while a need does not hold: the old process must not end before the
    new one could start. It also waits with a need that waits for its own, if that may come;
    `lost` are the services of which nothing more may come. What keeps an address that its new
    version leaves to one of its needs gives way at once: that need cannot start before.
    """
    found: dict[ServiceName, Replacement] = {}
    for name in names:
        wish = board.wishes[name]
        reasons = dict(_reasons(board, wish, found))
        if reasons:
            blocked_by = _blocked_by(board, wish, found, lost)
            found[name] = Replacement(reasons=reasons, blocked_by=blocked_by)
    return found


def _reasons(
    board: Board, wish: Wish, found: Mapping[ServiceName, Replacement]
) -> list[tuple[int, str]]:
    if not wish.runs or wish.spec is None:
        return []
    reasons = []
    for record in board.wanted_records(wish):
        process, spec = _replaceable(board, wish, record), wish.of(record.memory.slot.index).spec
        because = process and (
            _why(board, wish, record, process, found)
            or record.outgrown
            or (why_replaced(spec, record) if spec is not None else "")
        )
        if because:
            reasons.append((record.memory.slot.index, because))
    return reasons


def is_none_of_its_runs(board: Board, wish: Wish, process: Process) -> bool:
    """Tell whether a process is of a version of its service that had no schedule."""
    memory = board.situation.services.get(wish.name)
    timing = memory.timing if memory is not None else None
    if timing is None or wish.spec is None or wish.spec.schedule is None:
        return False
    is_older = process.started < (timing.runs_from or Nanos(0))
    return is_older and process.digest != wish.spec.digest


def _replaceable(board: Board, wish: Wish, record: SlotRecord) -> Process | None:
    """Give the slot's process if it is up and about: nothing pending, not ending, in time."""
    process = record.process
    is_late = record.deadline is not None and record.deadline <= board.situation.now
    is_late = is_late or is_due(record, board.situation.now)
    if is_late or board.is_haunted(record.memory.slot):
        return None
    if process is None or process.exit is not None or record.pending is not None:
        return None
    if is_none_of_its_runs(board, wish, process):
        # It ends without a successor, which comes at its time.
        return None
    drift = drift_of(record, wish.of(record.memory.slot.index).spec)
    if drift is not None and not drift.problem:
        # It is put right first: what is stopped by hand could not end, and its dependents wait.
        return None
    return process if record.state in _REPLACEABLE else None


def _why(
    board: Board,
    wish: Wish,
    record: SlotRecord,
    process: Process,
    found: Mapping[ServiceName, Replacement],
) -> str:
    """Say why a process must be replaced; empty when it need not be."""
    assert wish.spec is not None
    if wish.rollout is not None:
        own = wish.of(record.memory.slot.index)
        return why_rolled(wish.rollout, record) or _renews(board, own, process, found)
    # A run that was begun on a schedule is finished as it was begun.
    is_scheduled = wish.spec.schedule is not None
    if process.digest != wish.spec.digest and not is_scheduled:
        return "its manifest changed"
    memory = board.situation.services.get(wish.name)
    if memory and process.started < (memory.restart_before or Nanos(0)):
        return memory.restart_reason or "a restart was asked for"
    return _renews(board, wish, process, found)


def _renews(
    board: Board, wish: Wish, process: Process, found: Mapping[ServiceName, Replacement]
) -> str:
    """Say which need takes a process with it; empty when none does."""
    for need in wish.needs:
        if need.on_restart is OnRestart.RESTART:
            verb = _renewed(board, need, process, found)
            if verb:
                return f"needs {need.service}, which {verb} (onRestart: restart)"
    return ""


def _renewed(
    board: Board, need: Need, process: Process, found: Mapping[ServiceName, Replacement]
) -> str:
    """Say that a need was restarted after this process started, or is about to be.

    Where one instance after the other is replaced, that is so once, when all of them are.
    """
    needed = board.wishes.get(need.service)
    if needed is not None and needed.rollout is not None:
        return ""
    if need.service in found and not found[need.service].blocked_by:
        return "restarts"
    is_renewed = any(
        (record.memory.last_restart or Nanos(0)) > process.started
        for record in board.slots(need.service).values()
    )
    return "restarted" if is_renewed else ""


def _blocked_by(
    board: Board,
    wish: Wish,
    found: Mapping[ServiceName, Replacement],
    lost: Collection[ServiceName],
) -> tuple[Wait, ...]:
    waits = unmet(board, wish)
    waiting = {wait.service for wait in waits}
    for need in wish.needs:
        replacement = found.get(need.service)
        blocked_by = replacement.blocked_by if replacement else ()
        may_end = all(may_come(board, wait, lost) for wait in blocked_by)
        if blocked_by and may_end and need.service not in waiting:
            waits += (Wait(service=need.service, condition=need.condition),)
    return () if waits and _is_in_the_way(board, wish) else waits


def _is_in_the_way(board: Board, wish: Wish) -> bool:
    """Tell whether something that the new version needs waits for an address of the old one."""
    kept = {*board.situation.sockets.get(wish.name, ())}
    left = kept - (wish.spec.listens if wish.spec is not None else frozenset())
    return bool(left) and any(
        needed.spec is not None and needed.runs and not left.isdisjoint(needed.spec.listens)
        for needed in _below(board, wish)
    )


def _below(board: Board, wish: Wish) -> Iterator[Wish]:
    """Give everything that a service needs, directly or through others, itself left out."""
    seen = {wish.name}
    todo = [need.service for need in wish.needs]
    while todo:
        name = todo.pop()
        needed = board.wishes.get(name)
        if needed is not None and name not in seen:
            seen.add(name)
            todo += [need.service for need in needed.needs]
            yield needed
