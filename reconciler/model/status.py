"""What people are shown: one frozen picture of everything, derived, never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.desired import Revision, why_stopped
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.health import Verdict
from reconciler.model.observed import NOTHING_SAID, Exit, Notice, Process, Slot, State
from reconciler.model.overlay import Overlay
from reconciler.model.plan import Hold, NextRun, Wait
from reconciler.model.record import PruneHold, Rollout
from reconciler.model.spec import DesiredState, ServiceSpec
from reconciler.model.units import Digest, Nanos, ServiceName, WallTime


class Sync(StrEnum):
    """How what runs relates to what is wanted."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    INVALID = "Invalid"
    HELD = "Held"
    SUSPENDED = "Suspended"
    UNKNOWN = "Unknown"


class Health(StrEnum):
    """How a service is doing."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    STOPPED = "Stopped"
    MISSING = "Missing"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Which control groups of the host serve a purpose: killing, or limiting one resource."""

    version: int
    """0: none do."""
    text: str
    """`cgroup v2`, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """One slot as shown."""

    slot: Slot
    state: State
    process: Process | None
    """The live one; None where nothing runs."""
    ready: bool
    since: Nanos
    restarts: int
    last_restart: Nanos | None
    last_exit: Exit | None
    reason: str
    reloaded_at: Nanos | None = None
    """When the process was last told to load its configuration anew."""
    reload_failed: str = ""
    verdict: Verdict = Verdict.UNKNOWN
    """What the checks of the live process come to, as last told."""
    notice: Notice = NOTHING_SAID
    """What the live process said of itself."""
    errands: tuple[Process, ...] = ()
    """The hooks that run beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a process is found, whatever it does."""

    is_halted: bool
    """Stopped by a signal, and by no debugger."""
    nice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as shown."""

    name: ServiceName
    spec: ServiceSpec | None
    source: Source
    desired: DesiredState | None
    """None: wanted no more."""
    state: State
    sync: Sync
    health: Health
    reason: str
    reason_code: str
    waiting_for: tuple[Wait, ...]
    waiting_since: Nanos | None
    needs: tuple[ServiceName, ...]
    needed_by: tuple[ServiceName, ...]
    slots: tuple[SlotStatus, ...]
    invalid: tuple[Diagnostic, ...] = ()
    next_run: NextRun | None = None
    """Of one that runs on a schedule, while it is followed."""
    last_run: WallTime | None = None
    """The scheduled time of its last run."""
    left_out: bool = False
    """Stopped because the daemon runs others only."""
    rollout: Rollout | None = None
    """A new version, or a restart, on its way through the slots."""
    quarantined: tuple[Digest, ...] = ()
    """Versions whose rollout failed."""
    overlay: Overlay | None = None
    """What is wanted for a while in the place of what its manifest says."""
    is_laid_over: bool = False
    """Whether what runs is just that."""

    @property
    def is_followed(self) -> bool:
        """Tell whether what runs is what is wanted now, be it for a while only."""
        return self.sync is Sync.SYNCED or self.is_laid_over

    @property
    def why_stopped(self) -> str:
        """Say why its manifest, if it is followed, asks for no processes."""
        return why_stopped(left_out=self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that status shows, at one moment."""

    now: Nanos
    revision: Revision
    services: Mapping[ServiceName, ServiceStatus] = field(default_factory=dict)
    """In dependency order: needs before dependents, else by name."""
    diagnostics: tuple[Diagnostic, ...] = ()
    holds: tuple[Hold, ...] = ()
    prune: PruneHold | None = None
    source_held: str = ""
    """Why the manifests are not being followed just now; empty when they are."""
    host_unseen: str = ""
    converged: bool = False
    """Nothing is being done, and nothing is waiting that could still be done by itself."""
