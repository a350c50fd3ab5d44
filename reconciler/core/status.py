"""Draw the picture people are shown, from the situation and its plan."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.conditions import describe, hopeless, lacking, may_come
from reconciler.core.folding import counted, own, state_of
from reconciler.core.missing import runs_without
from reconciler.core.reloading import in_words
from reconciler.core.resting import verdict_of, who_is_unwell
from reconciler.core.sight import Sight
from reconciler.core.telling import AS_WANTED, AT_REST, COMING, RANK
from reconciler.core.wishes import (
    Board,
    Layout,
    Wish,
    arrange,
    errand_in_words,
    has_errands,
    is_live,
    is_up,
    left_behind,
)
from reconciler.model.diagnostic import Source
from reconciler.model.health import Verdict
from reconciler.model.observed import NOTHING_SAID, State
from reconciler.model.overlay import Overlay
from reconciler.model.plan import (
    Action,
    Forget,
    Hold,
    HoldCode,
    Plan,
    Situation,
    SlotAction,
    Update,
    Wait,
)
from reconciler.model.record import SlotRecord
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, Picture, ServiceStatus, SlotStatus, Sync
from reconciler.model.units import ServiceName


def picture(
    situation: Situation, plan: Plan, sight: Sight, layout: Layout | None = None
) -> Picture:
    """Draw everything that status shows."""
    board = arrange(situation, layout)
    holds = _by_service(plan)
    acting = _acting(plan)
    services = {
        name: _service(board, name, holds.get(name, []), acting.get(name), sight)
        for name in board.layout.order
        if not _is_over(board, name)
    }
    return Picture(
        now=situation.now,
        revision=situation.desired.revision,
        services=services,
        diagnostics=situation.desired.diagnostics,
        holds=plan.holds,
        prune=situation.prune,
        source_held=sight.source_held,
        host_unseen=sight.host_unseen,
        converged=sight.is_clear and _is_converged(board, plan),
    )


def _is_over(board: Board, name: ServiceName) -> bool:
    """Tell whether a service is gone and nothing of it is left to show."""
    return board.wishes[name].is_gone and board.is_empty(name)


def _by_service(plan: Plan) -> dict[ServiceName, list[Hold]]:
    found: dict[ServiceName, list[Hold]] = {}
    for hold in plan.holds:
        found.setdefault(hold.service, []).append(hold)
    return found


def _acting(plan: Plan) -> dict[ServiceName, Action]:
    """Give, for each service, the action that says most about what is being done to it."""
    found: dict[ServiceName, Action] = {}
    for action in plan.actions:
        if not isinstance(action, Update | Forget):
            found.setdefault(action.slot.service, action)
    return found


def _is_converged(board: Board, plan: Plan) -> bool:
    if any(not isinstance(action, Update) for action in plan.actions):
        return False
    waiting = [hold for hold in plan.holds if not _is_at_rest(hold)]
    lost = hopeless(board, board.layout.order) if waiting else frozenset()
    if any(_may_pass(board, hold, lost) for hold in waiting):
        return False
    return not any(
        _is_at_work(board, record)
        for slots in board.situation.slots.values()
        for record in slots.values()
    )


def _is_at_rest(hold: Hold) -> bool:
    """Tell whether a hold is for good, unless somebody changes something."""
    is_to_be_treated = hold.code is HoldCode.UNHEALTHY and hold.until is not None
    return hold.code in AT_REST and not is_to_be_treated


def _is_at_work(board: Board, record: SlotRecord) -> bool:
    """Tell whether a slot is on its way to another state; so is a oneshot that is not done."""
    if record.pending is not None or record.state in (State.STARTING, State.STOPPING):
        return True
    if (in_words(record) and not record.memory.reload_failed) or has_errands(record):
        return True
    spec, process = board.wishes[record.memory.slot.service].spec, record.process
    if spec is None or process is None or not spec.is_oneshot:
        return False
    # What runs on a schedule is as wanted, at work or not.
    return is_up(record) and process.digest == spec.digest and spec.schedule is None


def _may_pass(board: Board, hold: Hold, lost: frozenset[ServiceName]) -> bool:
    """Tell whether a hold can end without anybody changing anything."""
    if hold.code is HoldCode.ROLLING_OUT:
        return hold.until is not None  # else its slots say what they wait for
    if hold.code is not HoldCode.DEPENDENCY_NOT_READY:
        return True
    return all(may_come(board, wait, lost) for wait in hold.waiting_for)


# --- one service -----------------------------------------------------------------------------


def _service(
    board: Board, name: ServiceName, holds: list[Hold], action: Action | None, sight: Sight
) -> ServiceStatus:
    wish = board.wishes[name]
    wanted = board.situation.desired.services.get(name)
    memory = board.situation.services.get(name)
    records = _shown_records(board, wish)
    if not sight.is_looked_at:
        # What ran under an earlier daemon may run on, and what did not may run by now.
        records = [replace(record, state=State.UNKNOWN) for record in records]
    hold = _telling(holds)
    waiting = _waiting_for(holds, action)
    source = wanted.source if wanted else memory.source if memory else Source(file="")
    overlay = wanted.overlay if wanted else None
    state, sync = state_of(wish, records), _sync(wish, hold, action, sight)
    reason = _blind_reason(records, sight) or _reason(board, wish, records, hold, action)
    is_laid_over = overlay is not None and sync is Sync.SYNCED
    return ServiceStatus(
        name=name,
        spec=wish.spec,
        source=source,
        desired=_desired(wish),
        state=state,
        sync=Sync.OUT_OF_SYNC if is_laid_over else sync,
        health=_health(wish, state, records, hold, sight, is_acting=action is not None),
        reason=reason or (_beyond(overlay) if is_laid_over else ""),
        reason_code=_code(hold, waiting, sight) or (HoldCode.EPHEMERAL if is_laid_over else ""),
        waiting_for=waiting,
        # A slot that was never used has waited since nobody knows when.
        waiting_since=min((r.since for r in records if r.since), default=None) if waiting else None,
        needs=tuple(need.service for need in wish.needs),
        needed_by=tuple(board.layout.dependents[name]),
        slots=tuple(_slot(record) for record in records),
        invalid=wanted.invalid if wanted else (),
        next_run=board.situation.next_runs.get(name) if wish.runs else None,
        last_run=memory.timing.last if memory and memory.timing else None,
        rollout=memory.rollout if memory else None,
        quarantined=memory.quarantined if memory else (),
        left_out=wish.left_out,
        overlay=overlay,
        is_laid_over=is_laid_over,
    )


def _beyond(overlay: Overlay | None) -> str:
    """Say of what is wanted for a while what git says of it."""
    is_new = overlay is not None and overlay.under is None
    return "no manifest defines it" if is_new else "not what its manifest says"


def _desired(wish: Wish) -> DesiredState | None:
    if wish.is_gone or wish.spec is None:
        return None
    return wish.spec.state


def _shown_records(board: Board, wish: Wish) -> list[SlotRecord]:
    """Give the slots that are wanted, and those that are not but live."""
    surge = wish.rollout.surge if wish.rollout else 0
    wanted = wish.spec.instances + surge if wish.spec and not wish.is_gone else 0
    extra = [
        record
        for index, record in sorted(board.slots(wish.name).items())
        if index >= wanted and is_live(record)
    ]
    return [board.record(wish.name, index) for index in range(wanted)] + extra


def _telling(holds: list[Hold]) -> Hold | None:
    """Give the most telling hold of a service."""
    shown = [hold for hold in holds if hold.code in RANK]
    return min(
        shown,
        key=lambda hold: (RANK[hold.code], hold.slot.index if hold.slot else -1),
        default=None,
    )


def _waiting_for(holds: list[Hold], action: Action | None) -> tuple[Wait, ...]:
    if isinstance(action, SlotAction) and action.after:
        return action.after
    return next((hold.waiting_for for hold in holds if hold.waiting_for), ())


def _sync(wish: Wish, hold: Hold | None, action: Action | None, sight: Sight) -> Sync:
    if sight.host_unseen or sight.unread or sight.source_held:
        return Sync.UNKNOWN
    if wish.is_invalid:
        return Sync.INVALID
    if wish.prune_held or (hold is not None and hold.code is HoldCode.JUDGE_REFUSED):
        return Sync.HELD
    is_behind = hold is not None and hold.code not in (*AS_WANTED, HoldCode.UNHEALTHY)
    return Sync.OUT_OF_SYNC if action is not None or is_behind else Sync.SYNCED


def _health(
    wish: Wish,
    state: State,
    records: list[SlotRecord],
    hold: Hold | None,
    sight: Sight,
    *,
    is_acting: bool,
) -> Health:
    if sight.host_unseen or state is State.UNKNOWN:
        return Health.UNKNOWN
    if not wish.runs:
        return Health.STOPPED if state is State.STOPPED else Health.PROGRESSING
    if hold is not None and hold.code in (HoldCode.GAVE_UP, HoldCode.UNKILLABLE):
        return Health.DEGRADED
    if hold is not None and hold.code in AS_WANTED:
        return Health.DEGRADED if state is State.CRASHED else Health.HEALTHY
    if hold is not None and hold.code in COMING:
        gave_up = any(record.memory.trouble.gave_up for record in records)
        return Health.DEGRADED if gave_up else Health.PROGRESSING
    match state:
        case State.RUNNING:
            return Health.HEALTHY
        case State.DEGRADED:
            is_coming = any(record.state is State.STARTING for record in records)
            return Health.PROGRESSING if is_coming or is_acting else Health.DEGRADED
        case State.STARTING | State.STOPPING:
            return Health.PROGRESSING
        case State.CRASHED:
            return Health.PROGRESSING if is_acting else Health.DEGRADED
        case _:
            return Health.PROGRESSING if is_acting else Health.MISSING


def _code(hold: Hold | None, waiting: tuple[Wait, ...], sight: Sight) -> str:
    if sight.host_unseen:
        return HoldCode.HOST_UNSEEN.value
    if sight.unread:
        return HoldCode.SOURCE_HELD.value
    if hold is not None:
        return hold.code.value
    return HoldCode.DEPENDENCY_NOT_READY.value if waiting else ""


def _blind_reason(records: list[SlotRecord], sight: Sight) -> str:
    """Say what keeps us from knowing more; empty when all is in sight."""
    if sight.host_unseen or not sight.unread:
        return sight.host_unseen
    crashed = (record.reason for record in records if record.state is State.CRASHED)
    return "; ".join([*filter(None, list(crashed)[:1]), sight.unread])


def _reason(
    board: Board, wish: Wish, records: list[SlotRecord], hold: Hold | None, action: Action | None
) -> str:
    """Say in one sentence why a service is as it is; empty when all is as wanted."""
    if hold is not None and hold.code is HoldCode.UNHEALTHY:
        return who_is_unwell(own(wish, records), hold)
    if hold is not None and hold.code is not HoldCode.STOPPING:
        return counted(wish, records, hold.because, hold.slot)
    if isinstance(action, SlotAction) and action.after:
        what = " and ".join(describe(board, wait) for wait in action.after)
        return f"waiting for {what}"
    if hold is not None:
        return hold.because
    for record in records:
        if doing := _doing(record):
            return counted(wish, records, doing, record.memory.slot)
    if wish.runs:
        missing = lacking(board, wish)
        if missing and records and all(map(is_up, records)):
            return runs_without(board, missing)
    if not wish.runs and wish.spec is not None and not wish.is_gone:
        return wish.why_stopped if not wish.spec.wants_to_run else "shutting down"
    return counted(wish, records, "", None)


def _doing(record: SlotRecord) -> str:
    """Say what keeps a slot from being where it is going; empty when it is there."""
    match record.state:
        case State.STARTING:
            why = _own_words(record) or record.reason
            said = errand_in_words(record) or record.probe_said
            return said or "not ready yet" + (f" ({why})" if why else "")
        case State.STOPPING:
            return errand_in_words(record) or record.reason
        case _:
            return left_behind(record) or record.over or _announced(record) or in_words(record)


def _announced(record: SlotRecord) -> str:
    """Say what a process that runs has announced, with what it says about it."""
    notice = record.process.notice if record.process is not None else NOTHING_SAID
    what = "stopping, as it says" if notice.stopping else "reloading" if notice.reloading else ""
    words = _own_words(record)
    return f"{what}: {words}" if what and words else what


def _own_words(record: SlotRecord) -> str:
    """Give what a live process says of itself."""
    process = record.process
    return process.notice.status if process is not None and process.exit is None else ""


def _slot(record: SlotRecord) -> SlotStatus:
    process = record.process
    is_alive = process is not None and process.exit is None
    return SlotStatus(
        slot=record.memory.slot,
        state=record.state,
        process=process if is_alive else None,
        ready=is_alive and process is not None and record.memory.ready_run == process.run,
        since=record.since,
        restarts=record.memory.restarts,
        last_restart=record.memory.last_restart,
        last_exit=record.memory.last_exit,
        reason=errand_in_words(record) or record.probe_said or record.reason,
        reloaded_at=record.memory.reloaded_at,
        reload_failed=record.memory.reload_failed,
        verdict=verdict_of(record) if is_alive else Verdict.UNKNOWN,
        notice=process.notice if is_alive and process is not None else NOTHING_SAID,
        errands=tuple(
            side.process for side in record.sides if side.process and not side.process.exit
        ),
    )
