"""Bugs about checks: too soon called ill or well, and too much or too little done about it."""

from __future__ import annotations

from tests.sim.planting import Mutant

HEALING = (
    Mutant(
        name="failed-checks-add-up",
        module="reconciler/core/health.py",
        before="        failures=0 if result.ok else state.failures + 1,",
        after="        failures=state.failures + (not result.ok),",
        story="A service that answers slowly once an hour is degraded by the evening, and restarted"
        " every night.",
    ),
    Mutant(
        name="one-good-check-is-enough",
        module="reconciler/core/health.py",
        before="        is_well = state.successes >= needed(state, check) and",
        after="        is_well = state.successes >= 1 and",
        story="A service answers every fourth request; it is degraded and well again every minute,"
        " and each time somebody is woken.",
    ),
    Mutant(
        name="start-period-is-over-at-once",
        module="reconciler/core/health.py",
        before="    return is_new and at - state.started < check.start_period",
        after="    return is_new and at < check.start_period",
        story="A service that warms its cache for a minute is restarted for it, and never comes to"
        " the end of it.",
    ),
    Mutant(
        name="answers-about-older-runs-count",
        module="reconciler/core/healing.py",
        before="    if process is None or process.exit is not None or process.run != event.run:",
        after="    if process is None or process.exit is not None:",
        story="A check of the old process times out just after the new one came up, which is"
        " restarted for it.",
    ),
    Mutant(
        name="degraded-is-forgotten",
        module="reconciler/core/looking.py",
        before="        is_ill = memory.ill is not None and memory.ill.run == process.run",
        after="        is_ill = memory.ill is not None and memory.ill.run != process.run",
        story="After an upgrade of the daemon all is shown as running, and everybody is told once"
        " more of what has been ill for days.",
    ),
    Mutant(
        name="no-time-to-get-well",
        module="reconciler/core/remedies.py",
        before="    wait = delay(spec.backoff, remedy.times, NO_LUCK) if remedy.times else 0",
        after="    wait = 0",
        story="A service whose database is away is restarted as fast as its checks can fail, and"
        " each start asks the database for fifty connections.",
    ),
    Mutant(
        name="restarts-that-do-not-help-go-on",
        module="reconciler/core/remedies.py",
        before="    return is_limited and memory.remedy.times >= (spec.max_restarts or 0)",
        after="    return False",
        story="The URL of a check is wrong: the service, which serves well, is restarted for ever.",
    ),
    Mutant(
        name="ill-needs-nothing-done",
        module="reconciler/core/healing.py",
        before="    at = due_at(spec, record.memory)",
        after="    at = due_at(spec, record.memory) if record.memory.remedy.times else None",
        story="`onUnhealthy: restart` is in the manifest, and a service that hangs is shown as"
        " degraded, and hangs.",
    ),
    Mutant(
        name="degraded-for-ever",
        module="reconciler/core/healing.py",
        before="        return record.verdict is Verdict.HEALTHY or spec is None",
        after="        return spec is None",
        story="A service is well again after a minute and shown as degraded for a week, until"
        " nobody looks at that any more.",
    ),
    Mutant(
        name="healthy-is-ready",
        module="reconciler/core/conditions.py",
        before="            is_well = is_up(record) and has_been_well(wish, record)",
        after="            is_well = is_up(record)",
        story="The API starts while the database is still at its recovery, and caches the errors.",
    ),
    Mutant(
        name="one-alert-after-the-other",
        module="reconciler/core/remedies.py",
        before="    return max(at, Nanos(remedy.at + spec.health.threshold.time_window))",
        after="    return at",
        story="A service that comes and goes sends a message to the whole team every ten seconds.",
    ),
)
