"""Work out what manifests would do to what runs, with the very plan the daemon would make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.diff import Comparison, Language, compare_plan, field_changes
from reconciler.core.overlay import desire, overlays_of
from reconciler.core.planner import plan
from reconciler.core.prune import Grounds, beside, guard, lately, shielded
from reconciler.model.change import ServiceChange, Verb
from reconciler.model.desired import Desired, ManifestSet
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.overlay import Overlay
from reconciler.model.plan import Hold, HoldCode, Situation
from reconciler.model.record import PruneHold, Rollout
from reconciler.model.units import ServiceName
from reconciler.ports import Draft
from reconciler.runtime.messages import FileChange, Preview
from reconciler.runtime.tasks import Task

MOST_FIELDS = 3
"""Of what differs for a while, so many are said in words; JSON has all."""


def live(situation: Situation, language: Language) -> Preview:
    """Compare what is desired with what runs."""
    compared = _compare(situation, language)
    busy = {change.service for change in compared.changes}
    laid = [one for name, one in overlays_of(situation.desired).items() if name not in busy]
    apart = tuple(_laid_over(one, language) for one in laid)
    return Preview(
        mode="live",
        base=situation.desired.revision,
        head=situation.desired.revision,
        changes=tuple(change for change in compared.changes if not is_drift(change, situation)),
        drift=(*(change for change in compared.changes if is_drift(change, situation)), *apart),
        holds=(*compared.holds, *(_hold(change) for change in apart)),
        invalid=errors(situation.desired.diagnostics),
        unchanged=compared.unchanged - len(apart),
    )


def _laid_over(overlay: Overlay, language: Language) -> ServiceChange:
    """Say how what is wanted for a while differs from the manifest to which it goes back."""
    fields = field_changes(overlay.spec, overlay.under, language)
    apart = [
        f"{one.path} is {_value(one.before)}, its manifest says {_value(one.after)}"
        for one in fields[:MOST_FIELDS]
    ]
    if len(fields) > MOST_FIELDS:
        apart.append(f"{len(fields) - MOST_FIELDS} more")
    because = "; ".join(apart) if overlay.under is not None else "no manifest defines it"
    return ServiceChange(
        service=overlay.name,
        verbs=(Verb.NONE,),
        order=0,
        reason="ephemeral",
        fields=fields,
        held_by=f"ephemeral: {because}; weaver revert {overlay.name}",
    )


def _value(text: str | None) -> str:
    return "not set" if text is None else text or '""'


def _hold(change: ServiceChange) -> Hold:
    return Hold(
        service=change.service, code=HoldCode.EPHEMERAL, because=change.held_by or change.reason
    )


def drafted(
    situation: Situation,
    draft: Draft,
    released: frozenset[ServiceName],
    language: Language,
    above: frozenset[ServiceName] = frozenset(),
) -> Preview:
    """Say what a change would do that is not made yet; `above` is what it would lie above."""
    laid = overlays_of(situation.desired)
    overlays = {name: one for name, one in laid.items() if name not in above}
    desired, _ = desire(draft.manifests, situation.services, overlays, situation.now)
    supposed = replace(
        situation,
        desired=desired,
        rollouts=_not_pre_empted(situation, desired),
        prune=_guard(situation, desired, released),
    )
    compared = _compare(supposed, language)
    under_way = {change.service: change for change in _compare(situation, language).changes}
    return Preview(
        mode="live",
        base=situation.desired.revision,
        head=desired.revision,
        changes=tuple(
            change
            for change in compared.changes
            if _essence(change) != _essence(under_way.get(change.service))
        ),
        holds=compared.holds,
        invalid=errors(desired.diagnostics),
        files=tuple(
            FileChange(path=path, before=before, after=after)
            for path, (before, after) in sorted(draft.files.items())
        ),
        unchanged=compared.unchanged,
    )


def _not_pre_empted(situation: Situation, desired: Desired) -> dict[ServiceName, Rollout]:
    """Give the rollouts in whose place no other version comes."""
    specs = {name: wanted.spec for name, wanted in desired.services.items()}
    return {
        name: rollout
        for name, rollout in situation.rollouts.items()
        if (spec := specs.get(name)) is None or spec.digest == rollout.to.digest
    }


def _guard(
    situation: Situation, desired: Desired, released: frozenset[ServiceName]
) -> PruneHold | None:
    """Give the hold that a change would meet, or what is left of the present one."""
    known = situation.services
    owned = {*known, *(name for name, wanted in desired.services.items() if wanted.spec)}
    leaving = {name for name in known.keys() - desired.services.keys() if known[name].leaving}
    protected = shielded(known)
    gone = leaving | (released - protected)
    grounds = Grounds(
        protected=protected,
        doubts=beside(desired.broken_files, known),
        lately=lately(situation.removed, situation.now),
    )
    return guard(owned, desired.services, gone, situation.prune, grounds)


def _essence(change: ServiceChange | None) -> tuple[object, ...]:
    """Give what a change is about, wherever it stands among others."""
    return (change.verbs, change.fields, change.held_by) if change else ()


def share(whole: Preview, draft: Draft, task: Task, tasks: Sequence[Task]) -> Preview:
    """Give of a preview what one change does: its services, and what moves with the changes."""
    named = {name for one in tasks for name in one.services}
    found = draft.manifests.definitions
    files = {found[name].source.file for name in task.services if name in found}
    return replace(
        whole,
        changes=tuple(
            change
            for change in whole.changes
            if change.service in task.services or (change.service not in named and is_move(change))
        ),
        files=tuple(file for file in whole.files if file.path in files),
    )


def is_move(change: ServiceChange) -> bool:
    """Tell whether a change touches processes."""
    return any(verb not in (Verb.NONE, Verb.UPDATE) for verb in change.verbs)


def is_drift(change: ServiceChange, situation: Situation) -> bool:
    """Tell whether processes differ from a manifest that is in force already."""
    memory = situation.services.get(change.service)
    wanted = situation.desired.services.get(change.service)
    if memory is None or wanted is None or change.fields:
        return False
    is_shown = change.verbs != (Verb.NONE,) or change.held_by is not None
    return memory.spec == wanted.spec and is_shown


def errors(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Give those that are no warnings."""
    return tuple(found for found in diagnostics if not found.is_warning)


def new_errors(draft: ManifestSet, now: ManifestSet | Desired | None) -> tuple[Diagnostic, ...]:
    """Give the errors that a draft has and the manifests of now have not.

    Lines may have moved, so an error is known by its file, code and text.
    """
    known = {_fault(found) for found in (now.diagnostics if now else ())}
    return tuple(found for found in errors(draft.diagnostics) if _fault(found) not in known)


def _fault(found: Diagnostic) -> tuple[str, str, str]:
    return (found.source.file, found.code, found.message)


def _compare(situation: Situation, language: Language) -> Comparison:
    in_force = {name: memory.spec for name, memory in situation.services.items()}
    return compare_plan(situation, plan(situation), language, in_force)
