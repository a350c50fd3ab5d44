"""The diff document."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

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
from reconciler.model.diagnostic import Source
from reconciler.model.plan import HoldCode
from reconciler.runtime.messages import Preview

_GUARDED = frozenset({HoldCode.PRUNE_HELD, HoldCode.JUDGE_REFUSED})
"""Holds that a person has to lift: guards, and what the judge does not let pass."""


class PlaceKeys(Wire, frozen=True, kw_only=True):
    """A place in a file."""

    file: str
    line: int
    column: int


class FieldKeys(Wire, frozen=True, kw_only=True):
    """One field that differs; None where one side lacks it."""

    path: str
    before: str | None
    after: str | None
    effect: str
    place: PlaceKeys | UnsetType = UNSET
    """Where the manifest says it; only where two sets of files are compared."""


class ChangeKeys(Wire, frozen=True, kw_only=True):
    """What one service would go through."""

    service: str
    actions: list[str]
    order: int
    """Its place among the actions, from 1; 0 where nothing is done."""
    reason: str
    fields: list[FieldKeys]
    held_by: str | None
    processes: int
    """How many running processes are replaced, ended or told to load anew."""
    place: PlaceKeys | UnsetType = UNSET
    """Where the service is defined, or was; only where two sets of files are compared."""


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
    processes: int
    """How many running processes are affected in all."""
    moved: list[str] | UnsetType = UNSET
    """Services of these changes that the base branch has changed as well since it was left."""
    if_revision: str | UnsetType = UNSET
    """What `weaver apply --if-revision` takes for the change to do this and nothing else."""


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
        processes=diff_text.affected(preview),
        moved=list(preview.moved) if preview.mode == "offline" else UNSET,
        if_revision=preview.if_revision or UNSET,
    )


def diff_exit_code(preview: Preview) -> int:
    """Give the worst of all: 0 no changes, 1 changes, 2 an invalid manifest, 5 held by a guard."""
    if any(hold.code in _GUARDED for hold in preview.holds):
        return 5
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
            processes=change.processes,
            place=_place(change.place),
        )
        for change in changes
    ]


def _field(change: FieldChange) -> FieldKeys:
    """Write one field that differs."""
    return FieldKeys(
        path=change.path,
        before=change.before,
        after=change.after,
        effect=change.effect.value,
        place=_place(change.place),
    )


def _place(source: Source | None) -> PlaceKeys | UnsetType:
    """Write a place, where there is one."""
    if source is None:
        return UNSET
    return PlaceKeys(file=source.file, line=source.line, column=source.column)
