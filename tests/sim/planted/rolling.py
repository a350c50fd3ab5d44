"""Bugs about rollouts: too fast, too many at once, not at an end, or tried again."""

from __future__ import annotations

from tests.sim.planting import Mutant

CORE = "reconciler/core/rollout.py"
IN_TURN = (
    Mutant(
        name="started-is-good-enough",
        module=CORE,
        before="is_ready and self.now - record.since >= self.rollout.to.update.min_ready",
        after="is_ready",
        story="A version that leaks its connections is through all instances before the first of"
        " them falls over.",
    ),
    Mutant(
        name="one-more-is-missed-by-nobody",
        module=CORE,
        before="            if spare >= 0:",
        after="            if spare >= -1:",
        story="Of two instances one is stopped before there is another, and under load the one that"
        " is left answers every second request.",
    ),
    Mutant(
        name="a-new-version-comes-everywhere-at-once",
        module=CORE,
        before="    if is_same or not (is_kept_away or (spec.rolls and is_served)):",
        after="    if not (is_kept_away or anew):",
        story="Somebody writes `update` into the manifest, pushes a new version, and has an outage"
        " of as long as a start takes.",
    ),
    Mutant(
        name="what-was-rolled-serves",
        module=CORE,
        before="            return index in rollout.proven\n        digest",
        after="            return True\n        digest",
        story="`minReady: 60s` is in the manifest since the cache takes so long to fill, and the"
        " second instance goes while that of the first is empty.",
    ),
    Mutant(
        name="a-pause-is-not-heeded",
        module=CORE,
        before="            paused = replace(rollout, phase=RolloutPhase.PAUSED, because=because,"
        " failed=False)",
        after="            paused = replace(rollout, because=because, failed=False)",
        story="Somebody sees the errors of the first new instance and pauses the rollout; the next"
        " instances are replaced while they read the log.",
    ),
)
KEPT_AWAY = (
    Mutant(
        name="a-failure-is-no-failure",
        module=CORE,
        before="        if record.state is State.CRASHED and record.since >= rollout.began:",
        after="        if record.state is State.CRASHED and record.memory.trouble.gave_up:",
        story="A version that crashes at its start is started for half an hour, and counts as on"
        " its way.",
    ),
    Mutant(
        name="what-failed-is-tried-by-the-next-commit",
        module=CORE,
        before="    is_kept_away = spec.digest in memory.quarantined and not anew",
        after="    is_kept_away = False",
        story="A bad version is pushed, reverted, and pushed once more by mistake: it is started"
        " again, though it has failed.",
    ),
    Mutant(
        name="a-failure-is-not-remembered",
        module=CORE,
        before="    kept = (*without(memory, rollout.to.digest), rollout.to.digest)",
        after="    kept = without(memory, rollout.to.digest)",
        story="A version that failed at night is tried again at the next reload, and the next.",
    ),
)
TO_AN_END = (
    Mutant(
        name="the-next-version-waits-for-the-last",
        module=CORE,
        before="    if former is not None and former.to.digest == spec.digest and not anew:",
        after="    if former is not None and not anew:",
        story="The mend of a version that hangs is pushed, and waits for the version that hangs.",
    ),
    Mutant(
        name="nobody-wakes-for-min-ready",
        module=CORE,
        before="    return min((at for at in found if at > now), default=None)",
        after="    return min((at for at in found if at < now), default=None)",
        story="A rollout takes as many half minutes as there are instances, as it goes on only when"
        " something else happens.",
    ),
)
