"""Say why a slot is left as it is: it waits for its scheduled time, or its checks fail."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.remedies import due_at, in_words
from reconciler.core.whys import why_given_up
from reconciler.core.wishes import Board, Wish, has_given_up
from reconciler.model.health import Verdict
from reconciler.model.observed import State
from reconciler.model.plan import Hold, HoldCode, NextRun
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.spec import ServiceSpec


def unwell(wish: Wish, record: SlotRecord) -> Hold | None:
    """Say why a slot is degraded, and until when it has time to get well by itself."""
    if wish.spec is None or record.state is not State.DEGRADED:
        return None
    return Hold(
        service=wish.name,
        slot=record.memory.slot,
        code=HoldCode.UNHEALTHY,
        because=in_words(wish.spec, record),
        until=due_at(wish.spec, record.memory),
    )


def who_is_unwell(records: Sequence[SlotRecord], hold: Hold) -> str:
    """Say why a service is degraded, and of several slots which is meant and how many are."""
    if len(records) == 1:
        return hold.because
    count = sum(record.state is State.DEGRADED for record in records)
    which = f"{count} of {len(records)} degraded; " if count > 1 else ""
    return f"{which}{hold.slot}: {hold.because}"


def verdict_of(record: SlotRecord) -> Verdict:
    """Give what is held of a process: a degraded one is so until something else is told of it."""
    return Verdict.DEGRADED if record.state is State.DEGRADED else record.verdict


def between_runs(board: Board, wish: Wish, spec: ServiceSpec, record: SlotRecord) -> Hold:
    """Wait for the next scheduled time, and say how the last run went."""
    run = board.situation.next_runs.get(wish.name, NextRun())
    if run.problem:
        because = f"its next time cannot be told: {run.problem}"
    elif has_given_up(record, spec):
        because = f"{record.memory.trouble.because}; {why_given_up(spec)}"
    else:
        because = record.reason or _not_run(board.situation.services.get(wish.name))
    return Hold(
        service=wish.name,
        slot=record.memory.slot,
        code=HoldCode.GAVE_UP if has_given_up(record, spec) else HoldCode.SCHEDULED,
        because=because,
        until=run.at,
    )


def _not_run(memory: ServiceMemory | None) -> str:
    timing = memory.timing if memory is not None else None
    has_run = timing is not None and timing.last is not None
    return "not run since the host came up" if has_run else "not run yet"
