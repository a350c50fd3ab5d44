"""The one facade through which people reach a running daemon.

The API calls nothing else. Questions give frozen nouns; long verbs are async iterators of
`messages.Message`, the last of which is a `Summary` that carries the exit code. A question that
cannot be answered raises a `WeaverError` (its `exit_code` and `mend` are for the caller to show);
a long verb raises nothing, its trouble is a `Problem` message before the `Summary`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reconciler.core.launch import Account, Identity
from reconciler.core.pointers import Pointers
from reconciler.model.log import LogLine, LogQuery
from reconciler.model.observed import Slot
from reconciler.model.status import Picture, Way
from reconciler.model.units import SECOND, Nanos, ServiceName
from reconciler.ports import EventRecord, LogEntry, TransitionRecord, Usage
from reconciler.runtime.checked import Charts
from reconciler.runtime.messages import Message, Preview
from reconciler.runtime.requests import (
    Change,
    EventQuery,
    OperationRequest,
    Terms,
    WaitQuery,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """A branch of a repository elsewhere, as it is followed."""

    address: str
    """With no secret in it."""
    branch: str
    fetched: str
    """Where the branch was when it was looked at last; empty: it never was."""
    verified: str
    """What is followed; empty: nothing yet."""
    reason: str
    """Why it is not followed further, or what is wrong with looking at it; else empty."""
    reason_code: str
    seen_at: Nanos | None
    """When the other side was last seen; None: not in this life of the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushFacts:
    """The branch elsewhere that a checkout's is pushed to (`git.push`)."""

    remote: str
    """As git calls it in the checkout; empty where there is none."""
    branch: str
    waiting: int
    """Commits of Weaver's that are not there yet."""
    reason: str
    """What is in the way of a push; else empty."""
    reason_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """The daemon about itself."""

    pid: int
    version: str
    uptime: float
    """Seconds."""
    holder_pid: int | None
    root: str
    state_dir: str
    socket: str
    mode: str
    """How it follows the manifests: `worktree` or `commit`."""
    source: SourceFacts | None = None
    """What it follows elsewhere; None where it follows the files of a checkout."""
    push: PushFacts | None = None
    """Where it pushes what it commits in a checkout; None where it does not."""
    brought_back: str = ""
    """How the daemon ended in whose place the holder started this one; empty where none did."""
    metrics_listen: str = ""
    """Where `/metrics` is on TCP; empty: nowhere."""
    troubles: tuple[str, ...] = ()
    """What is wrong with Weaver itself just now: `cannot save the record: disk full` ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The picture, with what only the runtime knows: usage, wall clock, the daemon itself."""

    picture: Picture
    usage: Mapping[Slot, Usage]
    """Of the slots that run; sampled at most once in two seconds."""
    daemon: DaemonFacts
    wall: float
    """The wall clock at `picture.now`, seconds since 1970."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Which control groups runs are killed (`main`) and limited by; empty while nobody knows."""
    charts: Charts = field(default_factory=Charts)
    """What checks say of the slots that are checked."""

    def wall_at(self, at: Nanos) -> float:
        """Give the wall clock of a point of boot time."""
        return self.wall - (self.picture.now - at) / SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One link of the chain that explains a service's state, the service itself first."""

    service: ServiceName
    state: str
    because: str
    file: str = ""
    """`services.d/web.yaml:1:1`, where a manifest is part of the reason."""
    depth: int = 0
    """0 for the service asked about, 1 for what it waits for, and so on."""
    log_tail: tuple[str, ...] = ()
    """The last words of one that crashed, its hooks' included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What became of one service: its states and its commits, newest first."""

    service: ServiceName
    transitions: Sequence[TransitionRecord]
    commits: Sequence[LogEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitResult:
    """How a wait ended: 0 all there, 6 unknown name, 7 cannot get there, 9 time is up."""

    exit_code: int
    missing: Mapping[ServiceName, str] = field(default_factory=dict)
    """Services that are not there, and why."""
    seconds: float = 0.0


class Grade(StrEnum):
    """How a finding of `doctor` is to be taken."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `doctor`."""

    check: str
    grade: Grade
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What `run` needs to start a command as a service would be started."""

    service: ServiceName
    cwd: str
    env: Mapping[str, str]
    account: Account
    """The daemon's own where the service asks for no other."""
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One effective value of weaver.yaml and where it comes from."""

    path: str
    """`git.autoCommit`."""
    value: str
    is_default: bool


class Control(Protocol):
    """Everything that can be asked of a daemon."""

    # --- questions -------------------------------------------------------------------------

    async def scene(self) -> Scene:
        """Give everything that status, services, graph, health and metrics show."""
        ...

    async def preview(self) -> Preview:
        """Compare what is desired with what runs (`weaver diff` live)."""
        ...

    async def events(self, query: EventQuery) -> Sequence[EventRecord]:
        """Give stored events in order."""
        ...

    def follow(self, query: EventQuery) -> AsyncIterator[EventRecord]:
        """Give stored events after `query.after`, then each new one, without end.

        With `after` 0 only new ones. A reader that falls 1,000 events behind is ended.
        """
        ...

    async def history(self, service: ServiceName, limit: int = 100) -> History:
        """Give a service's state changes and commits. Raises NotFoundError."""
        ...

    async def pointers(self, service: ServiceName) -> Pointers:
        """Tell how far a service has come along its history. Raises NotFoundError."""
        ...

    async def why(self, service: ServiceName) -> Sequence[Reason]:
        """Give the chain of reasons for a service's state. Raises NotFoundError."""
        ...

    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        """Give log lines, merged by time. Raises NotFoundError at the first step."""
        ...

    async def wait(self, query: WaitQuery) -> WaitResult:
        """Answer when the goal is reached, cannot be reached, or time is up."""
        ...

    async def settings(self) -> Sequence[Setting]:
        """Give the effective weaver.yaml."""
        ...

    async def doctor(self) -> Sequence[Finding]:
        """Look for what is wrong with this set-up."""
        ...

    async def manifest(self, service: ServiceName) -> str:
        """Give the text of a service's manifest as saved, its document alone.

        Raises NotFoundError.
        """
        ...

    async def surroundings(self, service: ServiceName) -> Surroundings:
        """Give the environment and directory of a service's first slot. Raises NotFoundError."""
        ...

    # --- long verbs ------------------------------------------------------------------------

    def change(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        """Change manifests: validate, guard, preview, commit, follow that commit, report.

        With `terms.dry_run` it ends after `Planned`: exit 1 where something would change, 0
        where nothing would.
        """
        ...

    def operate(self, request: OperationRequest, terms: Terms) -> AsyncIterator[Message]:
        """Do what changes no manifest: restart, retry, approve, settle, shut down.

        `Settle` is what `up` beside a live daemon asks: exit 0 when everything converged, 4 when
        something failed or is held, 9 when time is up.
        """
        ...
