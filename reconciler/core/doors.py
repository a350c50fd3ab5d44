"""Tell when nothing need be kept for a slot any more: a notify socket, stored descriptors.

They outlive crashes and restarts. With a process that is told to end for good they go by
themselves; where none was there to be told, the host has to be asked.
"""

from __future__ import annotations

from collections.abc import Collection

from reconciler.core.ledger import Ledger
from reconciler.core.wishes import is_live
from reconciler.model.observed import Slot, State

_AT_REST = (State.STOPPED, State.CRASHED)


def wants(ledger: Ledger, slot: Slot) -> bool:
    """Tell whether a process is wanted in a slot; what nobody has let go yet is wanted still."""
    wanted, memory = ledger.desired.services.get(slot.service), ledger.services.get(slot.service)
    spec = wanted.spec if wanted else memory.spec if memory and not memory.leaving else None
    if spec is None or ledger.shutting_down:
        return False
    return spec.wants_to_run and slot.index < spec.instances + ledger.surge(slot.service)


def doors_to_close(ledger: Ledger, shown: Collection[Slot]) -> tuple[Slot, ...]:
    """Give the slots for which nothing need be kept any more.

    Of those for which the host was seen to keep something, and those that this step brought to
    rest or forgot. At its end the host lets go of everything anyway.
    """
    if ledger.shutting_down:
        return ()
    rested = [one.slot for one in ledger.transitions if one.after in _AT_REST]
    gone = [slot for slot, memory in ledger.changed_slots.items() if memory is None]
    found = {slot for slot in (*shown, *rested, *gone) if _is_over(ledger, slot)}
    return tuple(sorted(found, key=str))


def _is_over(ledger: Ledger, slot: Slot) -> bool:
    """Tell whether nothing runs in a slot, and nothing shall."""
    record = ledger.slots.get(slot.service, {}).get(slot.index)
    if slot in ledger.remembered_slots or (record is not None and is_live(record)):
        return False
    wanted = ledger.desired.services.get(slot.service)
    has_no_version = wanted is not None and wanted.spec is None
    is_stray = any(stray.slot == slot for stray in ledger.strays)
    return not (has_no_version or is_stray or wants(ledger, slot))
