"""Say why a service is started, or is not any more."""

from __future__ import annotations

from reconciler.core.conditions import restarted_needs
from reconciler.core.wishes import Board, Wish
from reconciler.model.observed import State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import RestartPolicy, ServiceSpec


def why_given_up(spec: ServiceSpec) -> str:
    """Say by which rule a service is not started any more."""
    if spec.restart is RestartPolicy.NEVER:
        return "restart is `never`"
    if not spec.max_restarts:
        return "maxRestarts is 0"
    return f"gave up after {spec.max_restarts} restart{'' if spec.max_restarts == 1 else 's'}"


def why_start(board: Board, wish: Wish, spec: ServiceSpec, record: SlotRecord) -> str:
    """Say what an empty slot is started for; what went wrong before was told when it did."""
    memory = record.memory
    owned = board.situation.services.get(wish.name)
    is_owed = owned is not None and memory.newest < board.restart_before(wish.name)
    if owned is not None and is_owed and spec.schedule is not None:
        return owned.restart_reason
    if memory.tried is not None and memory.tried != spec.digest:
        return "its manifest changed"
    failures = memory.trouble.failures
    if record.state is State.CRASHED and failures:
        most = spec.max_restarts
        return f"try {failures}" if most is None else f"try {failures} of {most}"
    if owned is not None and is_owed:
        return owned.restart_reason or "a restart was asked for"
    restarted = restarted_needs(board, spec, memory.newest) if memory.tried is not None else []
    if restarted and (record.cause == "dependency" or memory.done is not None):
        return f"needs {' and '.join(restarted)}, which restarted (onRestart: restart)"
    if record.cause == "manual":
        return "a start was asked for"
    if record.cause == "memory":
        return "it used more than its maxMemory"
    if record.cause == "health":
        return "its check failed, and onUnhealthy says restart"
    # Its failures count no more, since a new version came into force.
    is_forgiven = record.state is State.CRASHED
    return "its manifest changed" if is_forgiven or record.cause == "change" else _why_runs(wish)


def _why_runs(wish: Wish) -> str:
    """Say who wants a service to run."""
    if wish.prune_held:
        return "it runs on until its removal is agreed to"
    return "its last good manifest says running" if wish.is_invalid else "its manifest says running"
