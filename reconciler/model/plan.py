"""What to do and what to leave alone, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.desired import Desired
from reconciler.model.observed import Process, ProcessId, Slot
from reconciler.model.record import PruneHold, Rollout, ServiceMemory, SlotRecord
from reconciler.model.spec import Condition
from reconciler.model.units import Nanos, RunId, ServiceName, WallTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What an action waits for: a condition of a need, or the end of a dependent (None)."""

    service: ServiceName
    condition: Condition | None

    def __str__(self) -> str:
        return f"{self.service}: {self.condition or 'stopped'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a process in an empty slot."""

    slot: Slot
    because: str
    after: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Ask a process to end; kill it when its stop timeout is over."""

    slot: Slot
    target: ProcessId
    because: str
    after: tuple[Wait, ...] = ()
    start_failed: bool = False
    """It was not ready (a oneshot: not done) in time, which is a failure of its start."""
    aborts: bool = False
    """Its watchdog was not fed: it is asked by SIGABRT, and this is a failure too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Stop a process, then start its successor once the slot is empty."""

    slot: Slot
    target: ProcessId
    because: str
    after: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """End a whole process tree at once: its time is over, or it is in another's place."""

    slot: Slot
    target: ProcessId
    because: str
    after: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """Tell a process to load its configuration anew; it goes on."""

    slot: Slot
    target: ProcessId
    because: str
    after: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Undo what somebody did to a process by hand; it goes on."""

    slot: Slot
    target: ProcessId
    because: str
    after: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Put changed `live` and `metadata` fields into force; no process is touched."""

    service: ServiceName
    fields: tuple[str, ...]
    """Names of the spec's fields that differ."""
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Drop a service that is wanted no more and of which nothing runs."""

    service: ServiceName
    because: str


SlotAction = Start | Stop | Restart | Kill | Reload | Repair
Action = SlotAction | Update | Forget


class HoldCode(StrEnum):
    """Why nothing is done, as a stable word for scripts (`reasonCode`)."""

    BACKING_OFF = "BackingOff"
    MEMORY_SHORT = "MemoryShort"
    ADDRESS_TAKEN = "AddressTaken"
    PORT_AWAITED = "PortAwaited"
    REFUSED = "Refused"
    GAVE_UP = "GaveUp"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    INVALID_MANIFEST = "InvalidManifest"
    PRUNE_HELD = "PruneHeld"
    STOPPING = "Stopping"
    UNHEALTHY = "Unhealthy"
    COMPLETED = "Completed"
    SCHEDULED = "Scheduled"
    EXITED = "Exited"
    SOURCE_HELD = "SourceHeld"
    HOST_UNSEEN = "HostUnseen"
    UNKILLABLE = "Unkillable"
    AWAITING_ANSWER = "AwaitingAnswer"
    RELOAD_FAILED = "ReloadFailed"
    WATCH_HELD = "WatchHeld"
    DRIFTED = "Drifted"
    ROLLING_OUT = "RollingOut"
    ROLLOUT_PAUSED = "RolloutPaused"
    QUARANTINED = "Quarantined"
    JUDGE_REFUSED = "JudgeRefused"
    EPHEMERAL = "Ephemeral"


PUT_OFF = (
    HoldCode.MEMORY_SHORT,
    HoldCode.ADDRESS_TAKEN,
    HoldCode.PORT_AWAITED,
    HoldCode.REFUSED,
)
"""Why a start is tried again later that is no failure of its service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reason not to act on a service (or one slot of it), with its end where known."""

    service: ServiceName
    code: HoldCode
    because: str
    until: Nanos | None = None
    slot: Slot | None = None
    waiting_for: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRun:
    """When a schedule comes to its next time, as far as it can be told."""

    time: WallTime | None = None
    at: Nanos | None = None
    problem: str = ""
    """Why it cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ordered actions, and a hold for everything deliberately left alone.

    An action whose `after` is empty may be performed now; the others wait, and the next plan,
    made when something changed, decides about them again.
    """

    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a plan depends on."""

    now: Nanos
    desired: Desired
    services: Mapping[ServiceName, ServiceMemory] = field(default_factory=dict)
    """Services we own: what was last put into force."""
    slots: Mapping[ServiceName, Mapping[int, SlotRecord]] = field(default_factory=dict)
    """Every slot that is wanted or has something left, by service and index."""
    prune: PruneHold | None = None
    removed: Mapping[ServiceName, Nanos] = field(default_factory=dict)
    """What was removed unasked, and when, if that was a short time ago."""
    shutting_down: bool = False
    """Everything is to stop, whatever the manifests say."""
    hurry: bool = False
    """... and at once: somebody asked twice."""
    hurried: Collection[ServiceName] = ()
    """Services of which whatever is to stop is to stop at once."""
    strays: tuple[Process, ...] = ()
    """Live processes of ours in a slot that another live process has; they must go."""
    next_runs: Mapping[ServiceName, NextRun] = field(default_factory=dict)
    """Of services that run on a schedule."""
    noisy: Mapping[ServiceName, str] = field(default_factory=dict)
    """Services that change the files they are watched for, each in a sentence."""
    sockets: Mapping[ServiceName, Collection[str]] = field(default_factory=dict)
    """The addresses that the host listens on for services, as far as is known."""
    crash_restarts: tuple[Nanos, ...] = ()
    """When services were last started again after a crash, oldest first."""
    rollouts: Mapping[ServiceName, Rollout] = field(default_factory=dict)
    """New versions on their way through the slots of services."""
    condemned: Collection[RunId] = ()
    """Those of them that were killed already, and were not seen gone yet."""

    def hurries(self, slot: Slot, wanted: int) -> bool:
        """Tell whether a slot, of so many that are wanted, is to be empty at once."""
        is_all = self.hurry and self.shutting_down
        return is_all or (slot.index >= wanted and slot.service in self.hurried)
