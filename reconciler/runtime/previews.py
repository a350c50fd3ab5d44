"""Work out what manifests would do to what runs, with the very plan the daemon would make."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.diff import Comparison, Language, compare_plan
from reconciler.core.planner import plan
from reconciler.core.prune import guard
from reconciler.core.settle import settle
from reconciler.model.change import ServiceChange, Verb
from reconciler.model.desired import Desired, ManifestSet
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.plan import Situation
from reconciler.model.record import PruneHold, Rollout
from reconciler.model.units import ServiceName
from reconciler.ports import Draft
from reconciler.runtime.messages import FileChange, Preview


def live(situation: Situation, language: Language) -> Preview:
    """Compare what is desired with what runs."""
    compared = _compare(situation, language)
    return Preview(
        mode="live",
        base=situation.desired.revision,
        head=situation.desired.revision,
        changes=tuple(change for change in compared.changes if not is_drift(change, situation)),
        drift=tuple(change for change in compared.changes if is_drift(change, situation)),
        holds=compared.holds,
        invalid=errors(situation.desired.diagnostics),
        unchanged=compared.unchanged,
    )


def drafted(
    situation: Situation, draft: Draft, released: frozenset[ServiceName], language: Language
) -> Preview:
    """Say what a change would do that is not written yet."""
    desired = settle(draft.manifests, situation.services)
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
    return guard(owned, desired.services, leaving | released, situation.prune)


def _essence(change: ServiceChange | None) -> tuple[object, ...]:
    """Give what a change is about, wherever it stands among others."""
    return (change.verbs, change.fields, change.held_by) if change else ()


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
