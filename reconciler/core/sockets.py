"""Follow which sockets the host holds for services, and close those that nobody wants any more.

The host binds a service's sockets with each start of it that needs them. They stay, whatever ends,
until the service is not to run and nothing of it is left; one that its new version does not name,
until no process of an older version is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from reconciler.core.ledger import Ledger
from reconciler.core.wishes import is_live
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.observed import Look, State
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Serial, ServiceName

LOST = (
    "{} is held by its processes alone, and the kernel does not let it be taken back out of them; "
    "it is bound again once none of them is left"
)
"""Where daemon and holder died, and a security module as Yama keeps us out."""


def sockets_asked_for(ledger: Ledger, spec: ServiceSpec, serial: Serial) -> None:
    """Know of the sockets that come with a start."""
    if spec.sockets:
        known = ledger.sockets.setdefault(spec.name, {})
        known.update({one.listen: True for one in spec.sockets})
        ledger.sockets_touched = serial


def sockets_seen(ledger: Ledger, look: Look) -> None:
    """Know of the sockets that a look has shown, unless it is too old for that."""
    if look.serial <= ledger.sockets_touched:
        return
    before, ledger.sockets = ledger.sockets, {}
    live = {one.slot.service for one in look.processes if one.exit is None}
    for one in look.sockets:
        known = before.get(one.service, {}).get(one.address, True)
        if known and not one.is_held and one.service in live:
            ledger.tell("service.socket-lost", service=one.service, reason=LOST.format(one.address))
        ledger.sockets.setdefault(one.service, {})[one.address] = one.is_held


def sockets_closed(ledger: Ledger, event: SocketsClosed) -> None:
    """Look what is held, where some could not be closed."""
    if event.problem:
        ledger.look_again = True


def close_sockets(ledger: Ledger) -> None:
    """Have those sockets closed that nobody wants any more; at its end the host closes all."""
    if ledger.shutting_down:
        return
    for name in sorted(ledger.sockets):
        known = ledger.sockets[name]
        over = sorted(known.keys() - _wanted(ledger, name, known.keys()))
        if over:
            serial = ledger.next_serial()
            ledger.sockets_touched = serial
            ledger.commands.append(CloseSockets(serial=serial, service=name, addresses=tuple(over)))
            # Another service may wait for one of these.
            ledger.is_unsettled = True
            ledger.sockets[name] = {one: held for one, held in known.items() if one not in over}
        if not ledger.sockets[name]:
            del ledger.sockets[name]


def _wanted(ledger: Ledger, name: ServiceName, known: AbstractSet[str]) -> AbstractSet[str]:
    """Give the addresses that are to stay."""
    memory, wanted = ledger.services.get(name), ledger.desired.services.get(name)
    in_force = memory.spec if memory is not None else None
    spec = wanted.spec if wanted is not None else in_force
    is_gone = wanted is None and (memory is None or memory.leaving)
    occupied = [*_occupied(ledger.slots.get(name, {}).values())]
    occupied_by_strays = any(stray.slot.service == name for stray in ledger.strays)
    if spec is None or is_gone or not spec.wants_to_run:
        return known if occupied or occupied_by_strays else set()
    digest = in_force.digest if in_force is not None else spec.digest
    if occupied_by_strays or any(_is_older(record, digest) for record in occupied):
        return known
    # What a rollout may go back to finds its sockets open.
    base = memory.rollout.base if memory is not None and memory.rollout is not None else None
    return {one for of in (spec, in_force, base) if of is not None for one in of.listens}


def _occupied(records: Iterable[SlotRecord]) -> Iterable[SlotRecord]:
    """Give the slots in which something runs, or may by now."""
    for record in records:
        is_idle = record.state in (State.STOPPED, State.CRASHED) and record.pending is None
        if is_live(record) or not is_idle:
            yield record


def _is_older(record: SlotRecord, digest: str) -> bool:
    """Tell whether a process may be of another version than the one in force."""
    return record.process is None or record.process.digest != digest
