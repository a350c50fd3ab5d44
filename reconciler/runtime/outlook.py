"""Judge from a picture whether services are where somebody wants them, or will ever get there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.health import Verdict
from reconciler.model.observed import State
from reconciler.model.plan import HoldCode, Situation
from reconciler.model.record import RolloutPhase
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, Picture, ServiceStatus, SlotStatus, Sync
from reconciler.model.units import Nanos, ServiceName
from reconciler.runtime.requests import Goal

FAILURES_ENOUGH = 3
"""Failures in a row after which nobody waits any longer; the service is restarted all the same."""

_DONE = (HoldCode.COMPLETED, HoldCode.SCHEDULED)
"""Reasons of oneshots that need not run just now."""
_FINAL = {
    HoldCode.GAVE_UP,
    HoldCode.UNKILLABLE,
    HoldCode.JUDGE_REFUSED,
    HoldCode.PRUNE_HELD,
    HoldCode.DRIFTED,
    HoldCode.QUARANTINED,
    HoldCode.ROLLOUT_PAUSED,
}


class Outlook(StrEnum):
    """Where a service is on its way."""

    THERE = "there"
    COMING = "coming"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One service's outlook, with the reason while it is not there."""

    outlook: Outlook
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is waited for."""

    since: Nanos | None = None
    """Processes must be younger than this: a restart was asked for."""
    loaded_since: Nanos | None = None
    """Processes must have been started or reloaded since: a reload was asked for."""
    finishes_oneshots: bool = True
    """Whether a oneshot is there only when it is done, not while it is at work."""
    undoes_rollout: bool = False
    """Whether the version before is to serve, whatever the manifest says."""

    @property
    def is_about_processes(self) -> bool:
        """Tell whether processes anew are all that is asked for, of whatever version there is."""
        return self.since is not None or self.loaded_since is not None


THERE = Standing(outlook=Outlook.THERE)


class Watcher:
    """Judges the services of one moment; each is judged once."""

    def __init__(self, picture: Picture, situation: Situation, aim: Aim) -> None:
        self._picture = picture
        self._situation = situation
        self._aim = aim
        self._known: dict[ServiceName, Standing] = {}

    def standing(self, name: ServiceName) -> Standing:
        """Judge one service, and what it waits for."""
        if name not in self._known:
            # A cycle of waits would come back here: whoever waits for itself is coming.
            self._known[name] = Standing(outlook=Outlook.COMING)
            self._known[name] = self._judge(name)
        return self._known[name]

    def _judge(self, name: ServiceName) -> Standing:
        status = self._picture.services.get(name)
        if status is None:
            return THERE
        if is_as_wanted(status, self._aim) or (self._aim.undoes_rollout and is_undone(status)):
            return THERE
        if failed := failed_reload(status, self._aim):
            return Standing(outlook=Outlook.STUCK, because=failed)
        blind = self._picture.host_unseen or self._picture.source_held
        reason = blind or status.reason or f"it is {status.state}"
        stuck = not blind and (self._is_final(status) or self._keeps_failing(name))
        if stuck:
            return Standing(outlook=Outlook.STUCK, because=reason)
        if because := self._is_waiting_in_vain(status):
            return Standing(outlook=Outlook.STUCK, because=because)
        return Standing(outlook=Outlook.COMING, because=reason)

    def _is_final(self, status: ServiceStatus) -> bool:
        if keeps_its_version(status) and self._aim.is_about_processes:
            return False
        is_invalid = status.sync in (Sync.INVALID, Sync.HELD)
        return is_invalid or status.reason_code in {code.value for code in _FINAL}

    def _keeps_failing(self, name: ServiceName) -> bool:
        """Tell whether a slot failed too often, or could not even be executed."""
        for record in self._situation.slots.get(name, {}).values():
            memory = record.memory
            # What it left behind ends first; only then is it known what comes next.
            is_over = record.state is State.CRASHED and record.process is None
            if not is_over or not memory.trouble.failures:
                continue
            if memory.trouble.failures >= FAILURES_ENOUGH or memory.last_exit is None:
                return True
        return False

    def _is_waiting_in_vain(self, status: ServiceStatus) -> str:
        """Give the reason why what a service waits for does not come; empty where it may."""
        for wait in status.waiting_for:
            if wait.condition is None:
                continue
            need = self._picture.services.get(wait.service)
            if need is None:
                return f"needs {wait.service}, which is not there"
            if need.desired is not DesiredState.RUNNING:
                return f"needs {wait.service}, which is stopped"
            standing = self.standing(wait.service)
            if standing.outlook is Outlook.STUCK:
                return f"needs {wait.service}: {standing.because}"
        return ""


def judge(
    picture: Picture, situation: Situation, names: Iterable[ServiceName], aim: Aim
) -> Mapping[ServiceName, Standing]:
    """Give the standing of each of these services."""
    watcher = Watcher(picture, situation, aim)
    return {name: watcher.standing(name) for name in names}


def is_as_wanted(status: ServiceStatus, aim: Aim) -> bool:
    """Tell whether a service is what its manifest asks for."""
    if status.desired is None and status.invalid:
        return False  # nobody knows yet what it is to be
    if status.desired is not DesiredState.RUNNING:
        return all(slot.process is None for slot in status.slots) and not is_moving(status)
    is_followed = status.is_followed or (aim.is_about_processes and keeps_its_version(status))
    if not is_followed or status.health is not Health.HEALTHY or _has_surplus(status):
        return False
    if aim.since is not None and not all(_is_since(slot, aim.since) for slot in status.slots):
        return False
    if not _has_loaded(status, aim):
        return False
    is_oneshot = status.spec is not None and status.spec.is_oneshot
    is_scheduled = status.spec is not None and status.spec.schedule is not None
    # A run that a schedule began is nobody's to wait for; one that somebody asked for is.
    finishes = aim.finishes_oneshots and (aim.since is not None or not is_scheduled)
    return status.reason_code in _DONE or not (is_oneshot and finishes)


def keeps_its_version(status: ServiceStatus) -> bool:
    """Tell whether a service runs on as it was, since its manifest cannot be followed now."""
    is_unfollowed = status.sync in (Sync.INVALID, Sync.UNKNOWN)
    return is_unfollowed or status.reason_code == HoldCode.PRUNE_HELD


def _has_surplus(status: ServiceStatus) -> bool:
    """Tell whether an instance too many is there yet: scaled away, or a rollout's helper."""
    wanted = status.spec.instances if status.spec is not None else 0
    return any(slot.process is not None and slot.slot.index >= wanted for slot in status.slots)


def is_undone(status: ServiceStatus) -> bool:
    """Tell whether the version before serves again in the place of one that was taken back."""
    return status.rollout is not None and status.rollout.phase is RolloutPhase.UNDONE


def failed_reload(status: ServiceStatus, aim: Aim) -> str:
    """Say why a reload that somebody waits for failed; empty while it has not."""
    if aim.loaded_since is None:
        return ""
    for slot in status.slots:
        if slot.reload_failed:
            return f"its reload failed: {slot.reload_failed}"
        if _died_of_it(status, slot, aim.loaded_since):
            return f"{reload_signal(status)} ended it, as it ends what does not handle it"
    return ""


def reload_signal(status: ServiceStatus) -> str:
    """Give the signal that has a service load its configuration anew; empty where none does."""
    way = status.spec.reload if status.spec is not None else None
    return way.signal if way is not None else ""


def _died_of_it(status: ServiceStatus, slot: SlotStatus, since: Nanos) -> bool:
    """Tell whether the signal that was to reload a process has killed it."""
    end, signal = slot.last_exit, reload_signal(status)
    return bool(signal) and end is not None and end.at >= since and end.signal == signal


def _has_loaded(status: ServiceStatus, aim: Aim) -> bool:
    since = aim.loaded_since
    if since is None:
        return True
    return not failed_reload(status, aim) and all(
        slot.process is None or max(slot.process.started, slot.reloaded_at or 0) >= since
        for slot in status.slots
    )


def is_moving(status: ServiceStatus) -> bool:
    """Tell whether a slot is between two states."""
    return any(slot.state in (State.STARTING, State.STOPPING) for slot in status.slots)


def has_reached(status: ServiceStatus, goal: Goal) -> bool:
    """Tell whether a service has reached a goal that somebody waits for."""
    is_up = bool(status.slots) and all(slot.process is not None for slot in status.slots)
    # A oneshot is of use to others once its work is done, as `dependsOn` takes it.
    is_done = status.reason_code in _DONE
    match goal:
        case Goal.RUNNING:
            return is_done or (is_up and status.state in (State.RUNNING, State.DEGRADED))
        case Goal.READY:
            return is_done or (is_up and all(slot.ready for slot in status.slots))
        case Goal.HEALTHY:
            is_well = status.health is Health.HEALTHY and status.is_followed
            return is_well and (is_done or _has_passed(status))
        case Goal.COMPLETED:
            return is_done and all(slot.last_exit is not None for slot in status.slots)
        case Goal.STOPPED:
            return status.state is State.STOPPED and not is_moving(status)
        case Goal.SYNCED:
            return status.sync is Sync.SYNCED and not is_moving(status)


def _has_passed(status: ServiceStatus) -> bool:
    """Tell whether the checks of all slots pass, where there are any."""
    is_checked = status.spec is not None and status.spec.health is not None
    return not is_checked or all(slot.verdict is Verdict.HEALTHY for slot in status.slots)


def concerns(status: ServiceStatus, goal: Goal) -> bool:
    """Tell whether `--all` means this service: nobody waits for what is wanted stopped to run."""
    if goal in (Goal.STOPPED, Goal.SYNCED):
        return True
    is_oneshot = status.spec is not None and status.spec.is_oneshot
    return status.desired is DesiredState.RUNNING and (goal is not Goal.COMPLETED or is_oneshot)


def cannot_reach(status: ServiceStatus, goal: Goal) -> str:
    """Say why a goal will not be reached by waiting; empty while it may."""
    spec = status.spec
    if goal is Goal.COMPLETED and spec is not None and not spec.is_oneshot:
        return "it is no oneshot, so it never completes"
    wants_to_run = status.desired is DesiredState.RUNNING
    if goal is Goal.STOPPED and wants_to_run and spec is not None and not spec.is_oneshot:
        return "its manifest says running"
    if goal not in (Goal.STOPPED, Goal.SYNCED) and not wants_to_run:
        return status.why_stopped
    if status.reason_code in (HoldCode.GAVE_UP, HoldCode.UNKILLABLE) and goal is not Goal.STOPPED:
        return status.reason
    if status.sync in (Sync.INVALID, Sync.HELD) and goal is Goal.SYNCED:
        return status.reason
    is_kept_away = status.reason_code in (HoldCode.QUARANTINED, HoldCode.ROLLOUT_PAUSED)
    if is_kept_away and goal in (Goal.HEALTHY, Goal.SYNCED) and not status.is_followed:
        return status.reason
    if status.overlay is not None and goal is Goal.SYNCED:
        return f"something else is wanted for a while; weaver revert {status.name} ends that"
    return ""


def _is_since(slot: SlotStatus, since: Nanos) -> bool:
    if slot.process is not None:
        return slot.process.started >= since
    return slot.last_exit is not None and slot.last_exit.at >= since
