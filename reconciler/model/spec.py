"""What a person wants to run: one service, as its manifest says it, defaults filled in.

A spec holds no absolute path and nothing of this host, so that the same manifest gives the
same spec wherever it is read. Field names are those of the manifest in snake_case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.health import HealthCheck, OnUnhealthy
from reconciler.model.listening import AUTO_PORT, ExecMode, ListenSocket
from reconciler.model.log import LogRotation
from reconciler.model.units import Digest, Nanos, ServiceName, minutes, seconds
from reconciler.model.update import Update


class DesiredState(StrEnum):
    """Whether a service should run."""

    RUNNING = "running"
    STOPPED = "stopped"


class ServiceType(StrEnum):
    """How a service lives: it serves until stopped, or it does its work and exits."""

    SIMPLE = "simple"
    NOTIFY = "notify"
    """It says itself when it is ready, by the sd_notify protocol."""
    ONESHOT = "oneshot"


class RestartPolicy(StrEnum):
    """When a process that ended is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class Condition(StrEnum):
    """What must hold of a need before its dependent starts."""

    STARTED = "started"
    READY = "ready"
    HEALTHY = "healthy"
    """Ready, and its check has passed at least once since its start."""
    COMPLETED = "completed"


class OnRestart(StrEnum):
    """What a dependent does when its need was restarted."""

    NONE = "none"
    RESTART = "restart"


class Overlap(StrEnum):
    """What happens at a scheduled time while the last run is still going on."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """What happens once nobody was there at a scheduled time."""

    NONE = "none"
    ONCE = "once"


class ReadyType(StrEnum):
    """How a started process shows that it is ready."""

    DELAY = "delay"
    TCP = "tcp"
    HTTP = "http"
    COMMAND = "command"
    NOTIFY = "notify"
    LOG_LINE = "logLine"
    FILE = "file"


class MemoryAction(StrEnum):
    """What is done about a service that uses more than its `maxMemory`."""

    RESTART = "restart"
    ALERT = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One dependency of a service (`dependsOn`)."""

    service: ServiceName
    condition: Condition = Condition.READY
    on_restart: OnRestart = OnRestart.NONE
    required: bool = True
    """Without it, the need is waited for only while it may still come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before restart n: min(max, initial * factor^(n-1)) + up to `jitter`.

    The count of failures begins anew after `reset_after` of uptime.
    """

    initial: Nanos = seconds(1)
    max: Nanos = seconds(60)
    factor: float = 2.0
    jitter: Nanos = seconds(1)
    reset_after: Nanos = minutes(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpTarget:
    """A port that accepts connections once the service is ready."""

    port: int | str
    """A text is to be filled in: `${port}`, `800${instance}`."""
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget:
    """A URL that answers with one of `expected_status` (empty: any 2xx or 3xx)."""

    url: str
    expected_status: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTarget:
    """A command that exits 0 once the service is ready; run in its cwd and environment."""

    cmd: tuple[str, ...]
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How to tell that a process is ready. Without one: still running 1 s after its start."""

    type: ReadyType = ReadyType.DELAY
    delay: Nanos = seconds(1)
    """Of type `delay`: ready this long after the start, if it still runs."""
    tcp: TcpTarget | None = None
    http: HttpTarget | None = None
    command: CommandTarget | None = None
    pattern: str = ""
    """Of type `logLine`: what a line of this run's output has to contain."""
    path: str = ""
    """Of type `file`: what this run has to make, or to touch."""
    interval: Nanos = seconds(0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A command that is run on an occasion, in the surroundings of its service."""

    command: tuple[str, ...]
    """Words; with `shell`, the one text that /bin/sh -c gets."""
    args: tuple[str, ...] = ()
    shell: bool = False
    timeout: Nanos = seconds(30)
    """It is killed with all that it started when this is over."""
    user: str = ""
    """Empty: the user of its service."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Beside the variables of its service."""


DEFAULT_UMASK = 0o022


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One resource limit of a process, as setrlimit has it: -1 is unlimited, None as it is."""

    soft: int | None = None
    hard: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a oneshot runs: by a cron expression, or every so often."""

    cron: str = ""
    every: Nanos | None = None
    timezone: str = ""
    """Of `cron`; empty: that of the host."""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.NONE

    def is_at_the_times_of(self, other: Schedule) -> bool:
        """Tell whether two schedules mean the same times."""
        return (self.cron, self.every, self.timezone) == (other.cron, other.every, other.timezone)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadWay:
    """How a process is told to read its configuration anew, without another taking its place.

    One of the two.
    """

    signal: str = ""
    """Sent to the main process."""
    command: Hook | None = None
    """Run beside it; the reload is over when it ends."""


class WatchAction(StrEnum):
    """What a change of watched files does."""

    RESTART = "restart"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Files under development, whose changes take effect at once."""

    paths: tuple[str, ...]
    """Files, and folders with all that is in them."""
    ignore: tuple[str, ...] = ()
    """Patterns as in a .gitignore, besides those that are always left out."""
    delay: Nanos = seconds(0.5)
    """How long nothing must have changed; changes before that are one."""
    action: WatchAction = WatchAction.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The commands that are run around the life of a service's processes, in order."""

    pre_start: tuple[Hook, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    post_stop: tuple[Hook, ...] = ()
    on_failure: tuple[Hook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service as wanted."""

    name: ServiceName
    digest: Digest
    """The hash of all `restart` fields, env files by their content; see manifest/digest.py."""

    display_name: str = ""
    description: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    command: tuple[str, ...] = ()
    """Words; with `shell`, the one text that /bin/sh -c gets."""
    args: tuple[str, ...] = ()
    interpreter: tuple[str, ...] = ()
    shell: bool = False
    cwd: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    env_file: tuple[str, ...] = ()
    stdin: str = ""
    """Empty: nothing to read."""
    log_file: str = ""
    error_file: str = ""
    """Empty: where standard output goes."""
    log_level: str = ""

    user: str = ""
    """A name or number; empty: as the daemon."""
    group: str = ""
    supplementary_groups: tuple[str, ...] = ()
    """Besides those of the user."""
    umask: int = DEFAULT_UMASK
    nice: int | None = None
    limits: Mapping[str, Limit] = field(default_factory=dict)
    no_new_privileges: bool = False
    log_rotation: LogRotation = field(default_factory=LogRotation)

    state: DesiredState = DesiredState.RUNNING
    protect: bool | None = None
    """Whether its removal needs a yes; None: as the version in force has it."""
    instances: int = 1
    exec_mode: ExecMode | None = None
    """None: as its sockets have it."""
    sockets: tuple[ListenSocket, ...] = ()
    """In the order in which a process gets them, from descriptor 3 on."""
    port: int | None = None
    """What `${port}` and PORT are; 0: the daemon is still to pick one (`port: auto`)."""
    type: ServiceType = ServiceType.SIMPLE
    needs: tuple[Need, ...] = ()

    start_timeout: Nanos | None = None
    """None: 60 s for a service; no limit for a oneshot, whose whole run it would bound."""
    stop_timeout: Nanos = seconds(10)
    stop_signal: str = "SIGTERM"
    restart: RestartPolicy = RestartPolicy.ALWAYS
    backoff: Backoff = field(default_factory=Backoff)
    max_restarts: int | None = 10
    """Restarts in a row before giving up; None: never gives up."""
    success_exit_codes: tuple[int | str, ...] = ()
    """Exit codes besides 0, and names of signals, that count as success."""
    ready: Readiness | None = None
    schedule: Schedule | None = None
    """When a oneshot runs, and then only; None: once."""
    reload: ReloadWay | None = None
    watch: Watch | None = None
    reload_on: tuple[str, ...] = ()
    """Files whose content the process loads: another content reloads it."""
    loads: Mapping[str, str] = field(default_factory=dict)
    """The hash of each of these files as it is now; no part of the manifest's text. A file that
    is not there, or is being written, is left out: nobody is told to load that."""
    watchdog_timeout: Nanos | None = None
    """How often the service has to say WATCHDOG=1; None: it need not."""
    hooks: Hooks = field(default_factory=Hooks)
    health: HealthCheck | None = None
    """How it is checked while it runs; None: nobody asks."""
    on_unhealthy: OnUnhealthy = OnUnhealthy.NONE
    update: Update = field(default_factory=Update)

    @property
    def readiness(self) -> Readiness:
        """Give how to tell that a process is ready, where the manifest says nothing of it too."""
        return self.ready or (_BY_NOTICE if self.type is ServiceType.NOTIFY else _BY_DELAY)

    @property
    def has_notify(self) -> bool:
        """Tell whether its processes are given a notify socket."""
        return self.type is ServiceType.NOTIFY or self.watchdog_timeout is not None

    @property
    def has_account(self) -> bool:
        """Tell whether it says who it runs as."""
        return bool(self.user or self.group or self.supplementary_groups)

    max_memory: int | None = None
    """Bytes that the whole tree may use."""
    max_cpu: float | None = None
    """Cores that it may use, 0.5 for half of one."""
    pids_max: int | None = None
    """Processes and threads that it may have."""
    memory_action: MemoryAction = MemoryAction.RESTART

    @property
    def is_oneshot(self) -> bool:
        """Tell whether the service does its work and exits."""
        return self.type is ServiceType.ONESHOT

    @property
    def rolls(self) -> bool:
        """Tell whether a new version comes slot by slot, so that others serve meanwhile."""
        is_served = self.instances > 1 or bool(self.sockets)
        return is_served and not self.is_oneshot and self.schedule is None

    @property
    def surge(self) -> int:
        """Give how many slots above `instances` a rollout may use."""
        return self.update.surge if self.rolls else 0

    @property
    def unavailable(self) -> int:
        """Give how many slots may be without service because of a rollout."""
        return self.update.unavailable if self.rolls else self.instances

    @property
    def listens(self) -> frozenset[str]:
        """Give the addresses of its sockets."""
        return frozenset(one.listen for one in self.sockets)

    @property
    def shares_sockets(self) -> bool:
        """Tell whether its instances share sockets, and with them the work."""
        return bool(self.sockets) and self.exec_mode is not ExecMode.FORK

    @property
    def awaits_port(self) -> bool:
        """Tell whether the daemon has to pick a port before anything can be started."""
        return self.port == AUTO_PORT

    @property
    def wants_to_run(self) -> bool:
        """Tell whether the manifest asks for processes."""
        return self.state is DesiredState.RUNNING


DEFAULT_START_TIMEOUT = seconds(60)
_BY_DELAY = Readiness()
_BY_NOTICE = Readiness(type=ReadyType.NOTIFY)
