"""What long verbs say: one object a line, each with its `type`, the `summary` last."""

from __future__ import annotations

from typing import assert_never

from reconciler.api.diff_text import diff_text
from reconciler.api.page import Page
from reconciler.api.wire.base import FaultKeys, RevisionKeys, Wire, fault_keys, revision_keys
from reconciler.api.wire.preview import DiffDocument, diff_document
from reconciler.api.wire.records import EventKeys, event_fields
from reconciler.runtime.messages import (
    ActionSeen,
    CommitMade,
    Converged,
    EventSeen,
    Message,
    Note,
    Planned,
    Problem,
    Summary,
)


class PlannedKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="planned"):
    """What is about to happen; with `dryRun`, what would."""

    dry_run: bool
    diff: DiffDocument
    text: str
    """The same for people, in the width that was asked for."""


class CommitMadeKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="commit"):
    """The change is in the repository; `changed` is false where it already was."""

    sha: str
    pushed: bool
    changed: bool
    files: list[str]


class ActionKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="action"):
    """An action on one service began, was done, or failed."""

    service: str
    action: str
    phase: str
    instance: str | None
    reason: str


class EventSeenKeys(EventKeys, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """Something happened to a service that takes part."""


class ConvergedKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="converged"):
    """What was asked for is so."""

    revision: RevisionKeys
    services: list[str]
    seconds: float


class NoteKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="note"):
    """A sentence for the person: nothing is wrong, but they will want to know."""

    text: str


class TroubleKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="problem"):
    """Something did not work: what, why, and the way out."""

    title: str
    mend: str
    exit_code: int
    errors: list[FaultKeys]
    service: str | None
    log_tail: list[str]


class SummaryKeys(Wire, frozen=True, kw_only=True, tag_field="type", tag="summary"):
    """The end: what was done, in which commit, and the command that takes it back.

    Where Weaver takes it back by itself, `next` is the command that shows so.
    """

    exit_code: int
    text: str
    undo: str | None
    next: str | None


MessageKeys = (
    PlannedKeys
    | CommitMadeKeys
    | ActionKeys
    | EventSeenKeys
    | ConvergedKeys
    | NoteKeys
    | TroubleKeys
    | SummaryKeys
)


def message_keys(message: Message, page: Page) -> MessageKeys:
    """Write one message; what people are to read of a plan is laid out for the page."""
    match message:
        case Planned():
            return _planned(message, page)
        case CommitMade():
            return CommitMadeKeys(
                sha=message.commit,
                pushed=message.pushed,
                changed=message.changed,
                files=list(message.files),
            )
        case ActionSeen():
            return _action(message)
        case EventSeen():
            return EventSeenKeys(**event_fields(message.event))
        case Converged():
            return ConvergedKeys(
                revision=revision_keys(message.revision),
                services=list(message.services),
                seconds=round(message.seconds, 3),
            )
        case Note():
            return NoteKeys(text=message.text)
        case Problem():
            return _problem(message)
        case Summary():
            return SummaryKeys(
                exit_code=message.exit_code,
                text=message.text,
                undo=message.undo or None,
                next=message.next or None,
            )
        case unreachable:
            assert_never(unreachable)


def _planned(message: Planned, page: Page) -> PlannedKeys:
    """Write a plan."""
    return PlannedKeys(
        dry_run=message.dry_run,
        diff=diff_document(message.preview),
        text=diff_text(message.preview, page),
    )


def _action(message: ActionSeen) -> ActionKeys:
    """Write an action."""
    return ActionKeys(
        service=message.service,
        action=message.action,
        phase=message.phase,
        instance=message.instance or None,
        reason=message.reason,
    )


def _problem(message: Problem) -> TroubleKeys:
    """Write a problem."""
    return TroubleKeys(
        title=message.title,
        mend=message.mend,
        exit_code=message.exit_code,
        errors=fault_keys(message.diagnostics),
        service=message.service,
        log_tail=list(message.log_tail),
    )
