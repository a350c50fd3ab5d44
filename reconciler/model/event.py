"""What goes into the engine (events) and what comes out (commands, happenings, transitions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.desired import ManifestSet
from reconciler.model.health import Verdict
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.observed import Exit, Look, Notice, Process, ProcessId, Role, Slot, State
from reconciler.model.overlay import OverlayAsked
from reconciler.model.put_right import ProcessSeen, PutRight
from reconciler.model.remembered import Remembered
from reconciler.model.spec import Hook, Readiness, Schedule, ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, Serial, ServiceName, WallTime

_NEVER = WallTime(0)

# --- events: facts the world reports ---------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestsRead:
    """The manifests were read completely, whatever faults they have."""

    manifests: ManifestSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestsHeld:
    """The manifests cannot be trusted now (a rebase, an unreadable folder): keep the last ones."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLooked:
    """The host was looked at."""

    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLost:
    """The holder is gone; nothing may be done until the host was looked at again."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A start worked: the program was executed."""

    serial: Serial
    process: Process


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnFailed:
    """A start failed before or at exec; `step` and `errno` say where and how."""

    serial: Serial
    slot: Slot
    step: str
    errno: int
    because: str
    is_busy: bool = False
    """The holder refused: the slot's former tree still lives. Look again, count no failure."""
    is_short: bool = False
    """The host has not as much memory as the service may use. Wait, count no failure."""
    is_refused: bool = False
    """The host's hook `pre-service-start` did not allow it. Ask again later, count no failure."""
    is_taken: bool = False
    """Somebody else listens where the service shall. Wait, count no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The main process of a run ended."""

    slot: Slot
    run: RunId
    exit: Exit
    role: Role = Role.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEmptied:
    """Nothing of a run is left; always after its `Exited`."""

    slot: Slot
    run: RunId
    role: Role = Role.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """A run said something of itself; told whole each time, so that none can be missed."""

    slot: Slot
    run: RunId
    id: ProcessId
    """Its main process, which it may have changed."""
    notice: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalAnswered:
    """A signal was delivered, or a process put right; or that could not be (`problem`)."""

    serial: Serial
    slot: Slot
    problem: str = ""
    is_refused: bool = False
    """The host's hook `pre-service-stop` did not allow it: it was not sent. Ask again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswered:
    """A readiness probe ended."""

    serial: Serial
    slot: Slot
    run: RunId
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeTold:
    """The wall clock was read for a schedule: which of its times have passed, and the next."""

    serial: Serial
    service: ServiceName
    since: WallTime = _NEVER
    """The last scheduled time that has passed; else that which was asked about, or the present."""
    at: Nanos = Nanos(0)
    """When that was."""
    passed: int = 0
    """How many of its times have passed since those known as over."""
    label: str = ""
    """`since` as people read it: `03:00 on 22 November, Europe/Berlin`."""
    next: WallTime | None = None
    next_at: Nanos | None = None
    """When the next one will be, if nobody sets the wall clock; None: never again."""
    problem: str = ""
    """Why nothing of this can be told: no such time zone on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run's tree was measured to use, where nothing but measuring limits it."""

    slot: Slot
    run: RunId
    memory: int | None = None
    """Bytes; None: that is not what it was measured for."""
    cpu: float | None = None
    """Cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthTold:
    """The checks of a run came to another verdict, or to one that is not known here.

    Told as a level: again whenever the engine has it otherwise, and after every adoption.
    """

    slot: Slot
    run: RunId
    verdict: Verdict
    reason: str = ""
    """Why they fail, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesChanged:
    """Files that a service is watched for (`watch`) changed, and came to rest."""

    service: ServiceName
    files: tuple[str, ...]
    """The first few, as people would name them."""
    count: int
    at: Nanos
    """When the first of these changes was seen."""


class OperationKind(StrEnum):
    """What people ask of the engine that is no change of a manifest."""

    RESTART = "restart"
    RELOAD = "reload"
    START = "start"
    APPROVE_PRUNE = "approve-prune"
    PAUSE_ROLLOUT = "pause-rollout"
    RESUME_ROLLOUT = "resume-rollout"
    UNDO_ROLLOUT = "undo-rollout"
    STOP_NOW = "stop-now"
    """Kill what runs of services that are not to run: somebody waits no longer."""
    SHUTDOWN = "shutdown"
    KILL = "kill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something a person asked for."""

    id: str
    kind: OperationKind
    services: tuple[ServiceName, ...] = ()
    """For approve-prune: the services whose removal is wanted (by `unregister`)."""
    actor: str = ""
    reason: str = ""
    prune_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A person asked for an operation."""

    operation: Operation


Event = (
    FilesChanged
    | ManifestsRead
    | ManifestsHeld
    | HostLooked
    | HostLost
    | Spawned
    | SpawnFailed
    | Exited
    | TreeEmptied
    | Notified
    | SignalAnswered
    | SocketsClosed
    | ProbeAnswered
    | TimeTold
    | Asked
    | Measured
    | HealthTold
    | ProcessSeen
    | OverlayAsked
)

# --- commands: what the runtime is told to perform -------------------------------------------


class Scope(StrEnum):
    """Whom a signal reaches: the main process, or everything left of its tree."""

    MAIN = "main"
    GROUP = "group"
    TREE = "tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What to run beside a slot's main process instead of the service itself."""

    role: Role
    hook: Hook
    place: int = 0
    """Of several commands of its role, which one it is; counted from 0."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What tells it of its occasion; wins over all other variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """Start a process; answered by `Spawned` or `SpawnFailed`."""

    serial: Serial
    slot: Slot
    spec: ServiceSpec
    because: str
    errand: Errand | None = None
    """None: the service itself is started."""

    @property
    def role(self) -> Role:
        """Give what the process is there for."""
        return Role.MAIN if self.errand is None else self.errand.role


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Send a signal to a verified target; answered by `SignalAnswered`."""

    serial: Serial
    slot: Slot
    run: RunId
    target: ProcessId
    signal: str
    scope: Scope
    because: str
    releases: bool = False
    """No successor is wanted: what the run has stored with the host is of no more use."""
    begins_stop: bool = False
    """It asks a sound process to end, which the host's hook `pre-service-stop` may refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Ask once whether a process is ready; answered by `ProbeAnswered` within `timeout`."""

    serial: Serial
    slot: Slot
    run: RunId
    spec: ServiceSpec
    readiness: Readiness
    timeout: Nanos
    started: Nanos = Nanos(0)
    """When the process was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtHost:
    """Look at the host; answered by `HostLooked` with this serial."""

    serial: Serial


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTime:
    """Ask which times of a schedule have passed, and when the next one is; answered by `TimeTold`.

    `since` and `at` are those of `Timing`; None where nobody knows.
    """

    serial: Serial
    service: ServiceName
    schedule: Schedule
    since: WallTime | None
    at: Nanos | None


Command = Spawn | Signal | PutRight | Probe | LookAtHost | NextTime | CloseSockets

# --- what is told and recorded ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something worth telling people; `kind` is one of the contract's event kinds."""

    kind: str
    service: ServiceName | None = None
    slot: Slot | None = None
    reason: str = ""
    actor: str = ""
    data: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a slot's state, as history keeps it."""

    slot: Slot
    before: State
    after: State
    reason: str
    actor: str = ""
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All that one step of the engine asks for."""

    commands: tuple[Command, ...] = ()
    happenings: tuple[Happening, ...] = ()
    transitions: tuple[Transition, ...] = ()
    remembered: Remembered = field(default_factory=Remembered)
    wake_at: Nanos | None = None
    """When the engine wants to be stepped again though nothing happened."""
    may_acknowledge: bool = True
    """Whether every end told so far is on record; the host may forget those that are."""
    finished: bool = False
    """A shutdown is complete: nothing runs any more."""
    closes: tuple[Slot, ...] = ()
    """For these the host need keep nothing any more."""
