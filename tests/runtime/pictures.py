"""Pictures made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.model.desired import Desired, Revision
from reconciler.model.diagnostic import Source
from reconciler.model.observed import Exit, Process, ProcessId, State
from reconciler.model.plan import Situation, Wait
from reconciler.model.record import PruneHold, SlotMemory, SlotRecord, Trouble
from reconciler.model.spec import Condition, DesiredState, ServiceType
from reconciler.model.status import Health, Picture, ServiceStatus, SlotStatus, Sync
from reconciler.model.units import Digest, Nanos, RunId, ServiceName
from tests.runtime.fakes import service, slot

NOW = Nanos(1_000)


def process(name: str, started: int = 500) -> Process:
    return Process(
        slot=slot(name),
        id=ProcessId(boot="b", pid=7, born=1),
        run=RunId("r"),
        digest=Digest("d1"),
        started=Nanos(started),
    )


def running(name: str, *, started: int = 500, oneshot: bool = False) -> ServiceStatus:
    """Give a service that is as wanted."""
    spec = service(name)
    if oneshot:
        spec = replace(spec, type=ServiceType.ONESHOT)
    return ServiceStatus(
        name=spec.name,
        spec=spec,
        source=Source(file=f"services.d/{name}.yaml"),
        desired=DesiredState.RUNNING,
        state=State.RUNNING,
        sync=Sync.SYNCED,
        health=Health.HEALTHY,
        reason="",
        reason_code="",
        waiting_for=(),
        waiting_since=None,
        needs=(),
        needed_by=(),
        slots=(_slot(name, State.RUNNING, process(name, started)),),
    )


def stopped(name: str) -> ServiceStatus:
    """Give a service that is wanted stopped, and is."""
    return replace(
        running(name),
        desired=DesiredState.STOPPED,
        state=State.STOPPED,
        health=Health.STOPPED,
        slots=(_slot(name, State.STOPPED, None),),
    )


def down(
    name: str, *, state: State = State.CRASHED, code: str = "BackingOff", reason: str = "x"
) -> ServiceStatus:
    """Give a service that should run and does not."""
    return replace(
        running(name),
        state=state,
        sync=Sync.OUT_OF_SYNC,
        health=Health.PROGRESSING,
        reason=reason,
        reason_code=code,
        slots=(_slot(name, state, None),),
    )


def completed(name: str, at: int = 600) -> ServiceStatus:
    """Give a oneshot that is done."""
    done = _slot(name, State.STOPPED, None)
    return replace(
        running(name, oneshot=True),
        state=State.STOPPED,
        reason_code="Completed",
        slots=(replace(done, last_exit=Exit(at=Nanos(at), code=0)),),
    )


def waiting(name: str, *needs: str, condition: Condition | None = Condition.READY) -> ServiceStatus:
    """Give a service that waits for others."""
    waits = tuple(Wait(service=ServiceName(need), condition=condition) for need in needs)
    status = down(name, state=State.STOPPED, code="DependencyNotReady", reason="waits")
    return replace(status, waiting_for=waits)


def picture(
    *statuses: ServiceStatus,
    source_held: str = "",
    host_unseen: str = "",
    prune: PruneHold | None = None,
) -> Picture:
    return Picture(
        now=NOW,
        revision=Revision(),
        services={one.name: one for one in statuses},
        source_held=source_held,
        host_unseen=host_unseen,
        prune=prune,
    )


def situation(
    failures: Mapping[str, int], *, executed: bool = True, left_behind: bool = False
) -> Situation:
    """Give a situation in which services have failed so often in a row."""
    last = Exit(at=Nanos(1), code=1) if executed else None
    slots = {
        ServiceName(name): {
            0: SlotRecord(
                memory=SlotMemory(slot=slot(name), trouble=Trouble(failures=count), last_exit=last),
                state=State.CRASHED,
                process=replace(process(name), exit=last) if left_behind else None,
            )
        }
        for name, count in failures.items()
    }
    return Situation(now=NOW, desired=Desired(), slots=slots)


def _slot(name: str, state: State, found: Process | None) -> SlotStatus:
    return SlotStatus(
        slot=slot(name),
        state=state,
        process=found,
        ready=found is not None,
        since=Nanos(0),
        restarts=0,
        last_restart=None,
        last_exit=None,
        reason="",
    )
