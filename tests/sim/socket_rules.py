"""What must hold of the sockets that services listen on: never closed too early, never kept.

Stated against what the simulated machine has, and what is on record of the services.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.model.listening import CloseSockets
from reconciler.model.observed import Slot
from reconciler.model.spec import ServiceSpec
from tests.sim.wanted import Wanted

if TYPE_CHECKING:
    from tests.sim.host import Host


def may_close(command: CloseSockets, host: Host, wanted: Wanted) -> None:
    """See that no port is closed of a wanted service, nor under a process that listens."""
    spec = wanted.to_be_kept(command.service)
    named = {one.listen for one in spec.sockets} if spec and spec.wants_to_run else set()
    for address in command.addresses:
        assert address not in named, f"{address} of {command.service}, wanted, is closed"
        runs = host.machine.of_service(command.service)
        has_it = [run.id for run in runs if address in run.sockets and not run.is_empty]
        assert not has_it, f"{address} is closed while {has_it[0]} listens there"


def may_let_go(slot: Slot, wanted: Wanted) -> None:
    """See that what a slot has stored with the host is kept for its next process."""
    width = wanted.width(slot.service)
    assert slot.index >= width, f"what {slot} has stored is dropped, of {width} that are wanted"


def at_rest(host: Host, specs: Iterable[ServiceSpec]) -> None:
    """See that what runs has its ports held, and that nothing else is held."""
    running = [spec for spec in specs if spec.wants_to_run]
    wanted = {one.listen: spec.name for spec in running for one in spec.sockets}
    if host.holder is None:
        return
    for one in host.holder.sockets():
        runs = host.machine.of_service(one.service)
        # One of another version may run on as it was, as long as a need of the new one lacks.
        has_it = any(one.address in run.sockets and not run.is_empty for run in runs)
        is_of_use = has_it or wanted.get(one.address) == one.service
        assert is_of_use, f"{one.address} is held for nobody"
    for run in host.machine.all_live():
        # One that it was not given back it has again once no process is left that has it.
        for address in {*run.sockets} - host.machine.denied:
            assert address in host.holder.held, f"{address} of {run.slot} is not held"
