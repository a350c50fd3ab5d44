"""Where manifests come from, and where changes of them go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.manifest.intent import Intent
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.units import ServiceName


class Manifests(Protocol):
    """Where the manifests come from."""

    async def read(self) -> ManifestSet:
        """Read everything as saved. Raises SourceHeldError where it cannot be trusted now."""
        ...

    @property
    def behind(self) -> str:
        """Say why what was read last is not the newest that there is; empty where it is."""
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
class CommitPart:
    """One of several operations that share a commit."""

    op: str
    op_id: str
    services: tuple[ServiceName, ...] = ()
    reason: str = ""


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
    branch: str = ""
    """Commit to this branch, of which nothing takes effect; empty: to the one that is followed."""
    parts: tuple[CommitPart, ...] = ()
    """Each operation by itself, where several share the commit; `op_id` then lists all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The result of a write-back."""

    commit: str
    """The new commit, or HEAD where nothing changed."""
    changed: bool
    pushed: bool = False
    """Whether the branch elsewhere has it already."""
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

    async def landed(self, op_id: str, since: str) -> str:
        """Give the commit of an operation, if it came into the branch after `since`; else empty.

        A repository elsewhere is looked at first. Raises HostError where that cannot be.
        """
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

    async def close(self) -> None:
        """Let what is being written finish."""
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
