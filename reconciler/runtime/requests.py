"""What people ask of a running daemon, as frozen nouns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.units import ServiceName
from reconciler.ports import Author


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a request is to be carried out, and for whom."""

    author: Author
    reason: str = ""
    source: str = "cli"
    """Where it came from: `cli`, `api`."""
    dry_run: bool = False
    if_revision: str = ""
    """Refuse unless HEAD is this commit (full or abbreviated)."""
    wait: bool = True
    """False: end once the commit has landed, or the operation is recorded."""
    timeout: float = 300.0
    """Seconds to wait for the result; the change itself is never taken back."""


# --- changes of manifests: they end in a commit ----------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file to apply: its text, one or more services."""

    text: str
    path: str = ""
    """Where it came from, for diagnostics; empty: standard input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Make the manifests of these documents' services equal to them; others stay as they are."""

    documents: tuple[Document, ...]
    branch: str = ""
    """Commit to this branch instead, of which nothing takes effect; empty: to what is followed."""
    lasts: float = 0.0
    """Seconds after which services are again as their manifests say; 0: commit it, for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One value: `env.PORT`, `8001`. None removes the key."""

    path: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetValues:
    """Set or remove values of one service."""

    service: ServiceName
    assignments: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Give services another number of instances; those that stay are not touched."""

    counts: tuple[tuple[ServiceName, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutManifest:
    """Write one service's whole manifest: `register` (it must be new) or `edit` (it must exist)."""

    service: ServiceName
    text: str
    create: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Write the manifest that a service had in a commit, in the place of one that failed."""

    service: ServiceName
    text: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unregister:
    """Remove services; refused while others need them, unless `cascade` removes those too."""

    services: tuple[ServiceName, ...]
    cascade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StartServices:
    """Make `state: running`; what is wanted already and crashed is started now, with no commit."""

    services: tuple[ServiceName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopServices:
    """Make `state: stopped`; refused while others that run need them, unless told how."""

    services: tuple[ServiceName, ...]
    with_dependents: bool = False
    only: bool = False
    now: bool = False
    """Kill what runs of them, whatever stopTimeout and preStop say."""
    lasts: float = 0.0
    """Seconds after which services are again as their manifests say; 0: commit it, for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoLast:
    """Revert the last commit that this person made through Weaver."""


Change = (
    Apply
    | SetValues
    | Scale
    | PutManifest
    | Restore
    | Unregister
    | StartServices
    | StopServices
    | UndoLast
)


# --- operations: they change no manifest -----------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartServices:
    """Replace the processes of these services, dependents as their manifests say."""

    services: tuple[ServiceName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadServices:
    """Have the processes of these services load their configuration anew."""

    services: tuple[ServiceName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryServices:
    """Clear failures and back-off of crashed services and start them now."""

    services: tuple[ServiceName, ...]


class Steer(StrEnum):
    """What people do about a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerRollout:
    """Hold the rollout of a service, let it go on, or take it back."""

    service: ServiceName
    steer: Steer


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovePrune:
    """Let a large removal that is held happen."""

    prune_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert:
    """End what was applied to services for a while."""

    services: tuple[ServiceName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Do nothing but wait until all (or these) services are as wanted, or cannot become so."""

    services: tuple[ServiceName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Fetch and read what is followed now, and wait for what comes of it."""

    revision: str = ""
    """The commit that must be among what is followed then; empty: whatever there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptHistory:
    """Follow a branch whose history was rewritten, at a commit that a person has looked at."""

    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """End: stop services in reverse order, then daemon and holder."""

    keep_services: bool = False
    """Leave them running under the holder."""
    kill: bool = False
    """Do not wait for stop timeouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reexec:
    """Replace the programs of holder and daemon in place; no service notices."""


Operating = (
    RestartServices
    | ReloadServices
    | RetryServices
    | SteerRollout
    | ApprovePrune
    | Revert
    | Settle
    | Shutdown
    | Reexec
)
Syncing = Sync | AcceptHistory
OperationRequest = Operating | Syncing


# --- questions -------------------------------------------------------------------------------


class Goal(StrEnum):
    """What to wait for."""

    RUNNING = "running"
    READY = "ready"
    HEALTHY = "healthy"
    COMPLETED = "completed"
    STOPPED = "stopped"
    SYNCED = "synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitQuery:
    """Wait until all these services (none named: all) have reached a goal."""

    goal: Goal
    services: tuple[ServiceName, ...] = ()
    revision: str = ""
    """With it, also wait until this commit is the one followed."""
    timeout: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which stored events."""

    after: int = 0
    service: str = ""
    since: float | None = None
    """Seconds since 1970."""
    limit: int = 1000
