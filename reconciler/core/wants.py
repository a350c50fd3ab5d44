"""Take in what people want: manifests as read, and what they ask for besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from reconciler.core.issuing import issue
from reconciler.core.ledger import Ledger
from reconciler.core.overlay import NOTHING, beneath, desire
from reconciler.core.prune import Grounds, beside, guard, lately, shielded
from reconciler.core.remedies import forgiven
from reconciler.core.rolling import resume_failed, rollout_asked
from reconciler.core.settle import settle
from reconciler.core.tidying import RUN_ASKED_FOR
from reconciler.core.watching import trust_again
from reconciler.core.wishes import is_live
from reconciler.model.desired import ManifestSet
from reconciler.model.diagnostic import Source
from reconciler.model.event import Asked, ManifestsHeld, ManifestsRead, Operation, OperationKind
from reconciler.model.overlay import LayOver, Overlay, OverlayAsked, TakeAway
from reconciler.model.plan import Update
from reconciler.model.record import ServiceMemory, Timing, Trouble
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName, in_seconds


def manifests_read(ledger: Ledger, event: ManifestsRead) -> None:
    """Settle the manifests, take new services into our care, and guard against mass removal."""
    ledger.manifests, ledger.manifests_seen = event.manifests, True
    ledger.source_held = ""
    _desire(ledger, event.manifests)


def _desire(
    ledger: Ledger,
    manifests: ManifestSet,
    ended: Mapping[ServiceName, str] = NOTHING,
    actor: str = "",
) -> None:
    """Settle the manifests, with what lies above them."""
    ledger.desired, over = desire(manifests, ledger.services, ledger.overlays, ledger.now, ended)
    ledger.is_rearranged = True
    for name, why in over.items():
        _lift(ledger, name, why, actor)
    for name, wanted in ledger.desired.services.items():
        known = ledger.services.get(name)
        if wanted.invalid or wanted.spec is None:
            continue
        if known is None:
            # A yes to the removal of one that had this name before is none to this one's.
            ledger.released.discard(name)
            ledger.put_service(_begun(ledger, wanted.spec, wanted.source))
            reason = f"defined in {wanted.source.file}" if wanted.source.file else "for a while"
            ledger.tell("service.registered", service=name, reason=reason)
        elif known.source != wanted.source:
            ledger.put_service(replace(known, source=wanted.source))
    guard_removals(ledger)


def _begun(ledger: Ledger, spec: ServiceSpec, source: Source) -> ServiceMemory:
    """Begin the memory of a service; what ran before it had a schedule is none of its runs."""
    schedule = spec.schedule
    timing = None if schedule is None else Timing(schedule=schedule, runs_from=ledger.now)
    return ServiceMemory(spec=spec, source=source, timing=timing)


def manifests_held(ledger: Ledger, event: ManifestsHeld) -> None:
    """Keep to the last desired state while the manifests cannot be trusted."""
    ledger.source_held = event.because


def overlays_asked(ledger: Ledger, event: OverlayAsked) -> None:
    """Take in what somebody wants for a while, or no more."""
    manifests = ledger.manifests
    if manifests is None:
        return
    match event:
        case LayOver(overlays=overlays):
            _lay_over(ledger, manifests, overlays)
            _desire(ledger, manifests)
        case TakeAway(services=names):
            why = event.reason or "somebody ended it"
            _desire(ledger, manifests, dict.fromkeys(names, why), event.actor)


def end_overlays(ledger: Ledger) -> None:
    """Go back to what the manifests say where the time of something else is over."""
    is_due = any(one.ends_at <= ledger.now for one in ledger.overlays.values())
    if is_due and ledger.manifests is not None:
        _desire(ledger, ledger.manifests)


def _lay_over(ledger: Ledger, manifests: ManifestSet, overlays: Iterable[Overlay]) -> None:
    owned = beneath(ledger.services, ledger.overlays)
    base, prune = settle(manifests, owned).services, ledger.prune
    held = prune.services if prune is not None and not prune.approved else ()
    laid = dict(ledger.overlays)
    for one in overlays:
        laid.pop(one.name, None)
        # What waits for a yes to its removal is there, and nobody's for a while.
        below = base.get(one.name) or (owned.get(one.name) if one.name in held else None)
        laid[one.name] = replace(one, under=below.spec if below else None)
        ledger.released.discard(one.name)
        ledger.tell(
            "drift.begun",
            service=one.name,
            reason=one.reason or "something else than its manifest is wanted for a while",
            actor=one.actor,
            data={"cause": "ephemeral", "seconds": in_seconds(one.lasts)},
        )
    ledger.overlays, ledger.overlays_changed = laid, True


def _lift(ledger: Ledger, name: ServiceName, why: str, actor: str) -> None:
    """Forget an overlay; what it was for ends as the manifests, or their silence, have it."""
    kept = dict(ledger.overlays)
    one = kept.pop(name)
    ledger.overlays, ledger.overlays_changed = kept, True
    data = {"cause": "ephemeral"}
    ledger.tell("drift.ended", service=name, reason=why, actor=actor, data=data)
    memory, wanted = ledger.services.get(name), ledger.desired.services.get(name)
    if wanted is None and one.under is None:
        ledger.released.add(name)  # nobody has to agree to the end of what was for a while
    if memory is not None and wanted is not None and wanted.spec is None:
        # Its manifest never was good: what lay above it is none that it could go back to.
        ledger.drop_version(name)
        for record in list(ledger.slots.get(name, {}).values()):
            if not is_live(record):
                ledger.drop(record.memory.slot)
        return
    is_left = memory is not None and wanted is not None and memory.spec != wanted.spec
    if is_left and wanted is not None and wanted.invalid and wanted.spec is not None:
        # No plan changes what is invalid, and its last good version is not what lay above it.
        changed = tuple(
            field.name
            for field in fields(wanted.spec)
            if memory is not None
            and getattr(wanted.spec, field.name) != getattr(memory.spec, field.name)
        )
        issue(ledger, Update(service=name, fields=changed, because="back to its last good version"))


def guard_removals(ledger: Ledger) -> None:
    """Hold a removal that is too large; let go whatever else is wanted no more."""
    if not ledger.manifests_seen:
        return
    wanted, before = ledger.desired.services, ledger.prune
    _call_back(ledger)
    leaving = {name for name, memory in ledger.services.items() if memory.leaving}
    protected = shielded(ledger.services)
    gone = leaving | (ledger.released - protected)
    doubts = beside(ledger.desired.broken_files, ledger.services)
    recent = lately(ledger.removed, ledger.now)
    grounds = Grounds(protected=protected, doubts=doubts, lately=recent)
    hold = guard(ledger.services, wanted, gone, before, grounds)
    ledger.set_prune(hold)
    held = hold.services if hold is not None and not hold.approved else ()
    going = (ledger.services.keys() - wanted.keys()).difference(held)
    _count(ledger, {**recent, **dict.fromkeys(sorted(going - gone), ledger.now)})
    _let_go(ledger, going)
    if hold is not None and not hold.approved and hold != before:
        ledger.tell(
            "prune.held",
            reason=f"{hold.because}; to agree: weaver prune approve {hold.id}",
            data={"id": hold.id},
        )


def _count(ledger: Ledger, removed: Mapping[ServiceName, Nanos]) -> None:
    """Remember what goes unasked; what is wanted again did not go."""
    kept = {name: at for name, at in removed.items() if name not in ledger.desired.services}
    if kept != ledger.removed:
        ledger.removed, ledger.removed_changed = kept, True


def _let_go(ledger: Ledger, names: Iterable[ServiceName]) -> None:
    """Note whose removal is under way, for this daemon and the next."""
    for name in sorted(names):
        memory = ledger.services.get(name)
        if memory is not None and not memory.leaving:
            ledger.put_service(replace(memory, leaving=True))


def _call_back(ledger: Ledger) -> None:
    """Take what is wanted again for what it was before: its next removal is another one."""
    for name in ledger.desired.services:
        memory = ledger.services.get(name)
        if memory is not None and memory.leaving:
            ledger.put_service(replace(memory, leaving=False))
            ledger.released.discard(name)


def asked(ledger: Ledger, event: Asked) -> None:
    """Take in what a person asked for."""
    operation = event.operation
    for name in operation.services:
        _asked_of(ledger, name, operation)
    rollout_asked(ledger, operation)
    match operation.kind:
        case OperationKind.APPROVE_PRUNE:
            _approve(ledger, operation)
        case OperationKind.SHUTDOWN:
            ledger.shutting_down = True
        case OperationKind.KILL:
            ledger.shutting_down = ledger.hurry = True
        case OperationKind.STOP_NOW:
            ledger.hurried.update(filter(ledger.slots.get, operation.services))
        case _:
            pass
    ledger.is_rearranged = True


def _asked_of(ledger: Ledger, name: ServiceName, operation: Operation) -> None:
    match operation.kind:
        case OperationKind.RESTART:
            _restart(ledger, name, operation, "manual")
        case OperationKind.RELOAD:
            _reload(ledger, name, operation)
        case OperationKind.START:
            ledger.hurried.discard(name)
            _start(ledger, name, operation)
        case _:
            return


def _restart(ledger: Ledger, name: ServiceName, operation: Operation, cause: str) -> None:
    memory = ledger.services.get(name)
    if memory is None:
        return
    reason = operation.reason or "a restart was asked for"
    ledger.put_service(
        replace(memory, restart_before=ledger.now, restart_reason=reason, restart_cause=cause)
    )
    trust_again(ledger, name)
    _clear_trouble(ledger, name, also_done=False)


def _start(ledger: Ledger, name: ServiceName, operation: Operation) -> None:
    """Let a service start whatever it went through; one with a schedule runs once besides."""
    memory = ledger.services.get(name)
    resume_failed(ledger, name)
    if memory is None or memory.spec.schedule is None:
        _clear_trouble(ledger, name, also_done=True)
    elif memory.restart_before is not None:
        # A restart that is still to come is a run as well, whatever is found at work by then.
        trust_again(ledger, name)
        _clear_trouble(ledger, name, also_done=False)
    elif not any(map(is_live, ledger.slots.get(name, {}).values())):
        reason = operation.reason or "a start was asked for"
        _restart(ledger, name, replace(operation, reason=reason), RUN_ASKED_FOR)


def _reload(ledger: Ledger, name: ServiceName, operation: Operation) -> None:
    memory = ledger.services.get(name)
    if memory is not None and memory.spec.reload is not None:
        reason = operation.reason or "a reload was asked for"
        ledger.put_service(replace(memory, reload_before=ledger.now, reload_reason=reason))
        for record in list(ledger.slots.get(name, {}).values()):
            ledger.put(replace(record, memory=replace(record.memory, reload_failed="")))


def _clear_trouble(ledger: Ledger, name: ServiceName, *, also_done: bool) -> None:
    """Let a service start now, whatever it went through."""
    remembered = [slot for slot in ledger.remembered_slots if slot.service == name]
    records = [*ledger.slots.get(name, {}).values(), *map(ledger.record, remembered)]
    spec = ledger.spec(name)
    for record in records:
        remedy = forgiven(spec, record.memory.remedy)
        memory = replace(record.memory, trouble=Trouble(), remedy=remedy)
        cause = record.cause
        if also_done:
            memory = replace(memory, done=None, done_at=None)
            is_as_before = spec is not None and memory.tried == spec.digest
            cause = "manual" if is_as_before and not is_live(record) else cause
        asked = replace(record, memory=memory, cause=cause)
        # Who asks for it is told once more what keeps it from starting.
        ledger.put(asked if is_live(record) else replace(asked, refused="", refusals=0))


def _approve(ledger: Ledger, operation: Operation) -> None:
    ledger.released.update(operation.services)
    prune = ledger.prune
    if prune is not None and prune.id == operation.prune_id:
        ledger.set_prune(replace(prune, approved=True))
        _let_go(ledger, prune.services)
        ledger.tell(
            "prune.approved", reason=prune.because, actor=operation.actor, data={"id": prune.id}
        )
    guard_removals(ledger)
