"""Tell when a running service loses something it needs, and when it has it again."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.conditions import instead, lacking
from reconciler.core.ledger import Ledger
from reconciler.core.wishes import Board, is_up
from reconciler.model.observed import State
from reconciler.model.plan import Wait
from reconciler.model.units import ServiceName


def tell_of_needs(ledger: Ledger, board: Board, updated: Iterable[ServiceName]) -> None:
    """Tell what the dependents of all that changed in this step lost, and have again.

    Lost is only what was there while the dependent ran; a oneshot that is done once more is not.
    """
    changed = {transition.slot.service for transition in ledger.transitions}
    changed.update(ledger.proved)
    ledger.proved.clear()
    concerned = changed.union(updated).intersection(board.wishes)
    for name in list(concerned):
        concerned.update(board.layout.dependents[name])
    for name in sorted(concerned):
        _tell(ledger, board, name)


def _tell(ledger: Ledger, board: Board, name: ServiceName) -> None:
    had = ledger.had.pop(name, frozenset())
    missing = ledger.missing.pop(name, frozenset())
    wish = board.wishes[name]
    if not wish.instances or not all(map(is_up, board.wanted_records(wish))):
        return
    waits = {wait.service: wait for wait in lacking(board, wish)}
    again = {need for need in had.intersection(waits) if _is_done_again(board, need)}
    lost = had.intersection(waits) - again
    for need in sorted(lost):
        reason = runs_without(board, [waits[need]])
        ledger.tell("dependency.lost", service=name, reason=reason, data={"need": need})
    there = {need.service for need in wish.needs}.difference(waits)
    for need in sorted(missing & there):
        ledger.tell(
            "dependency.back",
            service=name,
            reason=f"{need} is there again",
            data={"need": need},
        )
    ledger.had[name] = frozenset(there | again)
    if still := missing.intersection(waits) | lost:
        ledger.missing[name] = frozenset(still)


def _is_done_again(board: Board, name: ServiceName) -> bool:
    """Tell whether a need is a oneshot that does its work once more, and did not fail."""
    wish = board.wishes.get(name)
    if wish is None or wish.spec is None or not (wish.runs and wish.spec.is_oneshot):
        return False
    return not any(record.state is State.CRASHED for record in board.wanted_records(wish))


def runs_without(board: Board, waits: Iterable[Wait]) -> str:
    """Say what a running service has to do without."""
    missing = [f"{wait.service} ({instead(board, wait)})" for wait in waits]
    return f"runs without {' and '.join(missing)}"
