"""Decide when a process must load its configuration anew: somebody asked, or a file is another."""

from __future__ import annotations

from reconciler.core.remedies import why_reloaded
from reconciler.core.wishes import Board, Wish, is_up
from reconciler.model.observed import Role, State
from reconciler.model.plan import Hold, HoldCode, Reload
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos

SHOWN_FILES = 2
"""Files that a reason names; of more it gives the number."""


def reload_or_wait(board: Board, wish: Wish, record: SlotRecord) -> Reload | Hold | None:
    """Reload a process that runs as wanted, but with an old configuration; or say what keeps us."""
    spec, process = wish.spec, record.process
    if spec is None or spec.reload is None or process is None or process.digest != spec.digest:
        return None
    because = why_reload(board.situation.services.get(wish.name), spec, record)
    under_way = record.reloading
    failed = record.memory.reload_failed
    if record.memory.occasion(Role.RELOAD) is not None:
        return _wait(wish, record, in_words(record), None)
    if under_way is not None and board.situation.now < under_way.until:
        return _wait(wish, record, f"reloading: {under_way.because}", under_way.until)
    if not because:
        return _wait(wish, record, "", None) if failed else None
    if not is_up(record):
        if record.state is not State.STARTING:
            return None
        return _wait(wish, record, f"{because}; reloaded once it is ready", None)
    return Reload(slot=record.memory.slot, target=process.id, because=because)


def why_reload(memory: ServiceMemory | None, spec: ServiceSpec, record: SlotRecord) -> str:
    """Say why a process must be reloaded; empty when it need not be."""
    asked = (memory.reload_before if memory else None) or Nanos(0)
    if memory is not None and not has_loaded_since(record, asked):
        return memory.reload_reason or "a reload was asked for"
    return changed_files(spec, record) or why_reloaded(spec, record)


def has_loaded_since(record: SlotRecord, asked: Nanos) -> bool:
    """Tell whether what runs in a slot has read its configuration since a moment."""
    process = record.process
    if process is None or process.exit is not None or process.started >= asked:
        return True
    return (record.memory.reloaded_at or Nanos(0)) >= asked


def changed_files(spec: ServiceSpec, record: SlotRecord) -> str:
    """Name the files whose content is not the one that a process has; empty when there are none.

    A file that is gone asks for nothing.
    """
    loaded = record.memory.loaded
    names = [
        path for path, text in sorted(spec.loads.items()) if path in loaded and loaded[path] != text
    ]
    if not names:
        return ""
    more = len(names) - SHOWN_FILES
    return f"{', '.join(names[:SHOWN_FILES])}{f' and {more} more' if more > 0 else ''} changed"


def in_words(record: SlotRecord) -> str:
    """Say that what runs is being reloaded; empty when it is not."""
    under_way = record.reloading or record.memory.occasion(Role.RELOAD)
    return f"reloading: {under_way.because}" if under_way is not None else ""


def _wait(wish: Wish, record: SlotRecord, because: str, until: Nanos | None) -> Hold:
    failed = record.memory.reload_failed
    return Hold(
        service=wish.name,
        slot=record.memory.slot,
        code=HoldCode.RELOAD_FAILED if failed else HoldCode.AWAITING_ANSWER,
        because=f"runs on as it was: its reload failed: {failed}" if failed else because,
        until=until,
    )
