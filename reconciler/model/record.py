"""What the engine knows of each slot and service, and what of it outlives the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.diagnostic import Source
from reconciler.model.health import Verdict
from reconciler.model.observed import Exit, Process, Role, Slot, State
from reconciler.model.overlay import Overlay
from reconciler.model.spec import Schedule, ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, Serial, ServiceName, WallTime, seconds

ANSWER_OVERDUE = seconds(10)
"""After which the host is looked at instead of waiting for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A command that was issued and not answered yet."""

    serial: Serial
    overdue_at: Nanos
    """When to look at the host instead of waiting on for the answer."""
    patience: Nanos = ANSWER_OVERDUE
    """How long before that it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Failures in a row of one slot, and what they led to."""

    failures: int = 0
    """Since the last good spell of `backoff.resetAfter`."""
    retry_at: Nanos | None = None
    gave_up: bool = False
    because: str = ""
    """The last failure in words: `exited with 1`, `cannot run "x": no such file`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a slot's errands of one role are due for, and how far they have come."""

    role: Role
    since: Nanos = Nanos(0)
    """When it came up; a command that was begun before that is of an earlier one."""
    done: int = 0
    """How many of its commands came to their end."""
    result: str = ""
    """How the process ended that it is about: `success`, `exit-code`, `signal` ..."""
    exit: Exit | None = None
    because: str = ""
    """Of a reload: why it is due."""
    loads: Mapping[str, str] = field(default_factory=dict)
    """Of a reload: what the process has once its command is over, as Reloading has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What runs beside a slot's main process: one errand, from its order to its empty tree."""

    role: Role
    place: int = 0
    process: Process | None = None
    pending: Pending | None = None
    """Its start, or the signal that kills it, while not answered."""
    touched: Serial = Serial(0)
    """The last command for it; an older look says nothing about it."""
    deadline: Nanos | None = None
    """Of its timeout; once it was killed, of its end."""
    killed: bool = False
    verdict: str = ""
    """Why it failed, where that is not for its own exit to say."""
    unwanted: bool = False
    """Its occasion is over, so its end says nothing."""
    is_old: bool = False
    """It runs for an earlier occasion than the one that its role is due for now."""
    stuck: bool = False
    """Not even SIGKILL ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Illness:
    """That the checks of a run fail beyond the threshold."""

    run: RunId
    since: Nanos
    because: str
    """In words, as it was when it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What `onUnhealthy` did about a slot."""

    times: int = 0
    """In a row: since the slot was last well for `backoff.resetAfter`."""
    at: Nanos | None = None
    """When it was last decided upon: it is for what was started, or reloaded, before."""
    gave_up: bool = False
    """That was to leave the slot as it is: `maxRestarts` in a row did not help."""
    well_since: Nanos | None = None
    """Since when the checks pass; None: they do not, or were not heard of yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMemory:
    """What must be known of a slot after the daemon was replaced. Void after a reboot."""

    slot: Slot
    restarts: int = 0
    """Automatic restarts since the spec last changed."""
    last_restart: Nanos | None = None
    """When a process of this slot last took the place of another."""
    trouble: Trouble = field(default_factory=Trouble)
    last_exit: Exit | None = None
    ready_run: RunId | None = None
    """The run that became ready; it need not prove it again."""
    done: Digest | None = None
    """The spec digest that ended well and is not to be started again by itself."""
    done_at: Nanos | None = None
    tried: Digest | None = None
    """The spec digest of the last start: a new digest clears trouble and counts."""
    newest: Nanos = Nanos(0)
    """When the newest process of this slot started; a word of an older one is stale."""
    asked: RunId | None = None
    """The last run that was asked to end while it lived, so that its end is no failure."""
    exited: RunId | None = None
    """The last run whose exit was heard, so that it is judged once."""
    ended: RunId | None = None
    """The last run that is gone with its whole tree."""
    loaded: Mapping[str, str] = field(default_factory=dict)
    """The hash of each `reloadOn` file as the process has it, from its start or a reload;
    empty: there was none."""
    reloaded_at: Nanos | None = None
    """When the last reload of the process began that went well."""
    reload_failed: str = ""
    """Why a later reload failed, in words; the process goes on as it was."""
    proven: RunId | None = None
    """The last run whose check has passed; it need not prove it again."""
    ill: Illness | None = None
    """Why the slot is degraded, so that it still is for the next daemon."""
    remedy: Remedy = field(default_factory=Remedy)
    occasions: tuple[Occasion, ...] = ()
    """What errands are due for, at most one of each role."""
    errands_over: tuple[RunId, ...] = ()
    """The last errands that are gone with their trees, so that none counts twice."""

    def occasion(self, role: Role) -> Occasion | None:
        """Give what errands of a role are due for; None: for nothing."""
        return next((one for one in self.occasions if one.role is role), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloading:
    """A reload under way."""

    serial: Serial
    since: Nanos
    until: Nanos
    """When to try again: it was not answered, or could not be delivered."""
    loads: Mapping[str, str]
    """What the process has once this is over."""
    because: str
    tries: int = 1
    is_delivered: bool = False
    """Whether the process was told, and may say itself when it is done (`type: notify`)."""
    is_announced: bool = False
    """Whether it has said that it began (RELOADING=1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What somebody did to a process by hand, and how far it is undone."""

    run: RunId
    is_halted: bool
    nice: int | None
    """What it has in the place of the manifest's; None: just that."""
    serial: Serial | None = None
    """The command that undoes it, while not answered."""
    until: Nanos = Nanos(0)
    """When to try again: it was not answered, or did not work."""
    problem: str = ""
    """Why it did not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoes:
    """What the changes of a service's watched files led to."""

    acted_at: Nanos
    """When a change was last acted upon."""
    seen_at: Nanos
    files: tuple[str, ...] = ()
    """What had changed then."""
    count: int = 0
    """Changes of these in a row, each just after the start that the one before led to."""
    own: frozenset[str] = frozenset()
    """Files that the service changes itself, as far as can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """One slot as the engine sees it now."""

    memory: SlotMemory
    state: State = State.STOPPED
    since: Nanos = Nanos(0)
    process: Process | None = None
    """The live one, or the last one until its tree is empty."""
    pending: Pending | None = None
    touched: Serial = Serial(0)
    """The last command for this slot; an older look says nothing about it."""
    cause: str = ""
    """Why the present or coming process is started: start, crash, change, manual, dependency."""
    deadline: Nanos | None = None
    """Of the state: start timeout while starting, stop timeout while stopping."""
    watchdog_at: Nanos | None = None
    """When the watchdog acts unless it is fed before."""
    next_probe: Nanos | None = None
    """When to ask a starting process whether it is ready."""
    probing: Serial | None = None
    """The readiness probe under way."""
    probe_said: str = ""
    """What the last readiness probe answered, for the reason shown."""
    swept: bool = False
    """Whether what outlived the main process was asked to end as well."""
    killed: bool = False
    """Whether the tree was sent SIGKILL."""
    aborted: bool = False
    """Whether its watchdog was not fed, so that it is asked to end by SIGABRT."""
    after_stop: State = State.STOPPED
    """What a stopping slot becomes: stopped, or crashed after a start that timed out."""
    is_untold: bool = False
    """Whether the end of its main process is still to be told, once its tree is gone."""
    reloading: Reloading | None = None
    lost_in: State | None = None
    """The state in which the host was lost from sight, while the slot is unknown for that."""
    reason: str = ""
    """Why the slot is in its state, in words for people."""
    short: str = ""
    """What the host lacks for a start: `needs 512M, 300M available`."""
    taken: str = ""
    """Who listens where the service shall: `tcp://127.0.0.1:80 is in use by nginx (pid 12)`."""
    put_off: bool = False
    """Whether its last try to start was put off, for want of leave or means."""
    trying: str = ""
    """What it is tried again for after that; such a start is told only once it comes to more."""
    refused: str = ""
    """What a hook of the host said against its start or its stop."""
    refusals: int = 0
    """How often in a row."""
    over: str = ""
    """What its process was measured to use too much of."""
    outgrown: str = ""
    """Why its process must be replaced: it uses too much memory."""
    verdict: Verdict = Verdict.UNKNOWN
    """What the checks of its process come to, as last told."""
    check_said: str = ""
    """Why they fail, in words."""
    check_told: Nanos | None = None
    """When people were last told that a check failed, be it not beyond the threshold."""
    is_check_bad: bool = False
    """Whether that is the last that they were told of it."""
    drift: Drift | None = None
    """What was done to its process by hand, until it is undone."""
    sides: tuple[Side, ...] = ()
    """What runs beside the main process, at most one of each role."""
    parting: Mapping[str, str | int | float | bool | None] | None = None
    """How its process ended, to be told once the hooks of a stop are over."""

    def side(self, role: Role) -> Side | None:
        """Give what runs of a role; None: nothing."""
        return next((one for one in self.sides if one.role is role), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How far a schedule was followed. Times are the wall clock's, so a reboot voids only `at`."""

    schedule: Schedule
    since: WallTime | None = None
    """Its times up to this one are over: run, passed over or missed. None: nobody looked yet."""
    at: Nanos | None = None
    """When that was, by the clock of this boot; None: in an earlier one."""
    owed: WallTime | None = None
    """The scheduled time whose run is still to begin."""
    last: WallTime | None = None
    """The scheduled time of the last run that began."""
    runs_from: Nanos | None = None
    """When, in this boot, it was put on a schedule; what ran before is none of its runs."""


class RolloutPhase(StrEnum):
    """What becomes of a rollout."""

    ROLLING = "rolling"
    PAUSED = "paused"
    """No further slot is touched, until somebody says what shall be."""
    BACK = "back"
    """Slots return to the version before."""
    UNDONE = "undone"
    """They have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A new version, or a restart, on its way through the slots of a service.

    A slot that was rolled has to run `to`, any other runs on as it is; where it starts anew, it
    does so as `base`.
    """

    to: ServiceSpec
    base: ServiceSpec
    since: Nanos
    """Processes of `to` that started before are out of date, as those of other versions."""
    began: Nanos
    """An end of a process that started before says nothing about it."""
    phase: RolloutPhase = RolloutPhase.ROLLING
    rolled: tuple[int, ...] = ()
    proven: tuple[int, ...] = ()
    """Those of them that were ready for `minReady`."""
    surge: int = 0
    """Slots above the service's own, for as long as it lasts."""
    because: str = ""
    """Why it is paused or goes back, in words."""
    failed: bool = False
    """Whether its version is to serve no more: it failed, or somebody took it back."""

    def version(self, index: int) -> ServiceSpec:
        """Give the spec that a slot starts with."""
        return self.to if index in self.rolled else self.base


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMemory:
    """What must be known of a service after the daemon was replaced."""

    spec: ServiceSpec
    """The last good one that was put into force."""
    source: Source
    restart_before: Nanos | None = None
    """Replace every process started before this: a restart somebody asked for."""
    restart_reason: str = ""
    restart_cause: str = "manual"
    """In a word, as `service_restarts_total` has it."""
    timing: Timing | None = None
    """Of one that runs on a schedule."""
    reload_before: Nanos | None = None
    """Reload every process that was last started or reloaded before this: somebody asked for it."""
    reload_reason: str = ""
    leaving: bool = False
    """Its removal was let go and is under way: it was small, or somebody agreed to it."""
    rollout: Rollout | None = None
    """How far `spec`, or a restart, has come; None: all slots have it, or none needs care."""
    quarantined: tuple[Digest, ...] = ()
    """Versions whose rollout failed, the last one last: none is tried again by itself."""

    @property
    def width(self) -> int:
        """Give how many slots there are, those of a rollout included."""
        return self.spec.instances + (self.rollout.surge if self.rollout else 0)

    def version(self, index: int) -> ServiceSpec:
        """Give the spec that a slot starts with."""
        return self.rollout.version(index) if self.rollout else self.spec


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneHold:
    """A removal too large to happen without a yes."""

    id: str
    services: tuple[ServiceName, ...]
    because: str
    approved: bool = False
    passes: bool = False
    """Whether it ends by itself, once the manifests beside it can all be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that outlives the daemon."""

    boot: str
    services: Mapping[ServiceName, ServiceMemory] = field(default_factory=dict)
    slots: Mapping[Slot, SlotMemory] = field(default_factory=dict)
    prune: PruneHold | None = None
    overlays: tuple[Overlay, ...] = ()
    removed: Mapping[ServiceName, Nanos] = field(default_factory=dict)
    """What was removed unasked, and when: as long as it counts with the next removal."""
