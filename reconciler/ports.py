"""The few Protocols through which the outside world is touched.

Adapters implement them, `app.py` chooses the adapters, and the runtime knows nothing else. A port
never raises for what the world does: a failure is an event, a value, or a `WeaverError` where the
caller is a person.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.manifest.intent import Intent
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.errors import (
    BlockedError,
    ConflictError,
    ForbiddenError,
    HostError,
    ManifestError,
    NotFoundError,
    SourceHeldError,
    StoreError,
    WeaverError,
)
from reconciler.model.event import (
    Decision,
    Event,
    LookAtHost,
    NextTime,
    Probe,
    Signal,
    Spawn,
    TimeTold,
)
from reconciler.model.health import CheckResult, HealthCheck
from reconciler.model.listening import CloseSockets
from reconciler.model.log import LogLine, LogQuery, LogSource, LogUpkeep
from reconciler.model.observed import ProcessId, Slot
from reconciler.model.put_right import PutRight
from reconciler.model.record import Memory
from reconciler.model.spec import ServiceSpec
from reconciler.model.stored import EventRecord, TransitionRecord
from reconciler.model.units import Nanos, RunId, ServiceName

__all__ = [
    "Author",
    "BlockedError",
    "Check",
    "Checker",
    "Clock",
    "CommitRequest",
    "Committed",
    "ConflictError",
    "Draft",
    "Drafts",
    "EventRecord",
    "ForbiddenError",
    "Host",
    "HostError",
    "LogEntry",
    "Logs",
    "ManifestError",
    "Manifests",
    "NotFoundError",
    "Prober",
    "Repository",
    "Sampler",
    "SourceHeldError",
    "Store",
    "StoreError",
    "Timetable",
    "TransitionRecord",
    "Usage",
    "WeaverError",
]


class Clock(Protocol):
    """Time, as a port so that tests own it."""

    def now(self) -> Nanos:
        """Give the time since boot, suspend included (CLOCK_BOOTTIME)."""
        ...

    def wall(self) -> float:
        """Give the wall clock in seconds since 1970, for display and names only."""
        ...

    def boot(self) -> str:
        """Give the kernel's boot id."""
        ...


class Host(Protocol):
    """The holder and the processes it holds."""

    async def open(self, tell: Callable[[Event], None]) -> None:
        """Connect, starting a holder if none answers.

        From now on `tell` gets every `Exited`, `TreeEmptied` and `HostLost`. After a loss it
        reconnects by itself.
        """
        ...

    async def perform(
        self, command: Spawn | Signal | PutRight | LookAtHost | CloseSockets
    ) -> Event:
        """Do one command and give the event that answers it. Never raises."""
        ...

    def acknowledge(self) -> None:
        """Tell the holder, after what was just begun, that every exit told so far is on record."""
        ...

    async def close(self, *, stop_holder: bool) -> None:
        """Leave; with `stop_holder` the holder ends too (its services must be gone)."""
        ...

    @property
    def holder_pid(self) -> int | None:
        """Give the holder's pid, None while there is none."""
        ...


class Prober(Protocol):
    """Asks processes whether they are ready."""

    async def probe(self, command: Probe) -> Event:
        """Probe once and give `ProbeAnswered`, within the command's timeout. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check to make of a run of a slot."""

    slot: Slot
    run: RunId
    spec: ServiceSpec
    health: HealthCheck


class Checker(Protocol):
    """Checks whether processes that run are well."""

    def begin(self, check: Check, tell: Callable[[CheckResult], None]) -> Callable[[], None]:
        """Begin one check, with all its tries, and give how to give it up.

        Returns at once and never raises. The loop calls `tell` once, later than this returns and
        at most `1 + retries` times `timeout` (and the pauses between) after it; never where the
        check was given up before.
        """
        ...

    async def close(self) -> None:
        """Give up what is under way, and leave no process behind."""
        ...


class Timetable(Protocol):
    """Reads the wall clock for schedules."""

    async def tell(self, question: NextTime) -> TimeTold:
        """Tell which times of a schedule have passed, and the next one. Never raises."""
        ...


class Manifests(Protocol):
    """Where the manifests come from."""

    async def read(self) -> ManifestSet:
        """Read everything as saved. Raises SourceHeldError where it cannot be trusted now."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed (bursts are one); never ends by itself."""
        ...

    async def has_moved(self, since: Revision) -> bool:
        """Tell whether the branch stands elsewhere now. Cheap, and never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who asked for a change."""

    name: str
    email: str
    uid: int
    """Of the peer on the socket; what `Weaver-Actor` records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """What to commit: intents, and the words that go with them."""

    intents: tuple[Intent, ...]
    subject: str
    author: Author
    op: str
    """The verb: `set`, `apply`, `stop`, `register` ..."""
    op_id: str
    source: str = "cli"
    services: tuple[ServiceName, ...] = ()
    reason: str = ""
    if_revision: str = ""
    """Refuse (ConflictError) unless HEAD is this commit."""
    auto_commit: bool = True
    """False: write the saved files only, and say so (`git.autoCommit` of weaver.yaml)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The result of a write-back."""

    commit: str
    """The new commit, or HEAD where nothing changed."""
    changed: bool
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences for the person: identity missing, saved edits kept, autoCommit off ..."""


class Repository(Protocol):
    """The git repository, for write-back and for reading history. Slow: runs in a worker."""

    async def commit(self, request: CommitRequest) -> Committed:
        """Write the intents back as one commit. Raises WeaverError with the mend."""
        ...

    async def undo(self, author: Author, op_id: str, *, auto_commit: bool = True) -> Committed:
        """Revert the last commit that this person made through Weaver."""
        ...

    async def revision(self) -> Revision:
        """Give HEAD and its branch (`dirty` is left empty)."""
        ...

    async def blobs(self, revision: str) -> Mapping[str, bytes]:
        """Give all manifest files of a revision: path to bytes. Raises NotFoundError."""
        ...

    async def log(self, path: str, limit: int) -> Sequence[LogEntry]:
        """Give the commits that touched a file, newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the saved manifests would be with a change in them; nothing of it is written."""

    manifests: ManifestSet
    files: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Each file that would change: its text before and after; None where there is no file."""


class Drafts(Protocol):
    """Tries changes of the saved manifests out before they are written. Slow: a worker's work."""

    async def draft(self, intents: Sequence[Intent]) -> Draft:
        """Give what the intents would make of the saved manifests. Raises ManifestError."""
        ...

    async def documents(self, text: str, path: str) -> Sequence[tuple[ServiceName, str]]:
        """Split a file to apply into its services, each with the text of its document.

        Raises ManifestError, with the diagnostics, where a document names no service.
        """
        ...

    async def document(self, path: str, service: ServiceName) -> str:
        """Give the text of a service's document as saved. Raises NotFoundError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One commit in a file's history."""

    commit: str
    author: str
    at: float
    """Author time, seconds since 1970."""
    subject: str
    trailers: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """The record: what happened, and what must be known after a restart of the daemon."""

    async def load(self, boot: str) -> Memory:
        """Give the memory; slots of another boot are left out."""
        ...

    async def record(self, decision: Decision, *, revision: str, actor: str) -> list[EventRecord]:
        """Write one decision durably, and give its happenings as numbered events.

        Commands are kept as operations, before they are performed. Raises StoreError; nothing
        is half-written.
        """
        ...

    async def answered(self, serials: Sequence[tuple[int, str]]) -> None:
        """Note how commands ended: (serial, `done` or the problem)."""
        ...

    async def events(
        self, *, after: int = 0, service: str = "", limit: int = 1000, since: float | None = None
    ) -> list[EventRecord]:
        """Give stored events in order, the newest `limit` of those that match."""
        ...

    async def history(self, service: str, limit: int) -> list[TransitionRecord]:
        """Give a service's state changes, newest first."""
        ...

    async def close(self) -> None:
        """Write what is queued and close."""
        ...

    @property
    def trouble(self) -> str:
        """Say why the record cannot be written just now; empty while it can.

        What could not be written is kept: `record` with an empty decision tries again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one process tree uses now."""

    cpu_percent: float
    """Of one core, since the sample before."""
    rss: int
    pss: int | None
    swap: int | None
    file_descriptors: int
    listening: tuple[str, ...] = ()
    """Addresses its processes listen on: `127.0.0.1:8080`, `unix:/run/x.sock`."""


class Sampler(Protocol):
    """Measures what processes use."""

    def sample(self, targets: Mapping[str, ProcessId]) -> Mapping[str, Usage]:
        """Give each target's tree as last measured, at once.

        Old figures are measured anew behind the scenes. Trees that are gone or were never
        measured are left out.
        """
        ...

    async def fresh(
        self, targets: Mapping[str, ProcessId], *, within_s: float = 0.05
    ) -> Mapping[str, Usage]:
        """Give figures of the last seconds, measuring now where needed, for at most so long."""
        ...


class Logs(Protocol):
    """The services' logs, as files that the services themselves append to."""

    def read(
        self, query: LogQuery, sources: Callable[[], Sequence[LogSource]]
    ) -> AsyncIterator[LogLine]:
        """Give the lines of these files that the query asks for, merged by time.

        `sources` is asked again while following. Raises WeaverError for a query that is wrong.
        """
        ...

    def mark_start(self, source: LogSource) -> None:
        """Note where a slot's next run begins in its log. Call just before the start."""
        ...

    def look(self, sources: Sequence[LogSource]) -> None:
        """Note how long each file is now, every ten seconds or so; `keep` looks after these."""
        ...

    def keep(self) -> LogUpkeep:
        """Rotate what is full. Blocks; never raises."""
        ...

    def position(self, source: LogSource) -> int:
        """Give how many bytes were ever written to a log. Does not block."""
        ...

    def written(self, source: LogSource, offset: int, limit: int) -> tuple[bytes, int]:
        """Give at most `limit` bytes from a position on, and the position behind them. Blocks."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...
