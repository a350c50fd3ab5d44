"""The status document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import UNSET, UnsetType

from reconciler.api import standing
from reconciler.api.wire.base import (
    Document,
    FaultKeys,
    RevisionKeys,
    Wire,
    fault_keys,
    revision_keys,
    timestamp,
)
from reconciler.api.wire.elsewhere import PushKeys, SourceKeys, push_keys, source_keys
from reconciler.api.wire.rollout import RolloutKeys, rollout_keys
from reconciler.core.pointers import Pointers
from reconciler.model.observed import Exit, Process
from reconciler.model.overlay import Overlay
from reconciler.model.plan import Wait
from reconciler.model.record import PruneHold
from reconciler.model.status import ServiceStatus, SlotStatus
from reconciler.model.units import SECOND, Nanos, ServiceName, WallTime
from reconciler.ports import Usage
from reconciler.runtime.control import Scene
from reconciler.runtime.reasons import spoken


class ExitKeys(Wire, frozen=True, kw_only=True):
    """How a process ended."""

    code: int | None
    signal: str | None
    at: str
    unknown: bool | UnsetType = UNSET
    """Only, and true, where nobody could see how it ended."""
    oom: bool | UnsetType = UNSET
    """Only, and true, where the kernel killed it for want of memory."""


class HookKeys(Wire, frozen=True, kw_only=True):
    """A hook that runs beside a slot's process, or in its place."""

    name: str
    """Which: `preStart` `postStart` `preStop` `postStop` `onFailure`, or `reload`."""
    pid: int
    started_at: str | None
    uptime: float


class InstanceKeys(Wire, frozen=True, kw_only=True):
    """One slot."""

    id: str
    slot: int
    pid: int | None
    state: str
    ready: bool
    started_at: str | None
    stopped_at: str | None
    uptime: float | None
    restart_count: int
    last_restart: str | None
    last_reload: str | None
    cpu: float | None
    memory: int | None
    health_status: str | None
    last_health_check: str | None
    """When its last check was over; null where it is not checked, or was not yet."""
    last_exit: ExitKeys | None
    status_text: str
    """What the process says of itself (STATUS= of sd_notify); empty where it says nothing."""
    hooks: list[HookKeys] | UnsetType = UNSET
    """What runs beside it now; left out where nothing does."""


class WaitKeys(Wire, frozen=True, kw_only=True):
    """What a service waits for."""

    name: str
    condition: str
    since: str | None


class EphemeralKeys(Wire, frozen=True, kw_only=True):
    """What is wanted of a service for a while, whatever its manifest says."""

    until: str
    """When it is again as its manifest says; one that no manifest defines stops."""
    actor: str
    reason: str
    is_new: bool
    """Whether no manifest defines it."""


class PointerKeys(Wire, frozen=True, kw_only=True):
    """How far a service has come along the history of its manifests."""

    attempted: str | None
    """The newest commit whose version was tried; null where none is known."""
    applied: str | None
    """The newest one whose version is what runs."""
    healthy: str | None
    """The newest one whose version was ready and well."""


class ServiceKeys(Wire, frozen=True, kw_only=True):
    """One service."""

    name: str
    display_name: str
    description: str
    version: str
    labels: dict[str, str]
    desired: str | None
    """None: no manifest defines it any more."""
    state: str
    sync: str
    health: str
    reason: str
    reason_code: str
    waiting_for: list[WaitKeys]
    spec_digest: str
    revision: str | None
    """The commit whose manifest is in force; None where today's cannot be used."""
    file: str
    line: int
    depends_on: list[str]
    dependents: list[str]
    next_run: str | UnsetType | None = UNSET
    """Only with a `schedule`: its next time; null where that cannot be told."""
    last_run: str | UnsetType | None = UNSET
    """Only with a `schedule`: the scheduled time of its last run."""
    rollout: RolloutKeys | UnsetType = UNSET
    """How far a new version, or a restart, has come; left out where none is under way."""
    ephemeral: EphemeralKeys | UnsetType = UNSET
    """Left out where its manifest is followed."""
    pointers: PointerKeys | UnsetType = UNSET
    """Of services that were asked for by name."""
    instances: list[InstanceKeys]


class DaemonKeys(Wire, frozen=True, kw_only=True):
    """The daemon about itself."""

    pid: int
    version: str
    uptime: float
    holder_pid: int | None
    root: str
    state_dir: str
    socket: str
    mode: str
    metrics_listen: str | None
    brought_back: str | None
    """How the daemon ended in whose place the holder started this one; null where none did."""
    troubles: list[str]


class PruneKeys(Wire, frozen=True, kw_only=True):
    """A removal that waits for a yes."""

    id: str
    services: list[str]
    reason: str


class StatusDocument(Document, frozen=True, kw_only=True):
    """What runs, and why not."""

    revision: RevisionKeys
    daemon: DaemonKeys
    source: SourceKeys | None
    """What is followed elsewhere; null where the files of a checkout are."""
    push: PushKeys | None
    """Where a checkout is pushed to; null without `git.push`."""
    services: list[ServiceKeys]
    invalid: list[FaultKeys]
    prune: PruneKeys | None
    source_held: str
    """Why the manifests are not followed just now; empty when they are."""
    converged: bool


def status_document(
    scene: Scene,
    services: Sequence[ServiceStatus],
    exit_code: int = 0,
    pointers: Mapping[ServiceName, Pointers | None] | None = None,
) -> StatusDocument:
    """Write the status of the chosen services."""
    known = pointers or {}
    picture = scene.picture
    return StatusDocument(
        exit_code=exit_code,
        revision=revision_keys(picture.revision),
        daemon=daemon_keys(scene),
        source=source_keys(scene),
        push=push_keys(scene),
        services=[service_keys(one, scene, known.get(one.name)) for one in services],
        invalid=fault_keys(picture.diagnostics),
        prune=_prune(picture.prune),
        source_held=picture.source_held,
        converged=picture.converged,
    )


def daemon_keys(scene: Scene) -> DaemonKeys:
    """Write what the daemon says of itself."""
    daemon = scene.daemon
    return DaemonKeys(
        pid=daemon.pid,
        version=daemon.version,
        uptime=round(daemon.uptime, 3),
        holder_pid=daemon.holder_pid,
        root=daemon.root,
        state_dir=daemon.state_dir,
        socket=daemon.socket,
        mode=daemon.mode,
        metrics_listen=daemon.metrics_listen or None,
        brought_back=daemon.brought_back or None,
        troubles=list(daemon.troubles),
    )


def service_keys(
    service: ServiceStatus, scene: Scene, pointers: Pointers | None = None
) -> ServiceKeys:
    """Write one service."""
    spec = service.spec
    return ServiceKeys(
        name=service.name,
        display_name=spec.display_name if spec else "",
        description=spec.description if spec else "",
        version=spec.version if spec else "",
        labels=dict(spec.labels) if spec else {},
        desired=service.desired,
        state=service.state,
        sync=service.sync,
        health=service.health,
        reason=spoken(service, scene.picture.now),
        reason_code=service.reason_code,
        waiting_for=_waits(service.waiting_for, service.waiting_since, scene),
        spec_digest=spec.digest if spec else "",
        revision=None if service.invalid else scene.picture.revision.commit or None,
        file=service.source.file,
        line=service.source.line,
        depends_on=list(service.needs),
        dependents=list(service.needed_by),
        next_run=_next_run(service),
        last_run=_wall(service.last_run) if spec and spec.schedule else UNSET,
        rollout=rollout_keys(service) or UNSET,
        ephemeral=_ephemeral(service.overlay, scene),
        pointers=UNSET if pointers is None else _pointers(pointers),
        instances=[
            _instance(slot, scene, is_checked=bool(spec and spec.health)) for slot in service.slots
        ],
    )


def _pointers(found: Pointers) -> PointerKeys:
    return PointerKeys(
        attempted=found.attempted or None,
        applied=found.applied or None,
        healthy=found.healthy or None,
    )


def _ephemeral(overlay: Overlay | None, scene: Scene) -> EphemeralKeys | UnsetType:
    """Write what is wanted for a while."""
    if overlay is None:
        return UNSET
    return EphemeralKeys(
        until=timestamp(scene.wall_at(overlay.ends_at)),
        actor=overlay.actor,
        reason=overlay.reason,
        is_new=overlay.under is None,
    )


def _next_run(service: ServiceStatus) -> str | UnsetType | None:
    """Write when a schedule comes to its next time."""
    if service.spec is None or service.spec.schedule is None:
        return UNSET
    return _wall(service.next_run.time) if service.next_run else None


def _wall(time: WallTime | None) -> str | None:
    return None if time is None else timestamp(time / SECOND)


def _hook(process: Process, scene: Scene) -> HookKeys:
    return HookKeys(
        name=process.role,
        pid=process.id.pid,
        started_at=_at(process.started, scene),
        uptime=round(standing.ago(process.started, scene), 3),
    )


def _instance(status: SlotStatus, scene: Scene, *, is_checked: bool) -> InstanceKeys:
    """Write one slot; what nothing runs for is None."""
    chart = standing.chart_of(status, scene)
    process, last = status.process, status.last_exit
    up = standing.uptime(status, scene)
    usage: Usage | None = scene.usage.get(status.slot)
    return InstanceKeys(
        id=str(status.slot),
        slot=status.slot.index,
        pid=process.id.pid if process else None,
        state=status.state,
        ready=status.ready,
        started_at=_at(process.started, scene) if process else None,
        stopped_at=_at(last.at, scene) if last and not process else None,
        uptime=None if up is None else round(up, 3),
        restart_count=status.restarts,
        last_restart=_at(status.last_restart, scene),
        last_reload=_at(status.reloaded_at, scene),
        cpu=round(usage.cpu_percent, 1) if usage else None,
        memory=usage.rss if usage else None,
        health_status=standing.health_word(status, scene, is_checked=is_checked),
        last_health_check=_at(chart.last.at, scene) if chart and chart.last else None,
        last_exit=_exit(last, scene) if last else None,
        status_text=standing.own_words(status),
        hooks=[_hook(one, scene) for one in status.errands] or UNSET,
    )


def _exit(ended: Exit, scene: Scene) -> ExitKeys:
    """Write how a process ended."""
    return ExitKeys(
        code=ended.code,
        signal=ended.signal,
        at=timestamp(scene.wall_at(ended.at)),
        unknown=True if ended.unknown else UNSET,
        oom=True if ended.oom else UNSET,
    )


def _waits(waits: Iterable[Wait], since: Nanos | None, scene: Scene) -> list[WaitKeys]:
    """Write what is waited for."""
    moment = _at(since, scene)
    return [
        WaitKeys(name=w.service, condition=w.condition or "stopped", since=moment) for w in waits
    ]


def _prune(hold: PruneHold | None) -> PruneKeys | None:
    """Write a removal that waits for a yes."""
    if hold is None or hold.approved:
        return None
    return PruneKeys(id=hold.id, services=list(hold.services), reason=hold.because)


def _at(moment: Nanos | None, scene: Scene) -> str | None:
    """Write a point of the boot clock as a time."""
    return None if moment is None else timestamp(scene.wall_at(moment))
