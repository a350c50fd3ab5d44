"""Which reasons to leave things alone are shown first, and which of them end by themselves."""

from __future__ import annotations

from reconciler.model.plan import PUT_OFF, HoldCode

TELLING = (
    HoldCode.JUDGE_REFUSED,
    HoldCode.PRUNE_HELD,
    HoldCode.INVALID_MANIFEST,
    HoldCode.GAVE_UP,
    HoldCode.UNKILLABLE,
    HoldCode.BACKING_OFF,
    *PUT_OFF,
    HoldCode.DEPENDENCY_NOT_READY,
    HoldCode.DRIFTED,
    HoldCode.RELOAD_FAILED,
    HoldCode.WATCH_HELD,
    HoldCode.QUARANTINED,
    HoldCode.ROLLOUT_PAUSED,
    HoldCode.ROLLING_OUT,
    HoldCode.STOPPING,
    HoldCode.UNHEALTHY,
    HoldCode.COMPLETED,
    HoldCode.SCHEDULED,
    HoldCode.EXITED,
)
"""Reasons to show, the most telling first; not waiting for an answer, which is over at once."""
RANK = {code: place for place, code in enumerate(TELLING)}
AS_WANTED = (HoldCode.COMPLETED, HoldCode.SCHEDULED, HoldCode.EXITED)
COMING = (HoldCode.ROLLING_OUT, HoldCode.BACKING_OFF, *PUT_OFF, HoldCode.STOPPING)
AT_REST = (
    HoldCode.COMPLETED,
    HoldCode.SCHEDULED,
    HoldCode.EXITED,
    HoldCode.GAVE_UP,
    HoldCode.INVALID_MANIFEST,
    HoldCode.PRUNE_HELD,
    HoldCode.UNKILLABLE,
    HoldCode.JUDGE_REFUSED,
    HoldCode.DRIFTED,
    HoldCode.RELOAD_FAILED,
    HoldCode.WATCH_HELD,
    HoldCode.UNHEALTHY,
    HoldCode.ROLLOUT_PAUSED,
    HoldCode.QUARANTINED,
)
