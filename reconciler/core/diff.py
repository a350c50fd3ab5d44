"""Compare two desired states: which fields differ, and what would be done about it.

The offline diff pretends that the base runs, all of it as wanted, and plans the head against
that: the very same `plan` that the daemon would make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from reconciler.core.planner import plan
from reconciler.core.prune import Grounds, beside, guard, shielded
from reconciler.core.wishes import unused
from reconciler.model.change import Effect, FieldChange, ServiceChange, Verb
from reconciler.model.desired import Desired
from reconciler.model.observed import Process, ProcessId, Slot, State
from reconciler.model.plan import (
    Action,
    Forget,
    Hold,
    HoldCode,
    Kill,
    Plan,
    Reload,
    Repair,
    Restart,
    Situation,
    Start,
    Stop,
    Update,
)
from reconciler.model.record import ServiceMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, RunId, ServiceName

Describe = Callable[[ServiceSpec], Mapping[str, str]]
"""Flatten a spec to `path: value` as a person writes it; see manifest/fields.py."""
EffectOf = Callable[[str], Effect]

_BLOCKING = (
    HoldCode.PRUNE_HELD,
    HoldCode.INVALID_MANIFEST,
    HoldCode.JUDGE_REFUSED,
    HoldCode.GAVE_UP,
    HoldCode.DEPENDENCY_NOT_READY,
    HoldCode.UNKILLABLE,
    HoldCode.DRIFTED,
    HoldCode.QUARANTINED,
    HoldCode.ROLLOUT_PAUSED,
    HoldCode.BACKING_OFF,
)
_DRIFTING = (
    HoldCode.PRUNE_HELD,
    HoldCode.DRIFTED,
    HoldCode.QUARANTINED,
    HoldCode.ROLLOUT_PAUSED,
    HoldCode.BACKING_OFF,
)
"""What is shown though no field differs and nothing is done: what runs is not as wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How specs are put into words; the core knows no manifest text."""

    describe: Describe
    effect_of: EffectOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything a diff shows."""

    changes: tuple[ServiceChange, ...]
    """Services of which something differs or is done, in the order of the actions."""
    holds: tuple[Hold, ...]
    """Why something that differs is left alone."""
    unchanged: int


def compare(base: Desired, head: Desired, language: Language) -> Comparison:
    """Compare two revisions without looking at any host."""
    situation = supposed(base, head)
    return compare_plan(situation, plan(situation), language, _specs(base))


def compare_plan(
    situation: Situation,
    made: Plan,
    language: Language,
    before: Mapping[ServiceName, ServiceSpec],
) -> Comparison:
    """Put a plan into words, beside the fields that differ from the specs `before`."""
    after = _specs(situation.desired)
    verbs = _verbs(made)
    touched = _touched(made)
    reasons = _reasons(made)
    blocking = {hold.service: hold for hold in made.holds if hold.code in _BLOCKING}
    order = {name: place for place, name in enumerate(verbs, start=1)}
    changes = []
    names = sorted(
        {*before, *after, *verbs}, key=lambda name: (order.get(name, len(order) + 1), name)
    )
    for name in names:
        fields = field_changes(before.get(name), after.get(name), language)
        hold = blocking.get(name)
        if not fields and name not in verbs and not (hold and hold.code in _DRIFTING):
            continue
        changes.append(
            ServiceChange(
                service=name,
                verbs=verbs.get(name, (Verb.NONE,)),
                order=order.get(name, 0),
                reason=_reason(fields, reasons.get(name, ""), hold),
                fields=fields,
                held_by=hold.because if hold else None,
                processes=len(touched.get(name, ())),
            )
        )
    known = {*before, *after}
    return Comparison(
        changes=tuple(changes),
        holds=tuple(blocking.values()),
        unchanged=len(known - {change.service for change in changes}),
    )


def field_changes(
    before: ServiceSpec | None, after: ServiceSpec | None, language: Language
) -> tuple[FieldChange, ...]:
    """Give the fields of a manifest that differ, by path; a new or gone service has none."""
    if before is None or after is None or before == after:
        return ()
    old, new = language.describe(before), language.describe(after)
    return tuple(
        FieldChange(
            path=path, before=old.get(path), after=new.get(path), effect=language.effect_of(path)
        )
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    )


def supposed(base: Desired, head: Desired) -> Situation:
    """Give the situation in which all of `base` runs as wanted and `head` is read."""
    services = {
        name: ServiceMemory(spec=wanted.spec, source=wanted.source)
        for name, wanted in base.services.items()
        if wanted.spec is not None
    }
    slots = {name: _running(memory.spec) for name, memory in services.items()}
    owned = {*services, *(name for name, wanted in head.services.items() if wanted.spec)}
    return Situation(
        now=Nanos(1),
        desired=head,
        services=services,
        slots={name: records for name, records in slots.items() if records},
        prune=guard(
            owned,
            head.services,
            (),
            None,
            Grounds(protected=shielded(services), doubts=beside(head.broken_files, services)),
        ),
    )


def _running(spec: ServiceSpec) -> dict[int, SlotRecord]:
    """Give slots in which a spec runs, or did its work."""
    if not spec.wants_to_run:
        return {}
    found = {}
    for index in range(spec.instances):
        slot = Slot(service=spec.name, index=index)
        record = unused(slot)
        if spec.is_oneshot:
            memory = replace(record.memory, tried=spec.digest, done=spec.digest, done_at=Nanos(0))
            found[index] = replace(record, memory=memory, reason="completed")
            continue
        process = Process(
            slot=slot,
            id=ProcessId(boot="", pid=1, born=0),
            run=RunId(""),
            digest=spec.digest,
            started=Nanos(0),
        )
        memory = replace(record.memory, tried=spec.digest, ready_run=process.run, loaded=spec.loads)
        found[index] = replace(record, memory=memory, state=State.RUNNING, process=process)
    return found


def _specs(desired: Desired) -> dict[ServiceName, ServiceSpec]:
    return {
        name: wanted.spec for name, wanted in desired.services.items() if wanted.spec is not None
    }


def _verbs(made: Plan) -> dict[ServiceName, tuple[Verb, ...]]:
    """Give what is done to each service, in the order in which it begins."""
    found: dict[ServiceName, list[Verb]] = {}
    for action in made.actions:
        name, verb = _verb(action)
        if verb is None:
            continue
        verbs = found.setdefault(name, [])
        if verb not in verbs:
            verbs.append(verb)
    for verbs in found.values():
        # A new version comes into force with the new process; saying both would count it twice.
        if len(verbs) > 1 and Verb.UPDATE in verbs:
            verbs.remove(Verb.UPDATE)
    # Updates are instant; what touches processes is what people count.
    return {
        name: tuple(verbs)
        for name, verbs in sorted(found.items(), key=lambda item: item[1] == [Verb.UPDATE])
    }


def _touched(made: Plan) -> dict[ServiceName, set[Slot]]:
    """Give the slots whose process does not simply go on."""
    found: dict[ServiceName, set[Slot]] = {}
    for action in made.actions:
        if isinstance(action, Stop | Kill | Restart | Reload | Repair):
            found.setdefault(action.slot.service, set()).add(action.slot)
    return found


def _verb(action: Action) -> tuple[ServiceName, Verb | None]:
    match action:
        case Start():
            return action.slot.service, Verb.START
        case Stop() | Kill():
            return action.slot.service, Verb.STOP
        case Restart():
            return action.slot.service, Verb.RESTART
        case Reload():
            return action.slot.service, Verb.RELOAD
        case Repair():
            return action.slot.service, Verb.UPDATE
        case Update():
            # That files have another content now is no update: what loads them is reloaded.
            is_content = action.fields == ("loads",)
            return action.service, None if is_content else Verb.UPDATE
        case Forget():
            return action.service, None


def _reasons(made: Plan) -> dict[ServiceName, str]:
    found: dict[ServiceName, str] = {}
    for action in made.actions:
        if not isinstance(action, Update | Forget):
            found.setdefault(action.slot.service, action.because)
    return found


def _reason(fields: tuple[FieldChange, ...], because: str, hold: Hold | None) -> str:
    """Name the fields that force what is done, rather than say that something changed."""
    if hold is not None:
        return hold.because
    telling = [change for change in fields if change.effect is Effect.RESTART]
    telling = telling or [change for change in fields if change.effect is not Effect.METADATA]
    has_another_cause = because not in ("", "its manifest changed") and not telling
    if not fields or has_another_cause:
        return because
    shown = ", ".join(change.path for change in (telling or fields)[:3])
    more = len(telling or fields) - 3
    return f"{shown} changed" + (f" and {more} more" if more > 0 else "")
