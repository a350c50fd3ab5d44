"""The diff document."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.api import diff_text
from reconciler.api.wire.base import (
    Document,
    FaultKeys,
    RevisionKeys,
    Wire,
    fault_keys,
    revision_keys,
)
from reconciler.model.change import FieldChange, ServiceChange, Verb
from reconciler.runtime.messages import Preview


class FieldKeys(Wire, frozen=True, kw_only=True):
    """One field that differs; None where one side lacks it."""

    path: str
    before: str | None
    after: str | None
    effect: str


class ChangeKeys(Wire, frozen=True, kw_only=True):
    """What one service would go through."""

    service: str
    actions: list[str]
    order: int
    """Its place among the actions, from 1; 0 where nothing is done."""
    reason: str
    fields: list[FieldKeys]
    held_by: str | None


class HoldKeys(Wire, frozen=True, kw_only=True):
    """A service that is kept from what is wanted of it."""

    service: str
    reason: str


class CountKeys(Wire, frozen=True, kw_only=True):
    """How many services; `invalid` counts files."""

    start: int
    stop: int
    restart: int
    reload: int
    update: int
    held: int
    invalid: int
    unchanged: int


class DiffDocument(Document, frozen=True, kw_only=True):
    """What would change."""

    mode: str
    base: str
    """What is compared against: a commit's full name, empty before the first one."""
    head: str
    head_revision: RevisionKeys
    changes: list[ChangeKeys]
    drift: list[ChangeKeys]
    held: list[HoldKeys]
    invalid: list[FaultKeys]
    summary: CountKeys


def diff_document(preview: Preview, exit_code: int | None = None) -> DiffDocument:
    """Write a preview; its exit code is that of `weaver diff` unless another one is given."""
    held = diff_text.held_services(preview)
    return DiffDocument(
        exit_code=diff_exit_code(preview) if exit_code is None else exit_code,
        mode=preview.mode,
        base=preview.base.commit,
        head=preview.head.commit,
        head_revision=revision_keys(preview.head),
        changes=_changes(preview.changes),
        drift=_changes(preview.drift),
        held=[HoldKeys(service=name, reason=because) for name, because in sorted(held.items())],
        invalid=fault_keys(preview.invalid),
        summary=CountKeys(**diff_text.counts(preview)),
    )


def diff_exit_code(preview: Preview) -> int:
    """Give 0 for no changes, 1 for changes, 2 where a manifest is invalid."""
    if diff_text.has_errors(preview):
        return 2
    return 1 if preview.changes or preview.drift else 0


def _changes(changes: Iterable[ServiceChange]) -> list[ChangeKeys]:
    """Write what services would go through."""
    return [
        ChangeKeys(
            service=change.service,
            actions=[verb.value for verb in change.verbs] or [Verb.NONE.value],
            order=change.order,
            reason=change.reason,
            fields=[_field(item) for item in change.fields],
            held_by=change.held_by,
        )
        for change in changes
    ]


def _field(change: FieldChange) -> FieldKeys:
    """Write one field that differs."""
    return FieldKeys(
        path=change.path, before=change.before, after=change.after, effect=change.effect.value
    )
