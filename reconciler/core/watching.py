"""Take in that files of a service's code changed: it restarts, or loads its configuration anew.

A service that changes files that it watches itself would restart for ever. Its changes are told by
when they come: the same files, soon after each start that their change led to. After a few of those
in a row they count no more, and the service is named, until they rest or a person acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.ledger import Ledger
from reconciler.core.wishes import is_live
from reconciler.model.event import FilesChanged
from reconciler.model.record import Echoes, ServiceMemory, SlotRecord, Trouble
from reconciler.model.spec import Watch, WatchAction
from reconciler.model.units import Nanos, ServiceName, seconds

ECHO_WITHIN = seconds(3)
"""A change so soon after a start may be that of the very process that started."""
ECHOES_ENOUGH = 3
QUIET = seconds(60)
"""Without any change for so long, a service that was named is believed again."""
SHOWN_FILES = 2


def files_changed(ledger: Ledger, event: FilesChanged) -> None:
    """Restart or reload what was started before its files changed, unless it did that itself."""
    memory = ledger.services.get(event.service)
    wanted = ledger.desired.services.get(event.service)
    spec = wanted.spec if wanted else None
    if memory is None or spec is None or spec.watch is None or not spec.wants_to_run:
        return
    if spec.schedule is not None or ledger.shutting_down:
        return
    before = _believed(ledger, event)
    files = tuple(file for file in event.files if before is None or file not in before.own)
    if before is not None and not files and event.count == len(event.files):
        ledger.echoes[event.service] = replace(before, seen_at=event.at)
        return
    echoes = _follow(ledger, event, files, spec.watch)
    ledger.echoes[event.service] = echoes
    if echoes.count >= ECHOES_ENOUGH:
        _name(ledger, event, echoes)
        return
    reason = f"{_shown(files or event.files, event.count)} changed"
    if spec.watch.action is WatchAction.RELOAD:
        if spec.reload is not None:
            at = max(event.at, memory.reload_before or event.at)
            ledger.put_service(replace(memory, reload_before=at, reload_reason=reason))
        return
    _restart(ledger, memory, event, reason)


def trust_again(ledger: Ledger, name: ServiceName) -> None:
    """Forget what a service was named for: a person did something about it."""
    ledger.echoes.pop(name, None)
    ledger.noisy.pop(name, None)


def _believed(ledger: Ledger, event: FilesChanged) -> Echoes | None:
    """Give what is known of a service's changes; after a time without any of them nothing is."""
    before = ledger.echoes.get(event.service)
    if before is not None and event.at - before.seen_at >= QUIET:
        trust_again(ledger, event.service)
        return None
    return before


def _follow(ledger: Ledger, event: FilesChanged, files: tuple[str, ...], watch: Watch) -> Echoes:
    """Count a change that the service may have made itself; any other one begins anew."""
    before = ledger.echoes.get(event.service)
    fresh = Echoes(acted_at=ledger.now, seen_at=event.at, files=files)
    if before is None:
        return fresh
    fresh = replace(fresh, own=before.own)
    again = tuple(file for file in files if file in before.files)
    since = max(map(_loaded_at, _records(ledger, event.service)), default=Nanos(0))
    if not again:
        return fresh
    if since < before.acted_at:
        # What the last change led to is under way.
        return replace(before, seen_at=event.at, files=again)
    if event.at - since > max(ECHO_WITHIN, 2 * watch.delay):
        return fresh
    return replace(fresh, files=again, count=before.count + 1)


def _loaded_at(record: SlotRecord) -> Nanos:
    return max(record.memory.newest, record.memory.reloaded_at or Nanos(0))


def _name(ledger: Ledger, event: FilesChanged, echoes: Echoes) -> None:
    """Say that a service changes its own files, and heed those no more."""
    own = echoes.own.union(echoes.files)
    ledger.echoes[event.service] = replace(echoes, own=own, files=(), count=0)
    said = f"watch: {event.service} changes its own files ({_shown(sorted(own), len(own))})"
    reason = f"{said}; it is left alone for them; mend: put them into watch.ignore"
    ledger.noisy[event.service] = reason
    ledger.is_rearranged = True
    ledger.tell("watch.held", service=event.service, reason=reason)


def _restart(ledger: Ledger, memory: ServiceMemory, event: FilesChanged, reason: str) -> None:
    """Have every process replaced that is older than the change, and the dead ones tried again.

    What died a moment ago may have changed the file itself: its back-off is kept.
    """
    at = max(event.at, memory.restart_before or event.at)
    ledger.put_service(
        replace(memory, restart_before=at, restart_reason=reason, restart_cause="change")
    )
    for record in _records(ledger, event.service):
        is_over = not is_live(record) and event.at - record.since > ECHO_WITHIN
        if is_over and record.memory.trouble != Trouble():
            memory_of_slot = replace(record.memory, trouble=Trouble())
            ledger.put(replace(record, memory=memory_of_slot, cause="change"))


def _records(ledger: Ledger, name: ServiceName) -> list[SlotRecord]:
    return list(ledger.slots.get(name, {}).values())


def _shown(files: Sequence[str], count: int) -> str:
    more = count - len(files[:SHOWN_FILES])
    return ", ".join(files[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")
