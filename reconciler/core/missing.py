"""Tell when a running service loses something it needs, and when it has it again."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.conditions import present, unmet
from reconciler.core.ledger import Ledger
from reconciler.core.wishes import Board, is_up
from reconciler.model.plan import Wait
from reconciler.model.units import ServiceName


def tell_of_needs(ledger: Ledger, board: Board) -> None:
    """Tell the dependents of all that changed in this step what they lost and have again."""
    changed = {transition.slot.service for transition in ledger.transitions}
    concerned = changed.intersection(board.wishes)
    for name in list(concerned):
        concerned.update(board.layout.dependents[name])
    for name in sorted(concerned):
        _tell(ledger, board, name)


def _tell(ledger: Ledger, board: Board, name: ServiceName) -> None:
    before = ledger.missing.pop(name, frozenset())
    wish = board.wishes[name]
    if not wish.instances or not all(map(is_up, board.wanted_records(wish))):
        return
    waits = {wait.service: wait for wait in unmet(board, wish)}
    for need in sorted(waits.keys() - before):
        reason = runs_without(board, [waits[need]])
        ledger.tell("dependency.lost", service=name, reason=reason, data={"need": need})
    for need in sorted(before.intersection(one.service for one in wish.needs) - waits.keys()):
        ledger.tell(
            "dependency.back",
            service=name,
            reason=f"{need} is there again",
            data={"need": need},
        )
    if waits:
        ledger.missing[name] = frozenset(waits)


def runs_without(board: Board, waits: Iterable[Wait]) -> str:
    """Say what a running service has to do without."""
    missing = [f"{wait.service} ({present(board, wait.service)})" for wait in waits]
    return f"runs without {' and '.join(missing)}"
