"""Say how far a rollout is, and what a slot is started for in one."""

from __future__ import annotations

from reconciler.model.plan import HoldCode
from reconciler.model.record import Rollout, RolloutPhase, SlotRecord

SHORT = 8
"""Characters of a digest that tell people which version is meant."""


def told(rollout: Rollout) -> tuple[HoldCode, str]:
    """Say how far a rollout is, and what a person may do about it."""
    name, count = rollout.to.name, rollout.to.instances
    done = len({*range(count)}.intersection(rollout.proven))
    match rollout.phase:
        case RolloutPhase.ROLLING:
            return HoldCode.ROLLING_OUT, f"rollout {done}/{count}"
        case RolloutPhase.BACK:
            return HoldCode.ROLLING_OUT, f"going back to the version before: {rollout.because}"
        case RolloutPhase.UNDONE:
            because = f"runs the version before: {rollout.because}"
        case RolloutPhase.PAUSED if rollout.failed:
            because = f"rollout failed at {done}/{count}: {rollout.because}"
        case RolloutPhase.PAUSED:
            because = f"rollout paused at {done}/{count}: {rollout.because}"
    mend = f"mend the manifest, or weaver rollout resume {name}"
    if not rollout.failed:
        return HoldCode.ROLLOUT_PAUSED, f"{because}; to go on: weaver rollout resume {name}"
    is_other = rollout.to.digest != rollout.base.digest
    code = HoldCode.QUARANTINED if is_other else HoldCode.ROLLOUT_PAUSED
    return code, f"{because}; {mend}"


def what_is_left(rollout: Rollout) -> str:
    """Say what runs after a version failed, and which is kept away; else nothing."""
    is_at_rest = rollout.phase in (RolloutPhase.PAUSED, RolloutPhase.UNDONE)
    is_restart = rollout.to.digest == rollout.base.digest
    if not (rollout.failed and is_at_rest) or is_restart:
        return ""
    name, count = rollout.to.name, rollout.to.instances
    new, old = rollout.to.digest[:SHORT], rollout.base.digest[:SHORT]
    stand = [f"{name}-{index}" for index in range(count) if index in rollout.rolled]
    if not stand:
        return f"{name} runs version {old} as before, version {new} is quarantined"
    rest = f", the rest of {name} version {old}" if len(stand) < count else ""
    runs = "runs" if len(stand) == 1 else "run"
    return f"{' and '.join(stand)} {runs} version {new}, which is quarantined{rest}"


def why_as_it_is(rollout: Rollout, record: SlotRecord) -> str:
    """Say what a slot is started for where that is neither its manifest nor its last end."""
    index, tried = record.memory.slot.index, record.memory.tried
    if index >= rollout.to.instances:
        return "it serves beside the others while they are replaced"
    is_back = rollout.failed and index not in rollout.rolled and tried == rollout.to.digest
    return f"back to the version before: {rollout.because}" if is_back else ""
