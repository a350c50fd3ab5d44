"""What long verbs say while they work, one frozen message after the other.

The last message is always a `Summary`. `api/wire.py` names their JSON keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.change import ServiceChange, Verb
from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.plan import Hold
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A manifest file before and after; None where there is no such file."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would change between two desired states, or between the desired one and what runs."""

    mode: str
    """`live` or `offline`."""
    base: Revision
    """What is compared against; for a live one, what was last put into force."""
    head: Revision
    changes: tuple[ServiceChange, ...] = ()
    """Services that differ, the ones with actions first, in their order."""
    drift: tuple[ServiceChange, ...] = ()
    """Services whose manifest is in force, and whose processes differ from it all the same."""
    holds: tuple[Hold, ...] = ()
    invalid: tuple[Diagnostic, ...] = ()
    files: tuple[FileChange, ...] = ()
    unchanged: int = 0
    """Services with neither a change nor drift."""
    moved: tuple[ServiceName, ...] = ()
    """Services of these changes that the branch compared against has changed as well."""
    if_revision: str = ""
    """The commit that must still be the newest for a change to do just this; empty: not known."""

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing differs and nothing is wrong."""
        return not (self.changes or self.drift or self.invalid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is about to happen (or, in a dry run, what would)."""

    preview: Preview
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitMade:
    """The change is in the repository; `changed` is False where it already was."""

    commit: str
    changed: bool
    pushed: bool = False
    files: tuple[str, ...] = ()


class Phase(StrEnum):
    """How far an action is."""

    START = "start"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSeen:
    """An action on one service began, was done, or failed."""

    service: ServiceName
    action: Verb
    phase: Phase
    instance: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSeen:
    """Something happened to a service that takes part."""

    event: EventRecord
    is_one_of_several: bool = False
    """Whether the service has more than one instance, so that it matters which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """What was asked for is so."""

    revision: Revision
    services: tuple[ServiceName, ...]
    seconds: float
    """Since the request came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence for the person: nothing is wrong, but they will want to know."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something did not work: what, why, and the way out."""

    title: str
    """One sentence, lower case: `cannot stop db: web and api need it`."""
    mend: str = ""
    exit_code: int = 1
    diagnostics: tuple[Diagnostic, ...] = ()
    service: ServiceName | None = None
    """The service that failed, where it was one."""
    log_tail: tuple[str, ...] = ()
    """Its last lines, at most ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The end: one line that says what was done, in which commit, and how to undo it."""

    exit_code: int
    text: str
    undo: str = ""
    """The command that takes it back; empty where there is none."""
    next: str = ""
    """The command that shows what came of it, where Weaver takes it back by itself; else empty."""


Message = Planned | CommitMade | ActionSeen | EventSeen | Converged | Note | Problem | Summary
