"""How a service that runs is checked, and what a check says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.observed import Slot
from reconciler.model.units import Nanos, RunId, minutes, seconds


class CheckType(StrEnum):
    """How a service is asked whether it is well."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    CUSTOM = "custom"
    MCP = "mcp"


class OnUnhealthy(StrEnum):
    """What is done once about a slot whose check fails beyond its threshold."""

    NONE = "none"
    RESTART = "restart"
    RELOAD = "reload"
    ALERT = "alert"


class Verdict(StrEnum):
    """What the checks of one run of a slot come to."""

    UNKNOWN = "unknown"
    """It was not checked yet, or has not passed yet in its `startPeriod`."""
    HEALTHY = "healthy"
    FAILING = "failing"
    """Checks fail, but not as often as the threshold says."""
    DEGRADED = "degraded"
    """Checks fail beyond the threshold, and passed not often enough since."""


class CheckFault(StrEnum):
    """Why a check failed, in one word: the label `reason` of the metrics."""

    TIMEOUT = "timeout"
    """It took longer than `timeout`."""
    REFUSED = "refused"
    """Nobody listens, or nobody lets us in."""
    NAME = "name"
    """The name of the host is not known."""
    CONNECTION = "connection"
    """It was reset, or ended before the answer did."""
    TLS = "tls"
    PROTOCOL = "protocol"
    """The answer is none of the protocol that was asked for."""
    REDIRECT = "redirect"
    """It leads to another host, or too often somewhere else."""
    STATUS = "status"
    BODY = "body"
    """What it says is not what is expected."""
    EXIT = "exit"
    """A command, or the process of a checker, ended otherwise than it should."""
    FAILED = "failed"
    """A checker says so itself."""
    MEMORY = "memory"
    """A checker used more memory than it may have."""
    FORBIDDEN = "forbidden"
    """It is a target that is never asked: our own API, or an address of the link."""
    HOST = "host"
    """This host had no process, memory or descriptor to make it with: it says nothing."""
    ERROR = "error"
    """It could not be made at all: the program is not there, an env file is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """A URL and the answer that is expected of it, `unix:/path/of.sock:/url` for a socket."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    expected_status: tuple[tuple[int, int], ...] = ()
    """First and last of each range; empty: any 2xx or 3xx."""
    expected_body: str = ""
    """A regular expression that is found in the first 64 KiB of the body."""
    verify_tls: bool = True
    max_redirects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """A port that accepts connections."""

    port: int | str
    """A text is to be filled in: `${port}`, `800${instance}`."""
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCheck:
    """A command, run in the directory and the environment of its service."""

    cmd: tuple[str, ...]
    args: tuple[str, ...] = ()
    expected_exit_code: int = 0
    expected_output: str = ""
    """A regular expression that is found in what it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCheck:
    """A function in Python, run in a process of its own."""

    module: str
    """`package.module:function` or `path/of/file.py:function`."""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """What the function is called with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCheck:
    """A server of the Model Context Protocol: at a URL, or a command that speaks it on stdio."""

    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    verify_tls: bool = True
    cmd: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """When failed checks make a slot `degraded`: any of the two."""

    consecutive_failures: int = 3
    failure_rate: float | None = None
    """Percent of the checks in `time_window`."""
    time_window: Nanos = minutes(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How a slot is checked while it runs; of the targets there is the one of its `type`."""

    type: CheckType
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    custom: CustomCheck | None = None
    mcp: McpCheck | None = None

    interval: Nanos = seconds(10)
    """From the beginning of one check to that of the next."""
    timeout: Nanos = seconds(3)
    """Of each try, for all that belongs to it."""
    retries: int = 0
    """Further tries before a check has failed."""
    start_period: Nanos = Nanos(0)
    """Failures count only after this long, or after the first success."""
    start_interval: Nanos = seconds(1)
    """The interval in `start_period`, until the first success."""
    success_threshold: int = 1
    """Checks in a row that have to pass until a degraded slot is well again."""
    threshold: Threshold = field(default_factory=Threshold)

    @property
    def is_of_one_slot(self) -> bool:
        """Tell whether an answer says something about one slot.

        A target that is the same for all instances is answered by any of them.
        """
        match self.type:
            case CheckType.HTTP if self.http is not None:
                return is_per_instance(self.http.url)
            case CheckType.TCP if self.tcp is not None:
                return is_per_instance(f"{self.tcp.host}:{self.tcp.port}")
            case CheckType.MCP if self.mcp is not None and self.mcp.url:
                return is_per_instance(self.mcp.url)
            case _:
                # A command knows from its environment which slot it is for.
                return True


def is_per_instance(target: str) -> bool:
    """Tell whether a target is another one for each instance.

    >>> is_per_instance("http://127.0.0.1:800${instance}/"), is_per_instance("http://localhost/")
    (True, False)
    >>> is_per_instance("http://localhost/$${instance}")
    False
    """
    return "${instance}" in target.replace("$$", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """How one check of one run of a slot ended, with all of its tries."""

    slot: Slot
    run: RunId
    type: CheckType
    ok: bool
    at: Nanos
    """When it was over."""
    took: Nanos
    """What its last try took."""
    detail: str = ""
    """What was seen, or why it failed."""
    fault: CheckFault | None = None
    """Why it failed; None where it passed."""
    tries: int = 1
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """What else is known of it: the status, the exit code, the name of a server."""
