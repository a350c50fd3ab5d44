"""What runs: processes as the host shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.units import Digest, Nanos, RunId, Serial, ServiceName


class State(StrEnum):
    """The states of a slot and of a service."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CRASHED = "crashed"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a process of a slot is there for: the service itself, or an errand beside it."""

    MAIN = "main"
    PRE_START = "preStart"
    POST_START = "postStart"
    PRE_STOP = "preStop"
    POST_STOP = "postStop"
    ON_FAILURE = "onFailure"
    RELOAD = "reload"

    @property
    def in_words(self) -> str:
        """Name an errand of this role for people.

        >>> Role.PRE_STOP.in_words, Role.RELOAD.in_words
        ('preStop hook', 'reload command')
        """
        return "reload command" if self is Role.RELOAD else f"{self} hook"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Slot:
    """One of a service's instances, counted from 0. A key: never parsed back from its text."""

    service: ServiceName
    index: int

    def __str__(self) -> str:
        return f"{self.service}-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """The identity of a process: a pid alone is reused, this is not."""

    boot: str
    """The kernel's boot id."""
    pid: int
    born: int
    """The birth tick: /proc/PID/stat field 22."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended. Neither code nor signal: nobody could see it (`unknown`)."""

    at: Nanos
    code: int | None = None
    signal: str | None = None
    core: bool = False
    unknown: bool = False
    note: str = ""
    """What was found out about it: `port 8080 is in use by nginx (pid 12)`."""
    oom: bool = False
    """Whether the kernel killed it for want of memory."""
    crowded_out: bool = False
    """Whether somebody who is no service of ours has the port that it wanted; `note` says who."""

    def __str__(self) -> str:
        return self.told()

    @property
    def before_ready(self) -> str:
        """Say how it ended, of a process that never was ready."""
        return self.told(" before it was ready")

    def told(self, when: str = "") -> str:
        """Say how it ended and when, then what was found out about it.

        >>> Exit(at=Nanos(0), code=1, note="port 80 is in use").told(" too early")
        'exited with 1 too early: port 80 is in use'
        """
        note = f": {self.note}" if self.note else ""
        if self.oom:
            limit = f" ({self.note})" if self.note else ""
            return f"killed by the kernel{when}: out of memory{limit}"
        if self.signal is not None:
            core = " (core dumped)" if self.core else ""
            return f"killed by {self.signal}{core}{when}{note}"
        end = "exited, code unknown" if self.unknown else f"exited with {self.code}"
        return f"{end}{when}{'' if self.unknown else note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a run said of itself by sd_notify: of everything the last word."""

    at: Nanos = Nanos(0)
    """When it said anything last; 0: never."""
    ready: bool = False
    reloading: Nanos = Nanos(0)
    """When the reload began that it has not ended yet; 0: it reloads nothing."""
    stopping: bool = False
    status: str = ""
    """In its own words, as they came: to be shown, never to be trusted."""
    errno: int = 0
    watchdog: Nanos = Nanos(0)
    """How often it has to say that it is well; 0: it need not."""
    pinged: Nanos = Nanos(0)
    """When it said so last."""
    failed: bool = False
    """It said itself that its watchdog is to act."""
    extended: Nanos = Nanos(0)
    """Until when it asked for time to start or to stop, whichever it does."""


NOTHING_SAID = Notice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process found for a slot: the main one of its tree."""

    slot: Slot
    id: ProcessId
    run: RunId
    digest: Digest
    """Of the spec it was started with."""
    started: Nanos
    exit: Exit | None = None
    """Set once the main process ended."""
    tree_empty: bool = False
    """Whether nothing of its tree is left."""
    role: Role = Role.MAIN
    place: int = 0
    """Of several commands of its role, which one it is; counted from 0."""
    notice: Notice = NOTHING_SAID

    @property
    def is_live(self) -> bool:
        """Tell whether anything of the tree still runs."""
        return self.exit is None or not self.tree_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSocket:
    """A socket that is bound for a service."""

    service: ServiceName
    address: str
    is_held: bool = True
    """False: the host has lost it, and at most a process of the service has it still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything the host shows at one moment, ours only."""

    serial: Serial
    """Commands with a smaller serial have had all the effect they will ever have."""
    boot: str
    processes: tuple[Process, ...] = ()
    sockets: tuple[HeldSocket, ...] = ()
    kept: tuple[Slot, ...] = ()
    """For which of them it keeps something that outlives a process: notify sockets, descriptors."""
